"""Changes of the configuration under a running mitmdump: they take effect soon, as a whole, and disturb no request."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.fixtures import Images, MitmdumpFactory
from lab.measurements import measured, noted
from lab.mitmdump import Mitmdump
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy
from lab.process import wait_until
from lab.registries import ETCD, Registry
from tests.unit.changes import WAYS

PROMISED_SECONDS = 2.0
LOADED = " registries from "
STAYS = "; what was loaded before stays in use"
REQUESTS, THREADS, RELOAD_SECONDS = 2000, 8, 0.05
MIB = 2**20

pytestmark = pytest.mark.usefixtures("source_registries_untouched")


def conf(path: str, namespace: str, *, prefix: str = "quay.io") -> str:
    """A configuration by which quay.io comes from below `path` at the registry proxy alone, as `namespace`."""
    return (
        f'[[registry]]\nprefix = "{prefix}"\nlocation = "{PROXY_NAME}:5000/{path}"\nplain-http = true\n'
        f'namespace-proxy = "{namespace}"\n'
    )


QUAY, OTHER = conf("quay", "quay.io"), conf("other", "docker.io")
BROKEN = "[[registry]]\n"


@dataclass(frozen=True)
class Running:
    """A mitmdump whose listener stands for quay.io."""

    mitmdump: Mitmdump
    directory: Path

    @property
    def conf(self) -> Path:
        return self.directory / "registries.conf"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.mitmdump.port, timeout=60)

    def namespace(self) -> str:
        """The namespace with which a request arrives at the registry proxy now."""
        connection = self.connect()
        connection.request("GET", f"/v2/{ETCD}/tags/list")
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.headers["OCI-Namespace"]

    def takes_effect(self, namespace: str, what: str, change: Callable[[], object]) -> None:
        """Make the change; the namespace is another within the promised time."""
        begin = time.monotonic()
        change()
        wait_until(lambda: self.namespace() == namespace, f"{what} takes effect", timeout=PROMISED_SECONDS)
        measured(f"reload: {what} takes effect", begin)

    def hangup(self) -> None:
        os.kill(self.mitmdump.pid, signal.SIGHUP)

    def loads(self) -> int:
        return self.mitmdump.log().count(LOADED)

    def errors(self) -> list[str]:
        return [line for line in self.mitmdump.log().splitlines() if line.endswith(STAYS)]


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy) -> Start:
    assert nsproxy

    def start(lay_out: Callable[[Path, str], None], **options: str) -> Running:
        directory = tmp_path / "conf"
        directory.mkdir()
        lay_out(directory, QUAY)
        given = None if "ns_registries_conf" in options else directory / "registries.conf"
        mitmdump = mitmdump_factory(conf=given, modes=["reverse:https://quay.io"], options=options)
        running = Running(mitmdump, directory)
        assert running.namespace() == "quay.io"
        return running

    return start


def plain(directory: Path, text: str) -> None:
    (directory / "registries.conf").write_text(text)


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_file_takes_effect(way: str, start: Start) -> None:
    lay_out, change = WAYS[way]
    running = start(lay_out)
    running.takes_effect("docker.io", way, lambda: change(running.directory, OTHER))
    assert running.loads() == 2
    assert running.errors() == []


def test_a_drop_in_takes_effect_when_it_comes_and_when_it_goes(start: Start, tmp_path: Path) -> None:
    drop_ins = tmp_path / "drop-ins"
    running = start(plain, ns_registries_conf_d=str(drop_ins))
    drop_ins.mkdir()
    drop_in = drop_ins / "50-other.conf"
    running.takes_effect("docker.io", "a drop-in added", lambda: drop_in.write_text(OTHER))
    running.takes_effect("quay.io", "a drop-in removed", drop_in.unlink)


def test_a_users_file_in_the_search_path_takes_effect_when_it_comes_and_when_it_goes(
    start: Start, tmp_path: Path
) -> None:
    system = Path("/etc/containers/registries.conf.d/quay.conf")
    system.parent.mkdir(parents=True, exist_ok=True)
    system.write_text(QUAY)
    users = tmp_path / "mitmdump" / ".config" / "containers" / "registries.conf.d" / "other.conf"
    users.parent.mkdir(parents=True)
    try:
        running = start(plain, ns_registries_conf="system")
        running.takes_effect("docker.io", "a user's file added", lambda: users.write_text(OTHER))
        running.takes_effect("quay.io", "a user's file removed", users.unlink)
    finally:
        system.unlink()


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_huge(path: Path) -> None:
    os.truncate(path, 2**40)


SPOILED: dict[str, Callable[[Path], object]] = {
    "broken": lambda path: path.write_text(BROKEN),
    "gone": lambda path: path.unlink(),
    "a directory": become_a_directory,
    "huge": become_huge,
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_file_that_does_not_load_is_logged_once_the_last_good_one_stays_and_a_good_one_takes_effect(
    what: str, start: Start
) -> None:
    running = start(plain)
    SPOILED[what](running.conf)
    wait_until(lambda: len(running.errors()) == 1, "the error is logged", timeout=PROMISED_SECONDS)
    assert str(running.conf) in running.errors()[0]
    until = time.monotonic() + PROMISED_SECONDS
    while time.monotonic() < until:
        assert running.namespace() == "quay.io"
    assert len(running.errors()) == 1
    assert running.loads() == 1
    if running.conf.is_dir():
        running.conf.rmdir()

    def replace() -> None:
        (running.directory / "new").write_text(OTHER)
        os.rename(running.directory / "new", running.conf)

    running.takes_effect("docker.io", f"a good file where it was {what}", replace)
    assert len(running.errors()) == 1
    assert "Traceback" not in running.mitmdump.log()


def test_a_file_that_is_gone_for_a_moment_is_no_news(start: Start) -> None:
    running = start(plain)
    kept = running.directory / "kept"
    begin = time.monotonic()
    running.conf.rename(kept)
    kept.rename(running.conf)
    # Had it been read, the error would be there.
    while time.monotonic() < begin + PROMISED_SECONDS:
        assert running.namespace() == "quay.io"
    assert running.errors() == []


def test_sighup_reads_the_files_at_once_also_if_nothing_changed(start: Start) -> None:
    running = start(plain)
    running.hangup()
    wait_until(lambda: running.loads() == 2, "SIGHUP is heeded", timeout=PROMISED_SECONDS)

    def change() -> None:
        running.conf.write_text(OTHER)
        running.hangup()

    running.takes_effect("docker.io", "SIGHUP", change)
    running.conf.write_text(BROKEN)
    for count in (1, 2):
        running.hangup()
        wait_until(lambda count=count: len(running.errors()) >= count, "SIGHUP is heeded")  # type: ignore[misc]
    assert running.namespace() == "docker.io"
    assert running.mitmdump.alive()


def test_a_blob_on_its_way_arrives_although_its_registry_went_away(start: Start, quay: Registry) -> None:
    blob = quay.push_big("reload/big", "1", 64 * MIB).layers[0]
    running = start(plain)
    connection = running.connect()
    connection.request("GET", f"/v2/reload/big/blobs/{blob}")
    response = connection.getresponse()
    hashed = hashlib.sha256(response.read(MIB))
    running.takes_effect("docker.io", "a change during a pull", lambda: running.conf.write_text(OTHER))
    while chunk := response.read(MIB):
        hashed.update(chunk)
    assert f"sha256:{hashed.hexdigest()}" == blob


def test_under_a_reload_every_50_ms_no_request_fails_and_none_is_decided_by_half_of_a_table(
    start: Start, nsproxy: NamespaceProxy, hub: Registry, images: Images
) -> None:
    other = hub.push(f"other/{ETCD}", "v3", "etcd of the other table")
    running = start(plain)
    nsproxy.mark()
    ended = threading.Event()

    def reload() -> int:
        count = 0
        while not ended.wait(RELOAD_SECONDS):
            count += 1
            (running.directory / "new").write_text((QUAY, OTHER)[count % 2])
            os.rename(running.directory / "new", running.conf)
            running.hangup()
        return count

    def ask(count: int) -> list[tuple[int, str, str, str]]:
        connection = running.connect()
        headers = {"Accept": f"{images.etcd.media_type}, {other.media_type}"}
        answers = []
        for _ in range(count):
            connection.request("GET", f"/v2/{ETCD}/manifests/v3", headers=headers)
            response = connection.getresponse()
            digest = f"sha256:{hashlib.sha256(response.read()).hexdigest()}"
            said = response.headers["Docker-Content-Digest"]
            answers.append((response.status, response.headers["OCI-Namespace"], said, digest))
        return answers

    with ThreadPoolExecutor() as pool:
        reloads = pool.submit(reload)
        try:
            asked = [pool.submit(ask, REQUESTS // THREADS) for _ in range(THREADS)]
            answers = Counter(answer for each in asked for answer in each.result())
        finally:
            ended.set()
    arrived = Counter(request.target for request in nsproxy.requests())
    noted(f"reload: {running.loads()} loads of {reloads.result()} changes under {REQUESTS} requests: {dict(arrived)}")
    by_table = {
        (200, "quay.io", images.etcd.digest, images.etcd.digest): f"/v2/quay/{ETCD}/manifests/v3?ns=quay.io",
        (200, "docker.io", other.digest, other.digest): f"/v2/other/{ETCD}/manifests/v3?ns=docker.io",
    }
    assert answers.keys() == by_table.keys()
    assert arrived == {by_table[answer]: count for answer, count in answers.items()}
    assert answers.total() == REQUESTS
    # A few changes may fall into one reading, or into the middle of one.
    assert running.loads() > reloads.result() / 2
    assert running.errors() == []
    assert "Traceback" not in running.mitmdump.log()
