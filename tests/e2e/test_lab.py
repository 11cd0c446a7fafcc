"""Knows whether the laboratory tells the truth, so that the other end-to-end tests can believe it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority, bundle
from lab.clients import ClientError, Surroundings, trusted_for
from lab.fixtures import (
    ContainerdFactory,
    CurlFactory,
    DockerdFactory,
    Images,
    MitmdumpFactory,
    PodmanFactory,
    SkopeoFactory,
)
from lab.images import Layout
from lab.mitmdump import Mitmdump
from lab.network import (
    PROXY_ADDRESS,
    SOURCE_REGISTRIES,
    TRIPWIRE_ADDRESS,
    ClientMachine,
    PrivateNetwork,
    redirect,
    redirect_own,
)
from lab.nsproxy import NamespaceProxy, Request, assert_namespaced
from lab.process import (
    Daemon,
    clean_env,
    free_port,
    listens,
    peak_rss_kib,
    require,
    reset_peak_rss,
    rss_kib,
    run,
    wait_until,
)
from lab.registries import Registry
from lab.tripwire import Tripwire

# The smallest possible stand-in for the addon: enough to see that clients, mitmdump and registry proxy find each other.
STAND_IN = """
NAMESPACES = {"registry-1.docker.io": "docker.io", "quay.io": "quay.io"}

def request(flow):
    namespace = NAMESPACES[flow.request.pretty_host]
    flow.request.scheme, flow.request.host, flow.request.port = "https", "proxy.example.com", 443
    flow.request.query["ns"] = namespace
"""

MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"

A_REQUEST = Request(
    method="GET",
    target="/v2/a/manifests/b?ns=quay.io",
    host="proxy.example.com",
    scheme="https",
    protocol="HTTP/2.0",
    port=443,
    status=200,
    user_agent="",
    authorized=False,
    peer="",
    via="",
)


@pytest.fixture
def stand_in(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy, tmp_path: Path) -> Mitmdump:
    """A mitmdump, regular and transparent, that does roughly what the addon is for."""
    assert nsproxy.requests() == []
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    options = {"connection_strategy": "lazy"}
    return mitmdump_factory(modes=["regular", "transparent"], scripts=[script], options=options)


# --- processes


def test_a_program_that_fails_shows_its_output() -> None:
    with pytest.raises(AssertionError, match="ended with status 3\nout\nerr"):
        run(["sh", "-c", "echo out; echo err >&2; exit 3"])


def test_a_program_that_does_not_end_is_ended_with_its_children() -> None:
    with pytest.raises(AssertionError, match=r"did not end within 0\.2 s"):
        run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.2)


def test_a_daemon_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = Daemon("moody", ["sh", "-c", "echo no >&2; exit 7"], log=log, ready=lambda: False, env={})
    with pytest.raises(AssertionError, match=r"moody ended while starting: .*\nstatus 7, .*\nno"):
        daemon.start()


def test_a_daemon_that_does_not_get_ready_is_stopped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = Daemon("lazy", ["sleep", "60"], log=log, ready=lambda: False, env=clean_env(tmp_path), timeout=0.1)
    with pytest.raises(AssertionError, match=r"lazy was not ready within 0\.1 s"):
        daemon.start()
    assert not daemon.alive()


def test_a_daemon_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stubborn = "trap '' TERM; echo ready; while true; do sleep 1; done"
    daemon = Daemon("stubborn", ["sh", "-c", stubborn], log=log, ready=lambda: "ready" in log.read_text(), env={})
    with daemon:
        daemon.stop(grace=0.1)
        assert not daemon.alive()


def test_a_daemon_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    code = (
        f"import os, signal, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from lab.process import Daemon\n"
        "log, program = Path('log'), ['sh', '-c', 'echo ready; exec sleep 60']\n"
        "daemon = Daemon('orphan', program, log=log, ready=lambda: 'ready' in log.read_text(), env={}).start()\n"
        "print(daemon.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = run([sys.executable, "-B", "-c", code], cwd=tmp_path, check=False)
    orphan = int(killed.stdout)

    def runs() -> bool:
        try:
            # It may stay in the process table for a while, but then has no command line any more.
            return Path(f"/proc/{orphan}/cmdline").read_bytes() != b""
        except OSError:
            return False

    wait_until(lambda: not runs(), "the daemon has ended")


def test_the_peak_of_memory_outlasts_the_need_for_it(tmp_path: Path) -> None:
    log, size = tmp_path / "log", 64 << 10
    code = f"import signal; x = b'x' * ({size} << 10); del x; print('ready', flush=True); signal.pause()"
    command = [sys.executable, "-c", code]
    env = clean_env(tmp_path)
    with Daemon("glutton", command, log=log, ready=lambda: "ready" in log.read_text(), env=env) as glutton:
        assert peak_rss_kib(glutton.pid) > size > rss_kib(glutton.pid)
        reset_peak_rss(glutton.pid)
        assert peak_rss_kib(glutton.pid) < size


def test_a_missing_program_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="'no-such-program' is not installed"):
        require("no-such-program")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="'no-such-program' is not installed"):
        require("no-such-program")


@pytest.mark.usefixtures("network")
def test_a_port_is_listened_on_only_while_it_is() -> None:
    port = free_port()
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port, "127.0.0.1")
        assert not listens(port, TRIPWIRE_ADDRESS)
    with socket.create_server(("", port)):
        assert listens(port, "127.0.0.1")


# --- network


@pytest.mark.usefixtures("network")
def test_the_private_network_has_no_way_out() -> None:
    assert [name for _, name in socket.if_nameindex() if not name.startswith("lab")] == ["lo"]
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENETUNREACH))):
        socket.create_connection(("192.0.2.1", 443), timeout=5)


@pytest.mark.usefixtures("network")
def test_names_outside_the_private_network_do_not_exist() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.org", 443)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("directory", ["/etc", "/etc/docker", "/etc/containers", "/run", "/var/lib", "/dev/shm"])
def test_system_directories_are_private(directory: str, tmp_path: Path) -> None:
    private = Path(directory) / "written-by-the-laboratory"
    private.touch()
    # A bind mount of the root alone shows the machine's directories, without what is mounted over them here.
    look = 'mount --bind / "$1" && test -d "$1/etc" && test ! -e "$1$2"'
    run(["unshare", "--mount", "sh", "-c", look, "sh", tmp_path, private])
    private.unlink()


def _enter_as(*identity: str) -> str:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from lab.network import PrivateNetworkError, enter_private_network\n"
        "try: enter_private_network()\n"
        "except PrivateNetworkError as error: print(error)"
    )
    return run([require("setpriv"), *identity, sys.executable, "-B", "-c", code]).stdout


def test_only_root_gets_a_private_network() -> None:
    power = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    assert "needs root" in _enter_as("--reuid=54321", "--clear-groups", *power)


def test_root_without_its_powers_gets_no_private_network() -> None:
    assert "CAP_SYS_ADMIN is needed" in _enter_as("--bounding-set=-sys_admin")


def test_a_new_name_is_known_at_once(network: PrivateNetwork) -> None:
    network.add_host("second.test", PROXY_ADDRESS)
    assert socket.gethostbyname("second.test") == PROXY_ADDRESS


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", SOURCE_REGISTRIES)
def test_source_registries_lead_to_the_tripwire(name: str) -> None:
    assert socket.gethostbyname(name) == TRIPWIRE_ADDRESS


@pytest.mark.parametrize("port", [80, 443, 5000])
def test_the_tripwire_records_a_connection(tripwire: Tripwire, port: int) -> None:
    assert tripwire.touched == []
    with socket.create_connection(("quay.io", port), timeout=5) as connection:
        connection.sendall(b"hello?")
        name = connection.getsockname()
        assert connection.recv(1) == b""
    (touch,) = tripwire.touched
    assert (touch.peer, touch.port, touch.first_bytes) == (name, port, b"hello?")
    tripwire.clear()
    assert tripwire.touched == []


def test_the_tripwire_records_who_says_nothing(tripwire: Tripwire) -> None:
    with socket.create_connection(("quay.io", 443), timeout=5):
        (touch,) = tripwire.touched
    assert touch.first_bytes == b""


def test_a_client_machine_knows_the_same_names(client_machine: ClientMachine) -> None:
    assert client_machine.run(["getent", "hosts", "quay.io"]).stdout.split() == [TRIPWIRE_ADDRESS, "quay.io"]


@pytest.mark.usefixtures("network")
def test_a_client_machine_can_have_names_of_its_own(tmp_path: Path) -> None:
    with ClientMachine(tmp_path, hosts={"quay.io": "192.0.2.7"}) as machine:
        assert machine.run(["getent", "hosts", "quay.io"]).stdout.split() == ["192.0.2.7", "quay.io"]
    assert socket.gethostbyname("quay.io") == TRIPWIRE_ADDRESS


def test_a_client_machine_comes_from_its_own_address(
    client_machine: ClientMachine, tripwire: Tripwire, curl_factory: CurlFactory
) -> None:
    with pytest.raises(ClientError, match="Empty reply|reset"):
        curl_factory(Surroundings(machine=client_machine))("http://quay.io/v2/")
    assert [touch.peer[0] for touch in tripwire.touched] == [client_machine.address]


# --- registries and the registry proxy


def test_registries_have_what_was_pushed(hub: Registry, quay: Registry, cache: Registry, images: Images) -> None:
    assert hub.pushed("library/hello", "latest") == images.hello
    assert hub.pushed("library/hello", "1.0") == images.hello_docker
    assert quay.pushed("coreos/etcd", "v3") == images.etcd
    assert cache.pushed("coreos/etcd", "v3") == images.etcd
    assert images.hello.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert images.hello_docker.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert images.etcd.media_type == "application/vnd.oci.image.index.v1+json"
    assert set(images.etcd.platform_digests) == {"amd64", "arm64"}
    assert not quay.has("library/hello", "latest")
    assert not hub.has("coreos/etcd", "v3")


def test_the_same_image_has_the_same_digest(tmp_path: Path, images: Images) -> None:
    assert Layout(tmp_path / "again").write_image("hello, world").digest == images.hello.digest


def test_the_cache_asks_the_registry_behind_it_once(cache: Registry, quay: Registry, images: Images) -> None:
    path = "/v2/coreos/etcd/manifests/" + images.etcd.platform_digests["arm64"]
    for _ in range(2):
        assert cache.get(path).status == 200
    asked = [line for line in quay.log().splitlines() if f'"GET {path} HTTP/1.1" 200' in line]
    assert len(asked) == 1


def test_a_big_image_is_as_big_as_asked_for(hub: Registry) -> None:
    size = 3_000_001
    pushed = hub.push_big("library/big", "latest", size)
    (layer,) = pushed.layers
    blob = hub.get(f"/v2/library/big/blobs/{layer}").body
    assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == layer
    assert size < len(blob) < size * 1.01 + 10_240


@pytest.mark.usefixtures("nsproxy")
@pytest.mark.parametrize(
    "origin", ["http://proxy.example.com", "http://proxy.example.com:5000", "https://proxy.example.com"]
)
@pytest.mark.parametrize("query", ["", "?ns=quay.io", "?ns=elsewhere.test"])
def test_the_proxy_answers_the_ping_with_or_without_ns(
    lab_ca: CertificateAuthority, curl_factory: CurlFactory, origin: str, query: str
) -> None:
    response = curl_factory(Surroundings(ca=lab_ca.pem))(f"{origin}/v2/{query}")
    assert response.status == 200
    assert response.headers["docker-distribution-api-version"] == "registry/2.0"
    assert response.http_version == ("2" if origin.startswith("https") else "1.1")


@pytest.mark.usefixtures("nsproxy")
@pytest.mark.parametrize("query", ["", "?n=docker.io", "?ns=", "?ns=elsewhere.test", "?ns=quay.io"])
def test_the_proxy_refuses_a_request_without_the_right_ns(curl_factory: CurlFactory, query: str) -> None:
    manifest = "http://proxy.example.com/v2/library/hello/manifests/latest"
    response = curl_factory()(f"{manifest}{query}", headers={"Accept": MANIFESTS})
    assert response.status == 404
    assert response.json()["errors"][0]["code"] in {"NAME_UNKNOWN", "MANIFEST_UNKNOWN"}


def test_the_proxy_asks_the_registry_of_the_namespace(
    nsproxy: NamespaceProxy, images: Images, lab_ca: CertificateAuthority, curl_factory: CurlFactory
) -> None:
    curl = curl_factory(Surroundings(ca=lab_ca.pem))
    for pushed, namespace in ((images.hello, "docker.io"), (images.etcd, "quay.io")):
        path = f"/v2/{pushed.repository}/manifests/{pushed.tag}?ns={namespace}"
        response = curl(f"https://proxy.example.com{path}", headers={"Accept": MANIFESTS})
        assert response.status == 200
        assert response.headers["docker-content-digest"] == pushed.digest
        assert response.headers["oci-namespace"] == namespace
        assert f"sha256:{hashlib.sha256(response.body).hexdigest()}" == pushed.digest
    assert [request.namespaces for request in nsproxy.requests()] == [["docker.io"], ["quay.io"]]


@pytest.mark.usefixtures("nsproxy")
def test_the_proxy_serves_quay_below_a_path_too(images: Images, curl_factory: CurlFactory) -> None:
    curl, path = curl_factory(), f"/v2/quay/coreos/etcd/manifests/{images.etcd.tag}"
    response = curl(f"http://proxy.example.com{path}?ns=quay.io", headers={"Accept": MANIFESTS})
    assert response.headers["docker-content-digest"] == images.etcd.digest
    assert curl(f"http://proxy.example.com{path}?ns=docker.io", headers={"Accept": MANIFESTS}).status == 404


@pytest.mark.usefixtures("nsproxy")
@pytest.mark.parametrize("origin", ["http://proxy.example.com:5000", "https://proxy.example.com"])
def test_an_upload_through_the_proxy_arrives_in_the_registry(
    hub: Registry, lab_ca: CertificateAuthority, curl_factory: CurlFactory, origin: str
) -> None:
    curl = curl_factory(Surroundings(ca=lab_ca.pem))
    data = f"uploaded by way of {origin}".encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    begun = curl(f"{origin}/v2/library/upload/blobs/uploads/?ns=docker.io", method="POST", body=b"")
    assert begun.status == 202
    location = begun.headers["location"]
    assert location.startswith(f"{origin}/v2/library/upload/")
    kind = {"Content-Type": "application/octet-stream"}
    assert curl(f"{location}&ns=docker.io&digest={digest}", method="PUT", headers=kind, body=data).status == 201
    assert hub.get(f"/v2/library/upload/blobs/{digest}").body == data


def test_the_proxy_tells_what_it_was_asked(
    nsproxy: NamespaceProxy, lab_ca: CertificateAuthority, curl_factory: CurlFactory
) -> None:
    curl = curl_factory(Surroundings(ca=lab_ca.pem))
    curl("https://proxy.example.com/v2/a%2Fb/tags/list?n=1&ns=quay%2Eio&ns=x", headers={"Authorization": "Basic eDp5"})
    curl("http://proxy.example.com:5000/v2/", method="HEAD", options=["--user-agent", 'say "hi"'])
    first, second = nsproxy.requests()
    assert (first.method, first.target) == ("GET", "/v2/a%2Fb/tags/list?n=1&ns=quay%2Eio&ns=x")
    assert (first.host, first.scheme, first.port, first.protocol) == ("proxy.example.com", "https", 443, "HTTP/2.0")
    assert (first.status, first.authorized, first.namespaces) == (404, True, ["quay.io", "x"])
    assert (second.method, second.is_ping, second.authorized) == ("HEAD", True, False)
    assert (second.host, second.scheme, second.port, second.protocol) == (
        "proxy.example.com:5000",
        "http",
        5000,
        "HTTP/1.1",
    )
    assert second.user_agent == 'say "hi"'
    nsproxy.mark()
    assert nsproxy.requests() == []


def test_a_namespaced_request_is_recognized() -> None:
    ping = replace(A_REQUEST, target="/v2/")
    assert_namespaced([ping, A_REQUEST, replace(A_REQUEST, target="/v2/a/b?x=y&ns=quay.io")], "quay.io")


@pytest.mark.parametrize(
    "target", ["/v2/a/b", "/v2/a/b?ns=docker.io", "/v2/a/b?ns=quay.io&ns=quay.io", "/v2/?ns=a&ns=b"]
)
def test_a_request_that_is_not_namespaced_is_recognized(target: str) -> None:
    with pytest.raises(AssertionError, match=r"wanted (exactly ns=quay\.io|at most one ns)"):
        assert_namespaced([A_REQUEST, replace(A_REQUEST, target=target)], "quay.io")


def test_pings_alone_prove_nothing() -> None:
    with pytest.raises(AssertionError, match="nothing but pings"):
        assert_namespaced([replace(A_REQUEST, target="/v2/?ns=quay.io")], "quay.io")


# --- clients, straight to a registry


def test_dockerd_pulls_from_a_registry(
    dockerd_factory: DockerdFactory, hub: Registry, quay: Registry, images: Images
) -> None:
    dockerd = dockerd_factory()
    assert dockerd.pull(f"{hub.authority}/library/hello:latest") == images.hello.digest
    assert dockerd.pull(f"{hub.authority}/library/hello:1.0") == images.hello_docker.digest
    assert dockerd.pull(f"{quay.authority}/coreos/etcd:v3") == images.etcd.digest


@pytest.mark.usefixtures("source_registries_untouched")
def test_dockerd_pulls_from_its_mirror(dockerd_factory: DockerdFactory, hub: Registry, images: Images) -> None:
    assert dockerd_factory(mirrors=[hub.url]).pull("hello:latest") == images.hello.digest


@pytest.mark.usefixtures("source_registries_untouched")
def test_ctr_goes_where_its_hosts_directory_says(
    containerd_factory: ContainerdFactory, quay: Registry, images: Images, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts" / "quay.io" / "hosts.toml"
    hosts.parent.mkdir(parents=True)
    hosts.write_text(f'server = "{quay.url}"\n[host."{quay.url}"]\ncapabilities = ["pull", "resolve"]\n')
    pulled = containerd_factory().pull("quay.io/coreos/etcd:v3", hosts_dir=hosts.parents[1])
    assert pulled == images.etcd.digest


@pytest.mark.usefixtures("source_registries_untouched")
def test_podman_and_skopeo_go_where_their_registries_conf_says(
    podman_factory: PodmanFactory, skopeo_factory: SkopeoFactory, quay: Registry, images: Images, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "quay.io"\nlocation = "{quay.authority}"\ninsecure = true\n')
    assert podman_factory(registries_conf=conf).pull("quay.io/coreos/etcd:v3") == images.etcd.digest
    assert skopeo_factory(registries_conf=conf).digest("quay.io/coreos/etcd:v3") == images.etcd.digest


@pytest.mark.usefixtures("images")
def test_dockerd_pushes_to_a_registry(dockerd_factory: DockerdFactory, hub: Registry) -> None:
    dockerd = dockerd_factory()
    mine, theirs = f"{hub.authority}/library/hello:latest", f"{hub.authority}/library/from-docker:latest"
    dockerd.pull(mine)
    dockerd.tag(mine, theirs)
    assert dockerd.push(theirs) == hub.pushed("library/from-docker", "latest").digest


def test_podman_pulls_from_and_pushes_to_a_registry(
    podman_factory: PodmanFactory, hub: Registry, quay: Registry, images: Images
) -> None:
    podman = podman_factory()
    hello, etcd = f"{hub.authority}/library/hello:latest", f"{quay.authority}/coreos/etcd:v3"
    assert podman.pull(hello, tls_verify=False) == images.hello.digest
    assert podman.pull(etcd, tls_verify=False) == images.etcd.digest
    podman.push(hello, f"{hub.authority}/library/from-podman:latest", tls_verify=False)
    assert hub.has("library/from-podman", "latest")


def test_containerd_pulls_from_and_pushes_to_a_registry(
    containerd_factory: ContainerdFactory, hub: Registry, quay: Registry, images: Images
) -> None:
    containerd = containerd_factory()
    hello, etcd = f"{hub.authority}/library/hello:latest", f"{quay.authority}/coreos/etcd:v3"
    assert containerd.pull(hello, plain_http=True) == images.hello.digest
    assert containerd.pull(etcd, plain_http=True) == images.etcd.digest
    containerd.push(f"{hub.authority}/library/from-ctr:latest", hello, plain_http=True)
    assert hub.pushed("library/from-ctr", "latest").digest == images.hello.digest


def test_skopeo_inspects_and_copies(
    skopeo_factory: SkopeoFactory, hub: Registry, quay: Registry, images: Images
) -> None:
    skopeo = skopeo_factory()
    etcd = f"{quay.authority}/coreos/etcd:v3"
    assert skopeo.digest(etcd, tls_verify=False) == images.etcd.digest
    copied = f"docker://{hub.authority}/library/from-skopeo:latest"
    assert skopeo.copy(f"docker://{etcd}", copied, tls_verify=False) == images.etcd.digest
    assert hub.pushed("library/from-skopeo", "latest").digest == images.etcd.digest


@pytest.mark.parametrize("client", ["dockerd", "containerd", "skopeo"])
def test_a_client_without_a_proxy_goes_to_the_source_registry(
    dockerd_factory: DockerdFactory,
    containerd_factory: ContainerdFactory,
    skopeo_factory: SkopeoFactory,
    tripwire: Tripwire,
    client: str,
) -> None:
    pulls = {
        "dockerd": lambda: dockerd_factory().pull("quay.io/coreos/etcd:v3"),
        "containerd": lambda: containerd_factory().pull("quay.io/coreos/etcd:v3"),
        "skopeo": lambda: skopeo_factory().digest("quay.io/coreos/etcd:v3"),
    }
    with pytest.raises(ClientError, match=re.escape("quay.io")):
        pulls[client]()
    assert {touch.port for touch in tripwire.touched} >= {443}


def test_clients_do_not_heed_the_environment_of_the_tests(
    skopeo_factory: SkopeoFactory,
    curl_factory: CurlFactory,
    hub: Registry,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "CONTAINERS_REGISTRIES_CONF", "REGISTRY_AUTH_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    assert curl_factory()(f"{hub.url}/v2/").status == 200
    # Clients do not use proxies for loopback addresses.
    assert curl_factory()("http://proxy.example.com/v2/").status == 200
    assert skopeo_factory().digest(f"{hub.authority}/library/hello", tls_verify=False) == images.hello.digest


# --- everything together, with a stand-in for the addon


def test_a_mitmdump_is_ready_and_has_a_certificate_authority(stand_in: Mitmdump) -> None:
    assert stand_in.alive()
    assert all(listens(port) for port in stand_in.ports)
    assert "BEGIN CERTIFICATE" in stand_in.ca_pem.read_text()
    assert "client connect" not in stand_in.log()
    assert peak_rss_kib(stand_in.pid) >= rss_kib(stand_in.pid) > 0
    os.kill(stand_in.pid, signal.SIGTERM)
    wait_until(lambda: not stand_in.alive(), "mitmdump has ended")


@pytest.mark.usefixtures("source_registries_untouched")
class TestThroughMitmdump:
    def test_dockerd_pulls(
        self, stand_in: Mitmdump, dockerd_factory: DockerdFactory, nsproxy: NamespaceProxy, images: Images
    ) -> None:
        dockerd = dockerd_factory(Surroundings(proxy=stand_in.url, ca=stand_in.ca_pem))
        assert dockerd.pull("hello:latest") == images.hello.digest
        assert_namespaced(nsproxy.requests(), "docker.io")
        nsproxy.mark()
        assert dockerd.pull("quay.io/coreos/etcd:v3") == images.etcd.digest
        assert_namespaced(nsproxy.requests(), "quay.io")

    def test_dockerd_without_trust_does_not_pull(self, stand_in: Mitmdump, dockerd_factory: DockerdFactory) -> None:
        dockerd = dockerd_factory(Surroundings(proxy=stand_in.url))
        with pytest.raises(ClientError, match="x509: certificate signed by unknown authority"):
            dockerd.pull("quay.io/coreos/etcd:v3")

    def test_dockerd_may_trust_for_one_registry_only(
        self, stand_in: Mitmdump, dockerd_factory: DockerdFactory, images: Images
    ) -> None:
        dockerd = dockerd_factory(Surroundings(proxy=stand_in.url))
        with trusted_for("quay.io", stand_in.ca_pem):
            assert dockerd.pull("quay.io/coreos/etcd:v3") == images.etcd.digest

    def test_podman_pulls(
        self, stand_in: Mitmdump, podman_factory: PodmanFactory, nsproxy: NamespaceProxy, images: Images
    ) -> None:
        podman = podman_factory(Surroundings(proxy=stand_in.url, ca=stand_in.ca_pem))
        assert podman.pull("docker.io/library/hello:latest") == images.hello.digest
        assert_namespaced(nsproxy.requests(), "docker.io")

    def test_skopeo_inspects(
        self, stand_in: Mitmdump, skopeo_factory: SkopeoFactory, nsproxy: NamespaceProxy, images: Images
    ) -> None:
        skopeo = skopeo_factory(Surroundings(proxy=stand_in.url, ca=stand_in.ca_pem))
        assert skopeo.digest("quay.io/coreos/etcd:v3") == images.etcd.digest
        assert_namespaced(nsproxy.requests(), "quay.io")

    def test_containerd_pulls(
        self, stand_in: Mitmdump, containerd_factory: ContainerdFactory, nsproxy: NamespaceProxy, images: Images
    ) -> None:
        containerd = containerd_factory(Surroundings(proxy=stand_in.url, ca=stand_in.ca_pem))
        assert containerd.pull("quay.io/coreos/etcd:v3") == images.etcd.digest
        assert_namespaced(nsproxy.requests(), "quay.io")

    def test_curl_speaks_http2_with_mitmdump(
        self, stand_in: Mitmdump, curl_factory: CurlFactory, nsproxy: NamespaceProxy
    ) -> None:
        curl = curl_factory(Surroundings(proxy=stand_in.url, ca=stand_in.ca_pem))
        for http2, version in ((True, "2"), (False, "1.1")):
            response = curl("https://quay.io/v2/coreos/etcd/tags/list", http2=http2)
            assert (response.status, response.http_version) == (200, version)
            assert response.json() == {"name": "coreos/etcd", "tags": ["v3"]}
        assert_namespaced(nsproxy.requests(), "quay.io")

    def test_a_client_machine_is_redirected(
        self,
        stand_in: Mitmdump,
        client_machine: ClientMachine,
        dockerd_factory: DockerdFactory,
        skopeo_factory: SkopeoFactory,
        nsproxy: NamespaceProxy,
        images: Images,
    ) -> None:
        there = Surroundings(machine=client_machine, ca=stand_in.ca_pem)
        by_proxy = replace(there, proxy=stand_in.url_from(client_machine))
        assert skopeo_factory(by_proxy).digest("quay.io/coreos/etcd:v3") == images.etcd.digest
        with redirect(client_machine, stand_in.ports[1]):
            assert skopeo_factory(there).digest("quay.io/coreos/etcd:v3") == images.etcd.digest
            assert_namespaced(nsproxy.requests(), "quay.io")
            assert dockerd_factory(there).pull("quay.io/coreos/etcd:v3") == images.etcd.digest

    def test_connections_of_all_users_but_one_are_redirected(
        self,
        mitmdump_factory: MitmdumpFactory,
        skopeo_factory: SkopeoFactory,
        nsproxy: NamespaceProxy,
        images: Images,
        tmp_path: Path,
    ) -> None:
        script, user = tmp_path / "stand_in.py", 54321
        script.write_text(STAND_IN)
        options = {"connection_strategy": "lazy"}
        mitmdump = mitmdump_factory(modes=["transparent"], scripts=[script], options=options, user=user)
        assert Path(f"/proc/{mitmdump.pid}").stat().st_uid == user
        with redirect_own(mitmdump.port, except_user=user):
            skopeo = skopeo_factory(Surroundings(ca=mitmdump.ca_pem))
            assert skopeo.digest("quay.io/coreos/etcd:v3") == images.etcd.digest
        assert_namespaced(nsproxy.requests(), "quay.io")


def test_a_bundle_makes_a_client_trust_both_authorities(
    stand_in: Mitmdump, lab_ca: CertificateAuthority, curl_factory: CurlFactory, tmp_path: Path
) -> None:
    both = bundle(tmp_path / "both.pem", stand_in.ca_pem, lab_ca.pem)
    curl = curl_factory(Surroundings(proxy=stand_in.url, no_proxy="proxy.example.com", ca=both))
    assert curl("https://proxy.example.com/v2/").status == 200
    assert curl("https://quay.io/v2/").status == 200
