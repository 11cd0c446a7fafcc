"""Disks that are full: requests are served, and it is said once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.asking import ask
from lab.leaks import open_files
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import require, run, wait_until
from lab.serve import Serve
from lab.wire import BLOB, DIGEST, MANIFEST, NAMESPACE, healthy, wire
from oci_ns.flow_file import transfers_in

DISK_BYTES = 64 * 1024
PULLS = 60


@dataclass
class Disk:
    """A file system of 64 KiB."""

    path: Path

    def fill(self) -> Path:
        rest = self.path / "rest"
        with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        return rest


@pytest.fixture
def disk(tmp_path: Path, network: PrivateNetwork) -> Iterator[Disk]:
    assert network
    path = tmp_path / "disk"
    path.mkdir()
    run([require("mount"), "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", path])
    yield Disk(path)
    run([require("umount"), "--lazy", path])


@contextlib.contextmanager
def running(kind: type[Mitmdump], directory: Path, **options: str) -> Iterator[Mitmdump]:
    conf = directory / "registries.conf"
    with wire(healthy) as server:
        conf.write_text(
            f'[[registry]]\nprefix = "quay.test"\nlocation = "{server.authority}"\n'
            f'plain-http = true\nnamespace-proxy = "{NAMESPACE}"\n'
        )
        with kind(directory, conf=conf, options=options) as runner:
            yield runner


def pull(runner: Mitmdump) -> None:
    for what, content in (("manifests/v1", MANIFEST), (f"blobs/{DIGEST}", BLOB)):
        got = ask(runner.port, f"http://quay.test/v2/team/app/{what}")
        assert (got.status, got.body, got.broken) == (200, content, "")


@pytest.mark.parametrize("kind", [Mitmdump, Serve])
def test_the_json_log_on_a_full_disk_costs_lines_and_no_request(
    kind: type[Mitmdump], disk: Disk, tmp_path: Path
) -> None:
    log = disk.path / "log.json"
    with running(kind, tmp_path, ns_log_json=str(log)) as runner:
        pull(runner)
        rest = disk.fill()
        files = open_files(runner.pid)
        for _ in range(PULLS):
            pull(runner)
        told = [line for line in runner.log().splitlines() if "ns_log_json" in line]
        assert len(told) == 1
        assert f"{log} cannot be written: [Errno 28] No space left on device" in told[0]
        assert "Traceback" not in runner.log()
        wait_until(lambda: open_files(runner.pid) <= files, "all files are closed")
        rest.unlink()
        size = log.stat().st_size
        pull(runner)
        wait_until(lambda: log.stat().st_size > size, "lines are written again")
    last = log.read_text().splitlines()[-1]
    assert json.loads(last)["event"]


@pytest.mark.parametrize("kind", [Mitmdump, Serve])
def test_the_flow_file_on_a_full_disk_costs_flows_and_no_request(
    kind: type[Mitmdump], disk: Disk, tmp_path: Path
) -> None:
    flows = disk.path / "flows"
    with running(kind, tmp_path, save_stream_file=str(flows)) as runner:
        pull(runner)
        disk.fill()
        for _ in range(PULLS):
            pull(runner)
        told = [line for line in runner.log().splitlines() if "cannot be written" in line]
        assert len(told) == 1
        assert f"{flows} cannot be written: No space left on device" in told[0]
        assert "Traceback" not in runner.log()
    transfers, problem = transfers_in(str(flows))
    assert (transfers != [], problem) == (True, "")
