"""The look-ups of a table as nginx's `map`s: each a hash table, whatever the number of registries.

Knows how a request is looked up: host, the client's `ns`, repository, kind; the longest key first. What stands in the
rows is in `table`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from oci_ns.export.nginx.lookups import below_maps, prefix_maps, reference_maps, source_maps
from oci_ns.export.nginx.request import hub_names
from oci_ns.export.nginx.table import EVERYTHING, Tables
from oci_ns.export.nginx.text import Map, Row, expressions, words
from oci_ns.export.tabulation import ANY


def host_map(tables: Tables) -> Map:
    """From the addressed host to its number; '' for hosts that are not in the table, `!` where nobody can tell."""
    rows = list(tables.rows.hosts)
    unsure = [Row(r"^\[", "!")] if tables.has_patterns else []
    default = tables.ids.get(ANY, "")
    return Map(
        "$oci_name_source",
        "oci_known",
        [*rows, *words(("?", ""), ("!", "!"))],
        unsure,
        default,
        hostnames=True,
        about="The hosts of the table.",
    )


def maps(tables: Tables) -> Iterator[Map]:
    """All that follows once the host is known, to `$oci_found`, the way in words."""
    yield from _namespace_maps(tables)
    rows = tables.rows
    yield from prefix_maps("oci_prefix", sorted({*rows.below, *rows.paths_below}))
    yield Map(
        "$oci_scopes",
        "oci_everything",
        rows.everything,
        default="!",
        about="What holds for all repositories there.",
    )
    yield Map("$oci_scopes", "oci_root", rows.root, default="!", about="What holds where there is no repository.")
    yield from _path_maps(tables)
    last = "$oci_told"
    yield from below_maps("oci_below", "$oci_scopes ", rows.below, last)
    nearest = f"$oci_below_{max(rows.below)}" if rows.below else last
    yield Map("$oci_scopes $oci_key", "oci_exactly", rows.exactly, default=nearest, about="Repositories.")
    yield from reference_maps("oci_referenced", "$oci_scopes,", rows.referenced, "$oci_exactly")
    yield Map(
        "$oci_parsed", "oci_ways", words(("ping", "$oci_root"), ("catalog", "$oci_root")), default="$oci_referenced"
    )
    ways, kinds = _resolved(tables, rows.ways), _resolved(tables, rows.kinds)
    yield Map("$oci_ways", "oci_common", ways, default="!", about="Where requests go.")
    about = "Where those of a kind go that go another way."
    yield Map("$oci_ways $oci_kind", "oci_listed", kinds, default="$oci_common", about=about)
    yield from source_maps(tables.hops.askers)


def _resolved(tables: Tables, rows: list[Row]) -> list[Row]:
    upstreams = tables.hops.upstreams
    return [row._replace(value=upstreams.resolved(row.value)) for row in rows] if upstreams.settings.resolvers else rows


def _namespace_maps(tables: Tables) -> Iterator[Map]:
    rows = tables.rows
    if not tables.table.reads_namespaces:
        yield Map("$oci_host", "oci_scopes", default="$oci_host", about="An ns of the client's changes nothing.")
        return
    common = Counter(row.value for row in rows.other).most_common(1)[0][0] if rows.other else "!"
    others = [row for row in rows.other if row.value != common]
    unsure = [Row(r"^\[", "!")] if tables.has_patterns else []
    yield Map(
        "$oci_host",
        "oci_other",
        others,
        default=common,
        about="Where the client's ns is of no registry known at the host.",
    )
    if rows.itself:
        alike = expressions((r"^(?<oci_alike_>\S+) \k{oci_alike_}$", "itself"))
        yield Map("$oci_addressed_source $oci_spoken_source", "oci_alike", default="another", expressions=alike)
    about = "An ns that is no host may still be that of an endpoint."
    yield Map("$oci_spoken $oci_host", "oci_named", rows.named, default="$oci_other", about=about)
    yield Map("$oci_alike $oci_host" if rows.itself else "$oci_host", "oci_unspoken", rows.itself, default="$oci_other")
    yield Map(
        "$oci_spoken_source.$oci_host",
        "oci_by_namespace",
        rows.spoken,
        default="$oci_unspoken",
        hostnames=True,
        about="The registries that an ns may name at a host.",
    )
    yield Map(
        "$oci_spoken_source",
        "oci_scopes",
        words(("", "$oci_host"), ("?", "$oci_named")),
        unsure,
        default="$oci_by_namespace",
        about="The repositories that are looked up.",
    )


def _path_maps(tables: Tables) -> Iterator[Map]:
    rows = tables.rows
    if not rows.readers:
        yield Map("$oci_scopes", "oci_told", default=EVERYTHING)
        return
    host_like = r"^(?<oci_first_registry_>[^/]*[.:][^/]*|localhost)/."
    yield Map(
        "$oci_scope",
        "oci_first",
        expressions=expressions((host_like, "$oci_first_registry_")),
        about="The first component, where it looks like a host.",
    )
    yield hub_names("oci_first_source", "oci_first")
    yield Map("$oci_scopes", "oci_reads_paths", rows.readers, about="The hosts where it may tell the registry.")
    catch_all = tables.told(tables.table.paths.patterns[ANY]) if ANY in tables.table.paths.patterns else EVERYTHING
    yield Map("$oci_first_source", "oci_first_pattern", rows.paths_patterns, default=catch_all, hostnames=True)
    yield Map(
        "$oci_first_source.$oci_host",
        "oci_first_patterns",
        rows.patterns,
        default="$oci_first_pattern",
        hostnames=True,
    )
    unsure = [Row(r"^\[", "!")] if rows.patterns or tables.table.paths.patterns else []
    yield Map("$oci_first_source", "oci_first_last", expressions=unsure, default="$oci_first_patterns")
    yield from below_maps("oci_path_below", "", rows.paths_below, "$oci_first_last")
    nearest = f"$oci_path_below_{max(rows.paths_below)}" if rows.paths_below else "$oci_first_last"
    yield Map(
        "$oci_key",
        "oci_path_exactly",
        rows.paths_exactly,
        default=nearest,
        about="Repositories that begin with their registry.",
    )
    yield from reference_maps("oci_by_path", "", rows.paths_referenced, "$oci_path_exactly")
    yield Map(
        "$oci_reads_paths $oci_first",
        "oci_told",
        default=EVERYTHING,
        expressions=expressions(
            ("^(?:1? ?$| )", EVERYTHING),
            (r"[A-Z]|:0|:(?:80|443)$|\.$|\.:", "!"),
            ("^1 .", "$oci_by_path"),
        ),
    )
