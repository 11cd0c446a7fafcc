"""What to tell about a configuration that loads: the loader's warnings, and what only the whole table shows."""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.conf_files import Configuration
from oci_ns.index import RouteIndex


def warnings_about(configuration: Configuration, index: RouteIndex) -> Iterator[str]:
    """Each warning as one line: file, line, what is wrong and what to do."""
    for problem in configuration.warnings:
        yield str(problem)
    for route in index.routes.values():
        for location in route.broken:
            yield f'{route.registry.origin}: location "{location}" is not a host[:port][/path]; nothing is sent there'
    for address in index.disputed_addresses():
        yield f"{address} is insecure for some endpoints and not for others: its certificate is verified for all"
    for location, namespaces in index.ambiguous_locations():
        yield (
            f"location {location} is ambiguous: it stands for {', '.join(namespaces)}. A request that addresses it is "
            "told apart only by its ns, by a path that begins with the registry, or by ns_default"
        )
