"""The commands in mitmproxy's and mitmweb's console: `ns.explain`, `ns.routes`, `ns.pulls`, `ns.reload`.

Knows mitmproxy's commands; what they print is made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mitmproxy import ctx, exceptions, flow, http
from mitmproxy.addonmanager import Loader

from oci_ns.annotation import SEPARATOR
from oci_ns.explain import image_lines, is_url, trace_url, url_lines
from oci_ns.logins.bearer import token_in
from oci_ns.observed import record_in, saved_transfer
from oci_ns.printable import printable
from oci_ns.pull import Pull
from oci_ns.pull_text import HEADER, agent_name, notes, pull_row
from oci_ns.pulls import pulls_in
from oci_ns.reference import parse_image
from oci_ns.routes import RouteTable
from oci_ns.table_text import rows
from oci_ns.trace import trace_image, trace_lines
from oci_ns.views.text import table
from oci_ns.views.token import token_lines

_COLUMNS = ("begun", "image", "result", "platform", "layers", "bytes", "seconds", "endpoint")
"""Of a pull, on its first line: a console of 160 columns has room for 126 characters."""
_NUMBERS = {_COLUMNS.index(name) for name in ("layers", "bytes", "seconds")}
_TIME = slice(11, 19)
_INDENT = " " * len("00:00:00Z  ")


class Deciding(Protocol):
    """The addon that decides."""

    table: RouteTable

    def reload(self) -> None:
        """Read the configuration again."""
        ...


class Commands:
    """The commands, about what `addon` has loaded."""

    def __init__(self, addon: Deciding) -> None:
        self._addon = addon

    def load(self, loader: Loader) -> None:
        """Add the commands to mitmproxy."""
        loader.add_command("ns.explain", self.explain)
        loader.add_command("ns.routes", self.routes)
        loader.add_command("ns.pulls", self.pulls)
        loader.add_command("ns.reload", self.reload)

    def explain(self, what: str = "@focus", method: str = "GET") -> Sequence[str]:
        """Why a request is decided as it is: a flow (@focus, or a filter), a URL, or an image."""
        try:
            if is_url(what):
                return self._url(method.upper(), what)
            flows = self._flows(what) if what.startswith(("@", "~")) else None
            if flows is not None:
                return self._flow(flows)
            return [*image_lines(self._addon.table.index, what), "", *self._image_trace(what)]
        except ValueError as error:
            raise exceptions.CommandError(str(error)) from error

    def routes(self, text: str = "") -> Sequence[str]:
        """The table in use: each endpoint, in order. With a text, those whose prefix or location contains it."""
        return table(rows(self._addon.table.index.registries, text))

    def pulls(self, flows: str = "@all") -> Sequence[str]:
        """Pulls, not requests: each image that a client pulled, and how that went (@all, @shown, or a filter)."""
        transfers = map(saved_transfer, self._flows(flows))
        found = pulls_in(transfer for transfer in transfers if transfer is not None)
        if not found:
            return ["no pulls"]
        header, *lines = table([_COLUMNS, *map(_row, found)], _NUMBERS)
        return [header, *(each for line, pull in zip(lines, found, strict=True) for each in (line, *_details(pull)))]

    def reload(self) -> str:
        """Read registries.conf again, now, changed or not. The event log tells what came of it."""
        self._addon.reload()
        return "reading the configuration again: the event log tells what comes of it"

    def _flows(self, spec: str) -> Sequence[flow.Flow]:
        found: Sequence[flow.Flow] = ctx.master.commands.call_strings("view.flows.resolve", [spec])
        return found

    def _flow(self, flows: Sequence[flow.Flow]) -> list[str]:
        first = next((each for each in flows if isinstance(each, http.HTTPFlow)), None)
        record = record_in(first) if first is not None else None
        if first is None or record is None:
            raise ValueError("no registry request is selected: choose one below /v2, or name a URL or an image")
        lines = first.comment.split(SEPARATOR) if first.comment else []
        token = token_in(first.request.headers.get("Authorization"))
        if token:
            lines += ["", *token_lines(token, first.request.timestamp_start)]
        return [*lines, "", *self._url(first.request.method, record.addressed)]

    def _url(self, method: str, url: str) -> list[str]:
        lines = url_lines(self._addon.table, method, url)
        return [*lines, "", *trace_lines(trace_url(self._addon.table, method, url))]

    def _image_trace(self, what: str) -> list[str]:
        return trace_lines(trace_image(self._addon.table.index, parse_image(what)))


def _row(pull: Pull) -> tuple[str, ...]:
    cells = dict(zip(HEADER, pull_row(pull), strict=True))
    cells["begun"] = f"{cells['begun'][_TIME]}Z"
    return tuple(cells[name] for name in _COLUMNS)


def _details(pull: Pull) -> list[str]:
    """What there is no room for beside it, one thing a line."""
    who = f"{pull.client} {agent_name(pull)}"
    return [f"{_INDENT}{printable(each)}" for each in (who, pull.digest, *notes(pull)) if each]
