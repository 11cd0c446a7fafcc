"""A saved flow file as transfers: what mitmproxy, mitmdump or mitmweb wrote with `--save-stream-file` or its UI.

Knows mitmproxy's file format. A file that ends in the middle of a flow (the process was killed) is read up to there.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mitmproxy import exceptions, http
from mitmproxy.io import FlowReader

from oci_ns.findings import finding_in
from oci_ns.observed import record_in, transfer_of
from oci_ns.transfer import Transfer


def transfers_in(path: str) -> tuple[list[Transfer], str]:
    """The registry requests in a file (`-`: standard input) in their order, and why the rest cannot be read, or ''."""
    transfers: list[Transfer] = []
    try:
        with _opened(path) as stream:
            for flow in FlowReader(stream).stream():
                record = record_in(flow) if isinstance(flow, http.HTTPFlow) else None
                if record is not None and isinstance(flow, http.HTTPFlow):
                    findings = map(finding_in, record.findings)
                    transfers.append(transfer_of(flow, record, tuple(each for each in findings if each is not None)))
    except OSError as error:
        return transfers, f"{path}: {error.strerror}"
    except exceptions.FlowReadException as error:
        return transfers, f"{path}: {error}"
    return transfers, ""


def _opened(path: str) -> BinaryIO:
    # Closing it leaves the process its standard input.
    return open(0, "rb", closefd=False) if path == "-" else Path(path).open("rb")
