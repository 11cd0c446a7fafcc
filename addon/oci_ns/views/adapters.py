"""The content views as mitmproxy wants them, in version 11 and since version 12.

Knows mitmproxy's two interfaces, `View` and `Contentview`, and nothing of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitmproxy import contentviews, http
from mitmproxy.contentviews import base

from oci_ns.logins.bearer import token_in
from oci_ns.views.envelope import Envelope
from oci_ns.views.kinds import KINDS, Kind

_HAS_CONTENTVIEW = hasattr(contentviews, "Contentview")
# Neither version's types have what the other's have.
_api: Any = contentviews


def register() -> None:
    """Add the views to mitmproxy's; those of an earlier load are replaced."""
    unregister()
    adapter: Callable[[Kind], Any] = _Since12 if _HAS_CONTENTVIEW else _view_of_11
    for kind in KINDS:
        _api.add(adapter(kind))


def unregister() -> None:
    """Take the views away again; nothing happens where they are not there."""
    remove = _remove_since_12 if _HAS_CONTENTVIEW else _remove_in_11
    for kind in KINDS:
        remove(kind.name)


class _Since12:
    """A `Contentview`, which is a protocol: its class need not be known where it does not exist."""

    syntax_highlight = "none"

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.name = kind.name

    def prettify(self, data: bytes, metadata: Any) -> str:
        """Give the text to be shown."""
        return "\n".join(_lines(self._kind, data, vars(metadata)))

    def render_priority(self, data: bytes, metadata: Any) -> float:
        """Tell how much this view is for the data."""
        return self._kind.priority(data, _envelope(vars(metadata)))

    def __lt__(self, other: Any) -> bool:
        return bool(self.name < other.name)


def _view_of_11(kind: Kind) -> base.View:
    # A class inside a function: where View is deprecated, to derive from it would warn.
    class View(base.View):
        name = kind.name

        def __call__(self, data: bytes, **metadata: Any) -> Any:
            return kind.name, iter([[("text", line)] for line in _lines(kind, data, metadata)])

        def render_priority(self, data: bytes, **metadata: Any) -> float:
            return kind.priority(data, _envelope(metadata))

    return View()


def _remove_since_12(name: str) -> None:
    # The registry can replace a view and has no way to remove one.
    removed = _api.registry._by_name.pop(name.lower(), None)
    if removed is not None:
        _api.registry.on_change.send(removed)


def _remove_in_11(name: str) -> None:
    view = _api.get(name)
    if view is not None:
        _api.remove(view)


def _lines(kind: Kind, data: bytes, metadata: dict[str, Any]) -> list[str]:
    # mitmweb gives a line without a character no height.
    return [line or " " for line in kind.shown(data, _envelope(metadata))]


def _envelope(metadata: dict[str, Any]) -> Envelope:
    """What mitmproxy knows of a body. Its names are the same in both versions, and any may be missing."""
    content_type = metadata.get("content_type") or ""
    flow, message = metadata.get("flow"), metadata.get("http_message")
    if not isinstance(flow, http.HTTPFlow) or not isinstance(message, http.Message):
        return Envelope(content_type)
    request = flow.request
    return Envelope(
        content_type=content_type,
        target=request.path,
        is_response=isinstance(message, http.Response),
        form=_form(request),
        bearer=token_in(message.headers.get("authorization")) if isinstance(message, http.Request) else "",
        time=message.timestamp_start,
    )


def _form(request: http.Request) -> bytes:
    is_form = "application/x-www-form-urlencoded" in request.headers.get("content-type", "").lower()
    return (request.get_content(strict=False) or b"") if is_form else b""
