"""What must hold of every decision: where it goes, what it says in `ns`, and that `explain` tells the same."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from oci_ns.decision import Action, ClientNamespace, Decision
from oci_ns.explain import image_object
from oci_ns.index import RouteIndex
from oci_ns.routes import RouteTable
from oci_ns.trace import trace, trace_lines
from tests.fuzz.places import Address, Places, address, is_url
from tests.fuzz.queries import read_by_go, read_by_python


@dataclass(frozen=True)
class Asked:
    """A request, as it is put to the table."""

    method: str
    scheme: str
    host: str
    port: int
    target: str


def check_decision(table: RouteTable, places: Places, asked: Asked) -> Decision:
    """Decide, and see that the decision holds; so must each of its alternatives, and what `explain` tells."""
    parts = (asked.method, asked.scheme, asked.host, asked.port, asked.target)
    decision = table.decide(*parts)
    traced = trace(table, *parts)
    assert traced.decision == decision, f"the trace is about {traced.decision}"
    assert trace_lines(traced)
    for one in (decision, *decision.alternatives):
        _check_one(table, places, asked, one)
    return decision


def check_image(index: RouteIndex, text: str) -> None:
    """Find where an image is pulled from; that it is none, or has no name there, is an answer."""
    try:
        found = image_object(index, text)
    except ValueError:
        return
    assert found["registry"] is None or found["sources"]


def _check_one(table: RouteTable, places: Places, asked: Asked, decision: Decision) -> None:
    if decision.action is Action.BLOCK:
        assert decision.error is not None
        assert decision.upstream is None
        return
    assert decision.error is None
    unchanged = (decision.scheme, decision.host, decision.port, decision.target) == (
        (asked.scheme, asked.host, asked.port, asked.target)
    )
    if decision.action is Action.PASS:
        assert unchanged, f"passed as {decision.upstream}"
        assert not decision.rerouted
    else:
        _check_url(asked, decision)
    addressed, there = _place(asked.scheme, asked.host, asked.port), _place(*_sent(decision))
    assert there == addressed or places.has(there), f"sent to {there}, which is no endpoint"
    if decision.rerouted:
        assert places.has(there)
    if decision.operation is not None:
        assert is_below_v2(decision.target)
        _check_namespace(table, decision)


def _sent(decision: Decision) -> tuple[str, str, int]:
    return decision.scheme, decision.host, decision.port


def _place(scheme: str, host: str, port: int) -> Address:
    found = address(scheme, f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}")
    assert found is not None, f"{host}:{port} is no address"
    return found


def is_below_v2(target: str) -> bool:
    """Whether a target is a request of the distribution API, whichever way it is spelt."""
    path = unquote(target.partition("?")[0], "latin-1")
    return path == "/v2" or path.startswith("/v2/")


def _check_url(asked: Asked, decision: Decision) -> None:
    """What the client sent may be odd; what is put in its place may not."""
    upstream = decision.upstream
    assert upstream is not None
    assert set(decision.target) - set(asked.target) <= _URL_CHARACTERS, f"{upstream!r} has what no URL has"
    if is_url(f"https://a{asked.target}"):
        assert is_url(upstream), f"{upstream!r} is no URL"


_URL_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@!$&'()*+,;=%?")


def _check_namespace(table: RouteTable, decision: Decision) -> None:
    _, question, query = decision.target.partition("?")
    said = read_by_python(query if question else None, "ns")
    assert len(list(filter(None, said))) <= 1 or decision.source is None, f"several ns leave: {said}"
    if decision.namespace is not None:
        assert said == [decision.namespace], f"{said} leaves, not {decision.namespace}"
    elif decision.endpoint is not None and (decision.rerouted or table.policy.client_namespace is _OVERRIDE):
        assert said == [], f"{said} leaves for an endpoint without a namespace"
    if decision.endpoint is not None and decision.endpoint.namespace is not None:
        assert read_by_go(query, "ns") == [decision.namespace]


_OVERRIDE = ClientNamespace.OVERRIDE
