"""The Lua code that Envoy runs for each request, put together of its parts, `lua_…`.

Envoy's own matchers and mutations would do for most of it, but not for all: they sort and decode the parameters of a
query that they edit, and cannot tell a repository from what follows it.
"""

from __future__ import annotations

from oci_ns import presence
from oci_ns.export.contract import Settings
from oci_ns.export.envoy.lua_carrying import CARRYING
from oci_ns.export.envoy.lua_in_turn import IN_TURN
from oci_ns.export.envoy.lua_lookup import LOOKUP
from oci_ns.export.envoy.lua_names import NAMES
from oci_ns.export.envoy.lua_targets import TARGETS
from oci_ns.export.envoy.quick import Quick, back
from oci_ns.export.envoy.table import lines_of, quoted
from oci_ns.export.tabulation import Tabulation


def outer(tabulation: Tabulation, settings: Settings) -> list[str]:
    """The lines for the listener that clients connect to."""
    destination = settings.destination
    addressed = "nil"
    if destination is not None and isinstance(destination.host, str):
        addressed = f"{{{quoted(destination.scheme)}, {quoted(destination.host)}, {destination.port}}}"
    own = [
        f"local TABLE_SCHEME = {quoted(tabulation.scheme)}",
        f"local READS_NAMESPACES = {'true' if tabulation.reads_namespaces else 'false'}",
        f"local DESTINATION = {addressed}",
        f"local PRESENCE = {{path = {quoted(presence.PATH)}, answer = {quoted(presence.answer().decode())}}}",
    ]
    code = [*own, *_shared(settings), *TARGETS.splitlines(), *LOOKUP.splitlines()]
    return [*code, "", "-- What registries.conf says, with the entry that each part comes from", *lines_of(tabulation)]


def way_back(settings: Settings, quick: Quick) -> list[str]:
    """The lines for answers to what went the short way."""
    return [*_shared(settings), *back(quick)]


def inner(settings: Settings) -> list[str]:
    """The lines for the listener of Envoy's own retry."""
    return [*_shared(settings), *IN_TURN.splitlines()]


def _shared(settings: Settings) -> list[str]:
    return [
        f"local LISTENING = {'true' if settings.destination is not None else 'false'}",
        f"local BASE = {quoted('https://' if settings.certificate else 'http://')}",
        *NAMES.splitlines(),
        *CARRYING.splitlines(),
    ]
