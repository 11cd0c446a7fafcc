"""What would happen to a URL or an image, and why: as an object for machines and as lines for people.

Knows the two forms of `ns-inject explain`; not the command line (`cli.explain`) nor how a decision is made (`routes`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from oci_ns.decision import Decision
from oci_ns.index import RouteIndex
from oci_ns.pull_sources import PullSource
from oci_ns.reference import DEFAULT_PORTS, parse_image, split_host
from oci_ns.registries_conf import Registry
from oci_ns.routes import RouteTable
from oci_ns.trace import trace
from oci_ns.trace_steps import Trace

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)", re.DOTALL)


def is_url(text: str) -> bool:
    """Whether the text is meant as a URL; anything else is meant as an image."""
    return "://" in text


@dataclass(frozen=True, slots=True)
class Address:
    """A URL taken apart as a request is: where it goes, and the target (path and query) it asks for."""

    scheme: str
    host: str
    port: int
    target: str


def address_of(url: str) -> Address:
    """Take a URL apart. Raises ValueError, with the reason, where it is no URL of a registry."""
    match = _URL.match(url)
    scheme = match["scheme"].lower() if match is not None else ""
    if match is None or scheme not in DEFAULT_PORTS:
        raise ValueError(f"{url!r} is not an http or https URL")
    if "@" in match["authority"]:
        raise ValueError("the URL has a user name or password in it; leave it out")
    host, port = split_host(match["authority"])
    return Address(scheme, host, port or DEFAULT_PORTS[scheme], match["target"] or "/")


def decide_url(table: RouteTable, method: str, url: str) -> Decision:
    """The decision about a request for a URL. Raises ValueError as `address_of`."""
    address = address_of(url)
    return table.decide(method, address.scheme, address.host, address.port, address.target)


def trace_url(table: RouteTable, method: str, url: str) -> Trace:
    """Why a request for a URL is decided as it is. Raises ValueError as `address_of`."""
    address = address_of(url)
    return trace(table, method, address.scheme, address.host, address.port, address.target)


def url_object(table: RouteTable, method: str, url: str) -> dict[str, Any]:
    """The decision as JSON has it. Raises ValueError as `address_of`."""
    decision = decide_url(table, method, url)
    return {
        "url": url,
        "method": method,
        "action": decision.action.value,
        "namespace": decision.namespace,
        "source": decision.source.value if decision.source is not None else None,
        "upstream": decision.upstream,
    }


def image_object(index: RouteIndex, text: str) -> dict[str, Any]:
    """The pull sources as JSON has them. Raises ValueError where the text is no image, or cannot be mapped."""
    found = index.find_image(parse_image(text))
    if found is None:
        return {"ref": text, "registry": None}
    registry, sources = found
    return {
        "ref": text,
        "registry": registry.prefix,
        "blocked": registry.blocked,
        "sources": [
            {
                "reference": str(source.image),
                "insecure": source.endpoint.insecure,
                "location": source.endpoint.location,
                "namespace": source.namespace,
            }
            for source in sources
        ],
    }


def url_lines(table: RouteTable, method: str, url: str) -> list[str]:
    """The decision as a person reads it. Raises ValueError as `address_of`."""
    decision = decide_url(table, method, url)
    where = decision.source.value if decision.source is not None else "nothing tells"
    lines = [f"{method} {url}", f"  action     {decision.action.value}"]
    if decision.operation is None:
        lines.append("  reason     not below /v2: no request of the distribution API")
    else:
        lines += [f"  operation  {decision.operation.value}", f"  registry   told by: {where}"]
        lines.append(f"  namespace  {decision.namespace if decision.namespace is not None else '(none)'}")
    if decision.registry is not None:
        lines.append(f"  entry      {_entry(decision.registry)}")
    if decision.error is not None:
        lines.append(f"  answer     {decision.error.status} {decision.error.code}: {decision.error.message}")
    else:
        lines.append(f"  upstream   {decision.upstream}")
    return lines


def image_lines(index: RouteIndex, text: str) -> list[str]:
    """The pull sources as a person reads them. Raises ValueError as `image_object`."""
    image = parse_image(text)
    found = index.find_image(image)
    if found is None:
        return [str(image), f"  entry      (none): pulled from {image.host} itself"]
    registry, sources = found
    lines = [str(image), f"  entry      {_entry(registry)}"]
    if registry.blocked:
        lines.append("  blocked    pulling is forbidden; the sources would be:")
    return lines + [_source_line(number, source) for number, source in enumerate(sources, start=1)]


def _entry(registry: Registry) -> str:
    return f"prefix {registry.prefix}, {registry.origin}"


def _source_line(number: int, source: PullSource) -> str:
    flags = [f"ns={source.namespace}"] if source.namespace is not None else []
    flags += ["plain http"] if source.endpoint.plain_http else []
    flags += ["insecure"] if source.endpoint.insecure else []
    notes = f"  [{', '.join(flags)}]" if flags else ""
    return f"  source {number:<3} {source.image}{notes}"
