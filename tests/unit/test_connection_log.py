"""What mitmproxy logs of connections, without control characters."""

from __future__ import annotations

import logging

import pytest

from oci_ns import connection_log


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("client connect", "client connect"),
        ("Illegal character '\x00' in header value", r"Illegal character '\x00' in header value"),
        ("an \x1b[31mescape and\na line", r"an \x1b[31mescape and\na line"),
        ("\udcff and \u2028", r"\udcff and \u2028"),
        ("crashed\nTraceback (most recent call last)\n  x\x07", "crashed\nTraceback (most recent call last)\n  x\\x07"),
    ],
)
def test_control_characters_are_written_as_escapes(
    said: str, logged: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("mitmproxy.proxy.server")
    monkeypatch.setattr(logger, "filters", [])
    connection_log.install()
    connection_log.install()
    logger.warning("%s", said)
    assert caplog.messages == [logged]
    assert len(logger.filters) == 1
