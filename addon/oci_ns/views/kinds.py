"""The content views there are: what each is called, which bodies it takes, and how it shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oci_ns.views.config import config_lines, is_config
from oci_ns.views.envelope import Envelope
from oci_ns.views.index import index_lines, is_index, is_referrers, referrers_lines
from oci_ns.views.manifest import is_manifest, manifest_lines
from oci_ns.views.registry import errors_lines, is_errors, is_tags, tags_lines
from oci_ns.views.token import is_token, token_answer_lines

_TAKEN = 3.0
"""More than mitmproxy's own views for JSON say: 1, and 2 for GraphQL."""
_TAKEN_WITHOUT_BODY = 0.2
"""Less than its view for queries says (0.3), which is about the request itself; more than its raw view (0.1)."""
_NOT_TAKEN = -1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A content view. `lines` gives None for a body that is nothing of the kind; neither function ever raises."""

    name: str
    takes: Callable[[bytes, Envelope], bool]
    lines: Callable[[bytes, Envelope], list[str] | None]

    def priority(self, body: bytes, envelope: Envelope) -> float:
        """How much this view is for a body, on mitmproxy's scale; negative where it is not."""
        if not self.takes(body, envelope):
            return _NOT_TAKEN
        return _TAKEN if body else _TAKEN_WITHOUT_BODY

    def shown(self, body: bytes, envelope: Envelope) -> list[str]:
        """The lines for a body, which the user may have chosen this view for although it is something else."""
        lines = self.lines(body, envelope)
        return lines if lines is not None else [f"nothing that the view {self.name!r} could show"]


KINDS = (
    Kind("OCI manifest", is_manifest, manifest_lines),
    Kind("OCI index", is_index, index_lines),
    Kind("OCI referrers", is_referrers, referrers_lines),
    Kind("OCI config", is_config, config_lines),
    Kind("OCI tags", is_tags, tags_lines),
    Kind("OCI error", is_errors, errors_lines),
    Kind("Bearer token", is_token, token_answer_lines),
)
