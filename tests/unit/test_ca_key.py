"""Who can read the key of mitmproxy's CA."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_ns.ca_key import exposures


@pytest.mark.parametrize(
    ("directory", "key", "told"),
    [
        (0o700, 0o600, []),
        (0o755, 0o600, []),
        (0o755, 0o400, []),
        (0o755, 0o644, ["read"]),
        (0o755, 0o640, ["read"]),
        (0o755, 0o620, ["change"]),
        (0o777, 0o600, ["replace"]),
        (0o1777, 0o600, []),
        (0o775, 0o666, ["replace", "read"]),
    ],
)
def test_what_others_can_do_is_told(directory: int, key: int, told: list[str], tmp_path: Path) -> None:
    confdir = tmp_path / "confdir"
    confdir.mkdir()
    (confdir / "mitmproxy-ca.pem").touch()
    (confdir / "mitmproxy-ca.pem").chmod(key)
    (confdir / "mitmproxy-ca-cert.pem").touch(0o644)
    confdir.chmod(directory)
    found = list(exposures(confdir))
    assert [word for text in found for word in ("replace", "read", "change") if f"can {word}" in text] == told
    assert all("chmod" in text and str(confdir) in text for text in found)


def test_what_is_not_there_is_nobodys(tmp_path: Path) -> None:
    assert list(exposures(tmp_path / "absent")) == []
