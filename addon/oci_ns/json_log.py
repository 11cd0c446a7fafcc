"""`ns_log_json`: one JSON object per line for each decision, each finding and each pull.

Knows the fields (the README describes them) and the file; a disk that is full costs lines, never a request.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from oci_ns.discreet import discreet, shown_url
from oci_ns.pull import Pull
from oci_ns.pull_text import moment, pull_object
from oci_ns.transfer import Transfer

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"


def decision_object(transfer: Transfer) -> dict[str, Any]:
    """A decision, before there is an answer; null for what is not known."""
    record = transfer.record
    return {
        "time": moment(transfer.begun),
        "event": "decision",
        "client": transfer.client,
        "agent": transfer.agent,
        "method": transfer.method,
        "url": shown_url(record.addressed),
        "operation": record.operation,
        "image": record.image,
        "action": record.action,
        "namespace": record.namespace or None,
        "source": record.source or None,
        "entry": record.entry or None,
        "endpoint": record.endpoint or None,
        "upstream": shown_url(record.upstream) or None,
        "passed_over": record.passed_over,
        "error": record.error or None,
    }


def finding_objects(transfer: Transfer) -> list[dict[str, Any]]:
    """What was found when the answer was there, an object for each."""
    record = transfer.record
    return [
        {
            "time": moment(transfer.ended or transfer.begun),
            "event": "finding",
            "client": transfer.client,
            "method": transfer.method,
            "url": shown_url(record.addressed),
            "image": record.image,
            "endpoint": record.endpoint or None,
            "status": transfer.status,
            "kind": finding.kind.value,
            "text": finding.text,
        }
        for finding in transfer.findings
    ]


class _Handler(WatchedFileHandler):
    """Opens the file anew where it was renamed (logrotate), and tells once where it cannot be written."""

    _told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self.reopenIfNeeded()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        """Tell the log of mitmproxy, once: what follows would be the same."""
        if not self._told:
            self._told = True
            logger.error("ns_log_json: %s cannot be written: %s", self.baseFilename, sys.exc_info()[1])


class JsonLog:
    """Writes what it is told. Belongs to one event loop."""

    def __init__(self, path: str) -> None:
        """`path` is a file to append to, `-` for standard output. Raises OSError where it cannot be opened."""
        handler: logging.Handler
        if path == STANDARD_OUTPUT:
            handler = logging.StreamHandler(sys.stdout)
        else:
            handler = _Handler(Path(os.path.expanduser(path)), encoding="utf-8", errors="surrogateescape")
        self._handler = handler

    def decided(self, transfer: Transfer) -> None:
        """A decision."""
        self._write(decision_object(transfer))

    def answered(self, transfer: Transfer) -> None:
        """What was found in an answer."""
        for each in finding_objects(transfer):
            self._write(each)

    def pulled(self, pull: Pull) -> None:
        """A pull that is over."""
        self._write({"time": moment(pull.ended), "event": "pull", **pull_object(pull)})

    def close(self) -> None:
        """Close the file."""
        self._handler.close()

    def _write(self, value: dict[str, Any]) -> None:
        # JSON keeps every control character escaped, so that one object stays one line.
        self._handler.emit(logging.LogRecord("ns_inject", logging.INFO, "", 0, json.dumps(discreet(value)), None, None))
