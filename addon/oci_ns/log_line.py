"""The one line that is logged for a decision: method, what was addressed, `->`, what goes upstream, and why."""

from __future__ import annotations

import logging

from oci_ns.decision import Decision
from oci_ns.discreet import shown_url
from oci_ns.printable import printable


def is_heard(level: int) -> bool:
    """Whether anybody listens to messages of this level: mitmproxy lets all of them be made, even where it is quiet."""
    return any(handler.level <= level for handler in logging.root.handlers)


def decision_line(method: str, addressed: str, decision: Decision) -> str:
    """The line for a request that addressed the URL `addressed`."""
    error = decision.error
    upstream = str(error) if error is not None else shown_url(str(decision.upstream))
    where = decision.source.value if decision.source is not None else "no rule"
    namespace = f"ns={decision.namespace}" if decision.namespace is not None else "no ns"
    asked = f"{printable(method)} {printable(shown_url(addressed))}"
    return f"{asked} -> {printable(upstream)} [{printable(namespace)}, {where}]"
