"""Look-ups of a repository in nginx's `map`s, one for each number of components; and the source registry's name.

Knows how a longest key is found with hash tables; not what is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from oci_ns.export.nginx.hops import Asker
from oci_ns.export.nginx.text import Map, Row, expressions, words
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_API


def prefix_maps(name: str, depths: list[int]) -> Iterator[Map]:
    """The first components of the repository, where something lies under them."""
    for depth in depths:
        more = f"(?:/[^/]*){{{depth - 1}}}" if depth > 1 else ""
        found = expressions((f"^(?<{name}_{depth}_>[^/]*{more})/", f"${name}_{depth}_"))
        yield Map("$oci_key", f"{name}_{depth}", default="!", expressions=found)


def below_maps(name: str, scopes: str, rows: Mapping[int, list[Row]], last: str) -> Iterator[Map]:
    """What lies under a repository, by the number of its components: the longest first."""
    for depth in sorted(rows):
        yield Map(f"{scopes}$oci_prefix_{depth}", f"{name}_{depth}", rows[depth], default=last)
        last = f"${name}_{depth}"


def reference_maps(name: str, scopes: str, rows: Mapping[str, list[str]], otherwise: str) -> Iterator[Map]:
    """Single tags and digests. What is found in either case has to be the same to the letter."""
    if not rows:
        yield Map("$oci_scopes", name, default=otherwise)
        return
    found = [Row(key, " ".join(each)) for key, each in rows.items()]
    yield Map(f"{scopes.replace(',', ' ')}$oci_scope$oci_suffix", f"{name}_listed", found, about="Tags and digests.")
    alike = expressions((rf"^(?<{name}_k>\S+) (?:\S+ )*?\k{{{name}_k}}>(?<{name}_w>\S+)", f"${name}_w"))
    yield Map(f"{scopes}$oci_scope$oci_suffix ${name}_listed", name, default=otherwise, expressions=alike)


def source_maps(askers: Iterable[Asker]) -> Iterator[Map]:
    """The source registry's name as `ns` has it, and the host of its API."""
    for asker in sorted(askers, key=lambda each: each.value):
        name = asker.value
        port = expressions((rf"^(?<{name}_e>.*):(?<{name}_p>[0-9]+)$", f"${{{name}_e}}%3A${name}_p"))
        yield Map(f"${name}_source", f"{name}_escaped", default=f"${name}_source", expressions=port)
        api = words((DOCKER_HUB, DOCKER_HUB_API))
        yield Map(f"${name}_source", f"{name}_api", api, default=f"${name}_source")
