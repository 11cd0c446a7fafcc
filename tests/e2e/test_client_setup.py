"""`ns-inject client`: what it writes is all that a client needs, and what it says of a machine that is not set up so.

Each client runs on a machine of its own, whose files nobody has touched but the one command; it is started as ever, and
pulls images by their usual names through a real mitmdump.
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import Containerd, Dockerd, Podman, Surroundings
from lab.fixtures import Images
from lab.mitmdump import Mitmdump
from lab.network import PROXY_ADDRESS, PROXY_NAME, PrivateNetwork
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import free_port, require
from lab.scratch_root import ScratchRoot

CONFIG = Path(__file__).parents[2] / "config"
DNS_ADDRESS = "127.0.0.53"
DAEMON_JSON = '{\n    "max-concurrent-downloads": 2,\n    "registry-mirrors": [],\n    "labels": ["a=b"]\n}\n'
USER_CONF = 'unqualified-search-registries = ["docker.io"]\n\n[[registry]]\nlocation = "registry.example.com"\n'

pytestmark = pytest.mark.usefixtures("source_registries_untouched")

Pull = Callable[[str], str]


@pytest.fixture
def root(tmp_path: Path, network: PrivateNetwork) -> ScratchRoot:
    """A machine on which somebody has settings of his own already."""
    assert network
    root = ScratchRoot(tmp_path)
    root.write("/etc/docker/daemon.json", DAEMON_JSON)
    root.write("/etc/containers/registries.conf", USER_CONF)
    root.write("/etc/hosts", f"127.0.0.1 localhost\n{PROXY_ADDRESS} {PROXY_NAME}\n")
    return root


# -- clients, started as ever ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def docker(root: ScratchRoot, directory: Path) -> Iterator[Pull]:
    surroundings = Surroundings(machine=root, variables=root.service_environment("docker"))
    with Dockerd(directory, surroundings, config=Path("/etc/docker/daemon.json")) as dockerd:
        yield dockerd.pull


@contextlib.contextmanager
def podman(root: ScratchRoot, directory: Path) -> Iterator[Pull]:
    with Podman(directory, Surroundings(machine=root), system_files=True) as client:
        yield client.pull


@contextlib.contextmanager
def containerd(root: ScratchRoot, directory: Path) -> Iterator[Pull]:
    """ctr has to be told the directory that containerd has in its config.toml."""
    surroundings = Surroundings(machine=root, variables=root.service_environment("containerd"))
    with Containerd(directory, surroundings) as client:
        yield lambda reference: client.pull(reference, hosts_dir=cri_config_path(root))


def cri_config_path(root: ScratchRoot) -> Path | None:
    """As containerd itself reads it; None where it has no such file."""
    if not root.path("/etc/containerd/config.toml").exists():
        return None
    command = [require("containerd"), "--config", "/etc/containerd/config.toml", "config", "dump"]
    plugins = tomllib.loads(root.run(command).stdout)["plugins"]
    path = plugins["io.containerd.grpc.v1.cri"]["registry"]["config_path"]
    return Path(path) if path else None


CLIENTS = {"docker": docker, "podman": podman, "containerd": containerd}


# -- ns-inject, by recipe ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """A mitmdump of a recipe, and the arguments that tell `ns-inject client` of it."""

    mitmdump: Mitmdump
    arguments: list[str]


Start = Callable[..., Mitmdump]


@pytest.fixture(scope="module")
def start(
    tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority, nsproxy_server: NamespaceProxy
) -> Iterator[Start]:
    """Starts mitmdumps for all tests here: what they serve does not depend on who asks."""
    assert nsproxy_server
    directory = tmp_path_factory.mktemp("mitmdump")
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Mitmdump(directory, trusted_ca=lab_ca.pem, **settings))


@pytest.fixture(scope="module")
def mirror(start: Start) -> Running:
    conf = CONFIG / "docker-mirror.conf"
    mitmdump = start(conf=conf, modes=[f"reverse:http://{PROXY_NAME}:5000"], options={"ns_default": "docker.io"})
    # Not 127.0.0.1, for which clients have exceptions.
    proxy = f"http://{PROXY_ADDRESS}:{mitmdump.port}"
    return Running(mitmdump, ["--recipe=mirror", f"--proxy={proxy}", f"--registries-conf={conf}"])


@pytest.fixture(scope="module")
def secure_mirror(mirror: Running) -> Running:
    proxy = f"https://{PROXY_ADDRESS}:{mirror.mitmdump.port}"
    return Running(mirror.mitmdump, [*mirror.arguments, f"--proxy={proxy}", f"--ca={mirror.mitmdump.ca_pem}"])


@pytest.fixture(scope="module")
def listener(start: Start) -> Running:
    conf = CONFIG / "listener-per-registry.conf"
    mitmdump = start(conf=conf, modes=["reverse:https://quay.io", "reverse:https://registry-1.docker.io"])
    listeners = zip(("quay.io", "docker.io"), mitmdump.ports, strict=True)
    urls = [f"--listener={registry}=http://{PROXY_ADDRESS}:{port}" for registry, port in listeners]
    return Running(mitmdump, [*urls, f"--registries-conf={conf}"])


@pytest.fixture(scope="module")
def https_proxy(start: Start) -> Running:
    # Any will do; this one has no wildcard, so that certs.d directories serve where the client reads them.
    conf = CONFIG / "dns-override.conf"
    mitmdump = start(conf=conf)
    proxy = f"http://{PROXY_ADDRESS}:{mitmdump.port}"
    ca, registries = f"--ca={mitmdump.ca_pem}", f"--registries-conf={conf}"
    return Running(mitmdump, ["--recipe=https-proxy", f"--proxy={proxy}", ca, registries])


@pytest.fixture(scope="module")
def wildcards(https_proxy: Running) -> Running:
    """The same, for a client that is told of wildcards, too, which have no directory for their CA."""
    return Running(https_proxy.mitmdump, [*https_proxy.arguments, f"--registries-conf={CONFIG / 'https-proxy.conf'}"])


@pytest.fixture(scope="module")
def dns(start: Start) -> Running:
    conf = CONFIG / "dns-override.conf"
    mode = f"reverse:https://{PROXY_NAME}@{DNS_ADDRESS}:443"
    mitmdump = start(conf=conf, modes=[mode], options={"keep_host_header": "true"})
    ca, registries = f"--ca={mitmdump.ca_pem}", f"--registries-conf={conf}"
    return Running(mitmdump, ["--recipe=dns", f"--proxy=https://{DNS_ADDRESS}", ca, registries])


def set_up(root: ScratchRoot, kind: str, running: Running) -> None:
    """Write the files, run what it says except for systemd, which is not there; a second time changes nothing."""
    wrong = root.ns_inject("client", kind, *running.arguments, "--check")
    assert wrong.exit_code == 1
    assert "--write" in wrong.stderr
    written = root.ns_inject("client", kind, *running.arguments, "--write")
    assert written.exit_code == 0, written.stderr
    for command in written.stdout.partition("now run:\n")[2].splitlines():
        if not command.strip().startswith("systemctl "):
            root.run(command.split())
    before = everything(root)
    again = root.ns_inject("client", kind, *running.arguments, "--write")
    assert again.exit_code == 0
    assert again.stdout == "nothing to write: all files are as they have to be\n"
    assert everything(root) == before
    right = root.ns_inject("client", kind, *running.arguments, "--check")
    assert (right.exit_code, right.stderr.replace(written.stderr, "")) == (0, "")


def everything(root: ScratchRoot) -> dict[Path, tuple[int, bytes]]:
    files = (path for path in root.directory.rglob("*") if path.is_file() and not path.is_symlink())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize(
    ("kind", "recipe", "registries"),
    [
        ("docker", "mirror", ["docker.io"]),
        ("docker", "secure_mirror", ["docker.io"]),
        ("docker", "https_proxy", ["quay.io", "docker.io"]),
        ("docker", "dns", ["quay.io", "docker.io"]),
        ("podman", "mirror", ["quay.io", "docker.io"]),
        ("podman", "secure_mirror", ["quay.io", "docker.io"]),
        ("podman", "listener", ["quay.io", "docker.io"]),
        ("podman", "https_proxy", ["quay.io", "docker.io"]),
        ("podman", "wildcards", ["quay.io", "docker.io"]),
        ("podman", "dns", ["quay.io", "docker.io"]),
        ("containerd", "mirror", ["quay.io", "docker.io"]),
        ("containerd", "secure_mirror", ["quay.io", "docker.io"]),
        ("containerd", "listener", ["quay.io", "docker.io"]),
        ("containerd", "https_proxy", ["quay.io", "docker.io"]),
        ("containerd", "dns", ["quay.io", "docker.io"]),
    ],
)
def test_a_client_that_was_set_up_pulls(
    kind: str,
    recipe: str,
    registries: list[str],
    request: pytest.FixtureRequest,
    root: ScratchRoot,
    tmp_path: Path,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    running: Running = request.getfixturevalue(recipe)
    set_up(root, kind, running)
    with CLIENTS[kind](root, tmp_path) as pull:
        for registry in registries:
            image = {"quay.io": images.etcd, "docker.io": images.hello}[registry]
            nsproxy.mark()
            assert pull(f"{registry}/{image.repository}:{image.tag}") == image.digest
            assert_namespaced(nsproxy.requests(), registry)


def test_podman_pulls_by_what_cri_o_is_set_up_with(
    mirror: Running, root: ScratchRoot, tmp_path: Path, nsproxy: NamespaceProxy, images: Images
) -> None:
    # CRI-O itself is not in the distribution; it reads the same files by the same library.
    set_up(root, "cri-o", mirror)
    with podman(root, tmp_path) as pull:
        assert pull("quay.io/coreos/etcd:v3") == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")


def test_a_shell_that_was_set_up_asks_through_the_proxy(
    https_proxy: Running, root: ScratchRoot, nsproxy: NamespaceProxy
) -> None:
    exports = root.ns_inject("client", "env", *https_proxy.arguments)
    curl = f"{require('curl')} --silent --fail https://quay.io/v2/coreos/etcd/tags/list"
    assert "v3" in root.run(["sh", "-c", f"{exports.stdout}\n{curl}"]).stdout
    assert_namespaced(nsproxy.requests(), "quay.io")
    checked = root.ns_inject("client", "env", *https_proxy.arguments, "--check")
    assert (checked.exit_code, checked.stderr) == (0, "")


def test_what_was_there_is_merged_with_and_kept(mirror: Running, root: ScratchRoot) -> None:
    daemon_json = root.path("/etc/docker/daemon.json")
    daemon_json.chmod(0o600)
    assert root.ns_inject("client", "docker", *mirror.arguments, "--write").exit_code == 0
    url = f"http://{PROXY_ADDRESS}:{mirror.mitmdump.port}"
    settings = json.loads(daemon_json.read_text())
    assert list(settings.items()) == [
        *(("max-concurrent-downloads", 2), ("registry-mirrors", [url]), ("labels", ["a=b"])),
    ]
    assert daemon_json.stat().st_mode & 0o777 == 0o600
    backup = next(daemon_json.parent.glob("daemon.json.bak-*"))
    assert (backup.read_text(), backup.stat().st_mode & 0o777) == (DAEMON_JSON, 0o600)


def test_another_recipe_takes_back_what_the_first_wrote(
    mirror: Running, https_proxy: Running, root: ScratchRoot, tmp_path: Path, images: Images
) -> None:
    assert root.ns_inject("client", "podman", *mirror.arguments, "--write").exit_code == 0
    drop_in = root.path("/etc/containers/registries.conf.d/ns-inject.conf")
    assert drop_in.exists()
    set_up(root, "podman", https_proxy)
    assert not drop_in.exists()
    with podman(root, tmp_path) as pull:
        assert pull("quay.io/coreos/etcd:v3") == images.etcd.digest


def test_containerd_goes_by_what_is_imported_and_so_does_ns_inject(mirror: Running, root: ScratchRoot) -> None:
    cri = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"{}\n'
    own = 'config_path = "/etc/containerd/certs.d"\n'
    imports = 'imports = ["/etc/containerd/conf.d/*.toml"]\n'
    root.write("/etc/containerd/config.toml", imports + cri.format(".registry]") + own)
    runtime = cri.format('.containerd.runtimes.x]\nruntime_type = "io.containerd.runc.v2"')
    root.write("/etc/containerd/conf.d/x.toml", runtime)
    assert cri_config_path(root) is None
    refused = root.ns_inject("client", "containerd", *mirror.arguments, "--write")
    assert (refused.exit_code, "/etc/containerd/conf.d/x.toml, which" in refused.stderr) == (2, True)
    root.write("/etc/containerd/conf.d/x.toml", f'{runtime}[plugins."io.containerd.grpc.v1.cri".registry]\n{own}')
    assert root.ns_inject("client", "containerd", *mirror.arguments, "--write").exit_code == 0
    assert cri_config_path(root) == Path("/etc/containerd/certs.d")


# -- what --check says -------------------------------------------------------------------------------------------------


def checked(root: ScratchRoot, *arguments: str | Path) -> str:
    result = root.ns_inject("client", "env", "--check", *arguments)
    assert result.exit_code == 1
    return result.stderr


def test_check_says_that_nobody_listens(https_proxy: Running, root: ScratchRoot) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = checked(root, *https_proxy.arguments, f"--proxy={url}")
    assert (
        said == f"{url}: cannot connect: connection refused: start ns-inject there, or say with --proxy where it is\n"
    )


def test_check_says_that_the_ca_is_another_one(
    https_proxy: Running, root: ScratchRoot, lab_ca: CertificateAuthority
) -> None:
    said = checked(root, *https_proxy.arguments, f"--ca={lab_ca.pem}")
    url = f"http://{PROXY_ADDRESS}:{https_proxy.mitmdump.port}"
    assert said == f"ns-inject at {url} presents another CA's certificate: give its own CA with --ca\n"


def test_check_says_that_it_is_not_ns_inject(start: Start, root: ScratchRoot) -> None:
    bare = start(modes=[f"reverse:http://{PROXY_NAME}:5000"], scripts=())
    arguments = [f"--proxy={bare.url}", f"--registries-conf={CONFIG / 'docker-mirror.conf'}"]
    result = root.ns_inject("client", "podman", *arguments, "--check")
    assert f"what answers at {bare.url} is not ns-inject" in result.stderr


def test_check_says_that_the_registry_proxy_is_out_of_reach(start: Start, root: ScratchRoot, tmp_path: Path) -> None:
    conf = tmp_path / "closed.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "quay.io"\nlocation = "127.0.0.1:{free_port()}"\nnamespace-proxy = "quay.io"\n'
    )
    mitmdump = start(conf=conf)
    said = checked(root, f"--proxy={mitmdump.url}", f"--ca={mitmdump.ca_pem}", f"--registries-conf={conf}")
    assert said.startswith("quay.io: ns-inject answers UNAVAILABLE: no endpoint serves quay.io: 127.0.0.1:")
    assert "connection refused" in said


def test_check_says_that_ns_inject_does_not_know_a_registry(
    https_proxy: Running, root: ScratchRoot, tmp_path: Path
) -> None:
    conf = tmp_path / "other.conf"
    conf.write_text('[[registry]]\nprefix = "127.0.0.1:1"\nlocation = "proxy.example.com"\nnamespace-proxy = "x"\n')
    said = checked(root, *https_proxy.arguments, f"--registries-conf={conf}")
    assert "is that in the configuration which ns-inject runs with?" in said
