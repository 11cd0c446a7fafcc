"""Configuration files that are none: the start ends with the reason, and a reload leaves what was there in use."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.asking import ask
from lab.leaks import open_files
from lab.measurements import noted
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import clean_env, rss_kib, wait_until
from lab.serve import ENV, Serve
from lab.wire import MANIFEST, NAMESPACE, healthy, wire

MIB = 2**20
STAYS = "; what was loaded before stays in use"
QUIET_SECONDS = 1.2


def hundred_mib(path: Path) -> None:
    line = b'[[registry]]\nprefix = "quay.test"\nlocation = "proxy.test"\n'
    path.write_bytes(line * (100 * MIB // len(line)))


def leads_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "vanished": (lambda _: None, "cannot be read: No such file or directory"),
    "a directory": (Path.mkdir, "cannot be read: Is a directory"),
    "of 100 MiB": (hundred_mib, "is larger than 64 MiB"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a circle of links": (leads_to("registries.conf"), "cannot be read: Too many levels of symbolic links"),
    # Root may read what others may not: this one has no permission that is missing, and cannot be read all the same.
    "unreadable": (leads_to("/proc/self/mem"), "cannot be read: Input/output error"),
    "a device": (leads_to("/dev/zero"), "is not a regular file"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_the_start_ends_with_file_and_reason_where_it_is(what: str, tmp_path: Path, network: PrivateNetwork) -> None:
    assert network
    spoil, reason = SPOILED[what]
    conf = tmp_path / "registries.conf"
    spoil(conf)
    kind = (Mitmdump, Serve)[list(SPOILED).index(what) % 2]
    env = clean_env(tmp_path, PYTHONDONTWRITEBYTECODE="1", **ENV)
    command = kind(tmp_path, conf=conf).argv
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 1, output
    assert output.count(f"{conf}: {reason}") == 1
    assert "Traceback" not in output


def test_a_reload_of_what_is_none_is_logged_once_and_disturbs_no_request(
    tmp_path: Path, network: PrivateNetwork
) -> None:
    assert network
    directory = tmp_path / "conf"
    directory.mkdir()
    conf = directory / "registries.conf"
    with wire(healthy) as server:
        good = (
            f'[[registry]]\nprefix = "quay.test"\nlocation = "{server.authority}"\n'
            f'plain-http = true\nnamespace-proxy = "{NAMESPACE}"\n'
        )
        conf.write_text(good)
        with Mitmdump(tmp_path, conf=conf, options={"flow_detail": "0"}) as runner:

            def pull() -> float:
                begin = time.monotonic()
                got = ask(runner.port, "http://quay.test/v2/team/app/manifests/v1")
                assert (got.status, got.body) == (200, MANIFEST)
                return time.monotonic() - begin

            def told() -> list[str]:
                return [line for line in runner.log().splitlines() if line.endswith(STAYS)]

            pull()
            files = open_files(runner.pid)
            for spoil, reason in SPOILED.values():
                before, memory, longest = len(told()), rss_kib(runner.pid), 0.0
                conf.rmdir() if conf.is_dir() and not conf.is_symlink() else conf.unlink(missing_ok=True)
                spoil(conf)
                wait_until(lambda before=before: len(told()) > before, f"told: {reason}")  # type: ignore[misc]
                until = time.monotonic() + QUIET_SECONDS
                while time.monotonic() < until:
                    longest = max(longest, pull())
                noted(f"configuration {reason}: longest request {longest * 1000:.0f} ms")
                (line,) = told()[before:]
                assert f"{conf}: {reason}{STAYS}" in line
                assert rss_kib(runner.pid) - memory < 32 * 1024
            assert "Traceback" not in runner.log()
            conf.unlink()
            conf.write_text(good)
            wait_until(lambda: runner.log().count("1 registries from") == 2, "a good file is loaded")
            wait_until(lambda: open_files(runner.pid) <= files, "all files are closed")
            pull()
