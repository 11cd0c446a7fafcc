"""A saved flow file as transfers: what mitmproxy, mitmdump or mitmweb wrote.

Knows mitmproxy's file format. A file that ends in the middle of a flow (the process was killed) is read up to there.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mitmproxy import exceptions
from mitmproxy.io import FlowReader

from oci_ns.observed import saved_transfer
from oci_ns.transfer import Transfer


def transfers_in(path: str) -> tuple[list[Transfer], str]:
    """The registry requests in a file (`-`: standard input) in their order, and why the rest cannot be read, or ''."""
    transfers: list[Transfer] = []
    try:
        with _opened(path) as stream:
            for flow in FlowReader(stream).stream():
                transfer = saved_transfer(flow)
                if transfer is not None:
                    transfers.append(transfer)
    except OSError as error:
        return transfers, f"{path}: {error.strerror}"
    except exceptions.FlowReadException as error:
        return transfers, f"{path}: {error}"
    return transfers, ""


def _opened(path: str) -> BinaryIO:
    # Closing it leaves the process its standard input.
    return open(0, "rb", closefd=False) if path == "-" else Path(path).open("rb")
