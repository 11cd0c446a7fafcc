"""`ns-inject serve`, as processes: what mitmdump does it does, and several workers do it as one."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import Surroundings
from lab.corporate_proxy import CorporateProxy
from lab.fixtures import CurlFactory, Images, SkopeoFactory
from lab.network import PROXY_NAME, ClientMachine, PrivateNetwork, redirect
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import clean_env, free_port, rss_kib, run, wait_until
from lab.registries import ETCD, fetch
from lab.serve import ENV, PROGRAM, Serve

MIB = 2**20
TAGS = f"/v2/{ETCD}/tags/list"
LOADED = " registries from "


def conf(location: str = f"{PROXY_NAME}:5000", prefix: str = "quay.io") -> str:
    return (
        f'[[registry]]\nprefix = "{prefix}"\nlocation = "{location}"\nplain-http = true\nnamespace-proxy = "{prefix}"\n'
    )


@pytest.fixture(scope="module")
def confdir(lab_directory: Path) -> Path:
    return lab_directory / "serve-confdir"


@pytest.fixture(scope="module")
def conf_file(lab_directory: Path) -> Path:
    path = lab_directory / "serve.conf"
    path.write_text(conf())
    return path


Start = Callable[..., Serve]


@pytest.fixture
def start(tmp_path: Path, confdir: Path, conf_file: Path, lab_ca: CertificateAuthority) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(**given: Any) -> Serve:
            given = {"conf": conf_file, "confdir": confdir, "trusted_ca": lab_ca.pem, **given}
            return stack.enter_context(Serve(tmp_path, **given))

        yield start


def status(port: int, path: str = TAGS, address: str = "127.0.0.1") -> int:
    """What a new connection to a reverse mode is answered."""
    connection = http.client.HTTPConnection(address, port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    return response.status


def runs(process: int) -> bool:
    """Whether the process has not ended; it may still be in the process table."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# -- as mitmdump does --------------------------------------------------------------------------------------------------

LENGTH = 256 * MIB
SCRIPT = """
from mitmproxy import http

async def requestheaders(flow):
    if flow.request.path == "/own":
        flow.response = http.Response.make(418)

def add_log(entry):
    if "client connect" in entry.msg:
        print("heard of it", flush=True)
"""


class Endless(BaseHTTPRequestHandler):
    """A registry whose blobs are long and all zeros; `sent` is how much of them went out."""

    protocol_version = "HTTP/1.1"
    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LENGTH))
        self.end_headers()
        for _ in range(LENGTH // MIB):
            self.wfile.write(bytes(MIB))
            Endless.sent += MIB

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def endless(network: PrivateNetwork) -> Iterator[str]:
    assert network
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def listener(network: PrivateNetwork) -> Iterator[socket.socket]:
    assert network
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def alone(
    request: pytest.FixtureRequest,
    lab_directory: Path,
    confdir: Path,
    lab_ca: CertificateAuthority,
    endless: str,
    listener: socket.socket,
) -> Iterator[Serve]:
    """One process, with uvloop and without it."""
    directory = lab_directory / f"serve-{request.param}"
    directory.mkdir()
    path, script = directory / "registries.conf", directory / "script.py"
    path.write_text(conf() + conf(location=endless, prefix="endless.example.com"))
    script.write_text(SCRIPT)
    env = {}
    if request.param == "asyncio":
        (directory / "uvloop.py").write_text("raise ImportError\n")
        env["PYTHONPATH"] = f"{directory}:{ENV['PYTHONPATH']}"
    tcp = f"reverse:tcp://127.0.0.1:{listener.getsockname()[1]}"
    modes = ["regular", "socks5", "transparent", "reverse:https://quay.io", "reverse:https://endless.example.com", tcp]
    with Serve(
        directory, conf=path, confdir=confdir, trusted_ca=lab_ca.pem, modes=modes, scripts=[script], env=env
    ) as serve:
        yield serve


def test_every_mode_serves(alone: Serve, tmp_path: Path, nsproxy: NamespaceProxy, curl_factory: CurlFactory) -> None:
    regular, socks, transparent, reverse = alone.ports[:4]
    url, ca = f"https://quay.io{TAGS}", alone.ca_pem
    assert curl_factory(Surroundings(proxy=f"http://127.0.0.1:{regular}", ca=ca))(url).status == 200
    assert curl_factory(Surroundings(proxy=f"socks5h://127.0.0.1:{socks}", ca=ca))(url).status == 200
    with ClientMachine(tmp_path / "machine") as machine, redirect(machine, transparent):
        assert curl_factory(Surroundings(ca=ca, machine=machine))(url).status == 200
    assert status(reverse) == 200
    assert status(reverse, address="::1") == 200
    assert len(nsproxy.requests()) == 5
    assert_namespaced(nsproxy.requests(), "quay.io")


def test_a_connection_that_is_closed_on_one_side_still_answers_on_the_other(
    alone: Serve, listener: socket.socket
) -> None:
    with socket.create_connection(("127.0.0.1", alone.ports[5]), timeout=20) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        server, _ = listener.accept()
        with server:
            server.settimeout(20)
            assert b"".join(iter(lambda: server.recv(65536), b"")) == b"question"
            server.sendall(b"answer")
        assert b"".join(iter(lambda: client.recv(65536), b"")) == b"answer"


def test_a_client_that_does_not_read_holds_up_the_endpoint_not_the_memory(alone: Serve) -> None:
    Endless.sent = 0
    before = rss_kib(alone.pid)
    connection = http.client.HTTPConnection("127.0.0.1", alone.ports[4], timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"/v2/{ETCD}/blobs/sha256:{'0' * 64}")
        response = connection.getresponse()
        seen: list[int] = []

        def held_up() -> bool:
            seen.append(Endless.sent)
            return len(seen) > 20 and seen[-20:] == [Endless.sent] * 20

        wait_until(held_up, "the endpoint is held up")
        assert Endless.sent < LENGTH / 2
        assert rss_kib(alone.pid) - before < 32 * 1024
        received = 0
        while piece := response.read(MIB):
            received += len(piece)
        assert received == LENGTH


def test_a_script_runs_beside_it(alone: Serve) -> None:
    assert status(alone.ports[3], "/own") == 418
    wait_until(lambda: "heard of it" in alone.log(), "the script hears of the log")


def test_upstream_mode_goes_through_the_upstream_proxy(
    start: Start, tmp_path: Path, nsproxy: NamespaceProxy, curl_factory: CurlFactory
) -> None:
    corporate = CorporateProxy(tmp_path / "corporate", ("somebody", "secret"))
    with corporate.daemon:
        serve = start(modes=[f"upstream:{corporate.url}"], options={"upstream_auth": "somebody:secret"})
        curl = curl_factory(Surroundings(proxy=serve.url, ca=serve.ca_pem))
        assert curl(f"https://quay.io{TAGS}").status == 200
        assert any(PROXY_NAME in line for line in corporate.requests())
    assert_namespaced(nsproxy.requests(), "quay.io")


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_ends_it_with_success(number: signal.Signals, workers: int, start: Start) -> None:
    serve = start(workers=workers)
    children = serve.processes()
    os.kill(serve.pid, number)
    wait_until(lambda: not serve.alive(), "it ends")
    assert serve.status() == 0
    assert not any(map(runs, children))


Arguments = list[str]


def attempt(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """Status and output of a start that fails."""
    env = clean_env(tmp_path, **ENV)
    done = run([*PROGRAM, "--set", f"confdir={tmp_path}", *arguments], env=env, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-flag"], "No such option"),
        (["--set", "stickyauth=x"], "serve has no option stickyauth, mitmdump has"),
        (["--mode", "nothing"], "Invalid proxy mode specification: nothing (unknown mode)"),
        (["-p", "0", "--set", "ns_defualt=quay.io"], "--set ns_defualt: there is no such option"),
        (["--workers", "2", "--set", "ns_registries_conf=/nowhere"], "/nowhere"),
        (["--workers", "2", "-p", "0", "--set", "ns_metrics=nowhere"], "ns_metrics must be host:port"),
    ],
)
def test_a_start_that_cannot_be_ends_with_1_and_says_why(arguments: Arguments, message: str, tmp_path: Path) -> None:
    returned, output = attempt(tmp_path, *arguments)
    assert (returned, message in output) == (1, True), output


@pytest.mark.parametrize(("workers", "shares"), [("1", False), ("2", True)])
def test_a_port_that_somebody_has_is_not_shared(shares: bool, workers: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        returned, output = attempt(tmp_path, "--workers", workers, "--mode", f"regular@127.0.0.1:{port}")
    assert returned == 1
    assert f"HTTP(S) proxy failed to listen on 127.0.0.1:{port} with" in output
    assert "address already in use" in output


# -- several workers ---------------------------------------------------------------------------------------------------


def scraped(port: int) -> dict[str, float]:
    lines = fetch(f"http://127.0.0.1:{port}/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shared(
    lab_directory: Path, confdir: Path, lab_ca: CertificateAuthority, metrics_port: int, nsproxy_server: NamespaceProxy
) -> Iterator[Serve]:
    assert nsproxy_server
    directory = lab_directory / "shared"
    directory.mkdir()
    path = directory / "registries.conf"
    path.write_text(conf())
    options = {"ns_metrics": f"127.0.0.1:{metrics_port}", "ns_log_json": str(directory / "log.json")}
    modes = ["regular", "reverse:https://quay.io"]
    with Serve(
        directory, workers=2, conf=path, confdir=confdir, trusted_ca=lab_ca.pem, modes=modes, options=options
    ) as serve:
        yield serve


def test_one_scrape_counts_the_requests_of_all_workers(shared: Serve, metrics_port: int) -> None:
    name = 'ns_inject_decisions_total{action="rewrite",namespace="quay.io",source="host"}'
    before = scraped(metrics_port).get(name, 0)
    for _ in range(40):
        assert status(shared.ports[1]) == 200
    after = scraped(metrics_port)
    assert after[name] - before == 40
    assert after["ns_inject_table_registries"] == 1
    assert {f'process_resident_memory_bytes{{worker="{number}"}}' for number in (1, 2)} <= after.keys()


def test_a_pull_through_two_workers_is_told_once(
    shared: Serve, skopeo_factory: SkopeoFactory, images: Images, tmp_path: Path, metrics_port: int
) -> None:
    assert images
    skopeo = skopeo_factory(Surroundings(proxy=shared.url, ca=shared.ca_pem))
    image = f"quay.io/{images.etcd.repository}:{images.etcd.tag}"
    skopeo.copy(f"docker://{image}", f"oci:{tmp_path / 'copy'}")
    told = f"pull {image}: complete, {images.etcd.digest}, linux/amd64, linux/arm64, 2 layers"
    wait_until(lambda: told in shared.log(), "the pull is told")
    assert shared.log().count(f"pull {image}: ") == 1
    assert scraped(metrics_port)['ns_inject_pulls_total{result="complete"}'] == 1
    lines = (shared.confdir.parent / "shared" / "log.json").read_text().splitlines()
    assert sum('"event": "pull"' in line for line in lines) == 1


def test_a_hangup_reaches_all_workers(shared: Serve) -> None:
    before = shared.log().count(LOADED)
    os.kill(shared.pid, signal.SIGHUP)
    wait_until(lambda: shared.log().count(LOADED) == before + 2, "both have read it")


SLOW = """
import os, pathlib, time

def load(loader):
    here = pathlib.Path(__file__).parent
    if (here / "first").exists():
        (here / "supervisor").write_text(str(os.getppid()))
        (here / "second").touch()
        while not (here / "go on").exists():
            time.sleep(0.02)
    (here / "first").touch()
"""


def test_a_hangup_reaches_a_worker_that_is_being_started_when_it_is_ready(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW)

    def hang_up() -> None:
        wait_until((tmp_path / "second").exists, "the second worker is being started")
        (log,) = tmp_path.glob("serve-*.log")
        before = log.read_text().count(LOADED)
        os.kill(int((tmp_path / "supervisor").read_text()), signal.SIGHUP)
        wait_until(lambda: log.read_text().count(LOADED) > before, "the first worker has read it again")
        (tmp_path / "go on").touch()

    with ThreadPoolExecutor() as pool:
        hung_up = pool.submit(hang_up)
        try:
            serve = start(workers=2, scripts=[script])
        finally:
            hung_up.result()
    wait_until(lambda: serve.log().count(LOADED) == 4, "both have read it twice")


def test_a_worker_that_is_killed_is_started_again_and_told(shared: Serve, metrics_port: int) -> None:
    before = scraped(metrics_port)
    killed, other = shared.processes()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: "was ended by SIGKILL; it is started again" in shared.log(), "it is told")
    served = 0

    def both() -> bool:
        nonlocal served
        # What lies with the dead one when it dies is lost, nothing that comes later.
        served += status(shared.ports[1]) == 200
        return len(shared.processes()) == 2 and shared.log().count(" listening at ") == 6

    wait_until(both, "there are two again")
    assert other in shared.processes()
    assert killed not in shared.processes()
    after = scraped(metrics_port)
    assert after["ns_inject_worker_restarts_total"] == 1
    name = 'ns_inject_decisions_total{action="rewrite",namespace="quay.io",source="host"}'
    assert after[name] == before.get(name, 0) + served


def test_a_hangup_does_not_end_a_worker_that_is_starting(start: Start) -> None:
    serve = start(workers=2, modes=["reverse:https://quay.io"])
    os.kill(serve.processes()[0], signal.SIGKILL)

    def listens_again() -> bool:
        os.kill(serve.pid, signal.SIGHUP)
        return serve.log().count(" listening at ") == 3

    wait_until(listens_again, "another one listens")
    assert serve.log().count("it is started again") == 1


def test_any_port_is_the_same_for_all_and_none_outlives_a_supervisor_that_is_killed(
    start: Start, nsproxy: NamespaceProxy
) -> None:
    assert nsproxy
    serve = start(workers=2, modes=["reverse:https://quay.io@127.0.0.1:0"])
    ports = set(re.findall(r"listening at 127\.0\.0\.1:(\d+)", serve.log()))
    assert len(ports) == 1
    assert status(int(ports.pop())) == 200
    children = serve.processes()
    assert len(children) == 2
    os.kill(serve.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)), "they end")
