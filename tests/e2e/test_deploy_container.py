"""config/deploy/Containerfile, built without a network on an image with this Python, and the container that runs it.

Both are an ordinary user's: root of the machine has no part in it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import ClientError, Podman, Surroundings
from lab.fixtures import Images, SkopeoFactory
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.ordinary_user import OrdinaryUser
from lab.process import clean_env, free_port, require, run, wait_until
from lab.python_image import make_root, make_wheels
from lab.registries import fetch

CHECKOUT = Path(__file__).resolve().parents[2]
DEPLOY = CHECKOUT / "config" / "deploy"
IMAGE = "localhost/ns-inject"
BASE = "localhost/python"
PORT = 8080
# As README.md has it; a service manager for health checks there is not.
CONFINED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
# As this machine allows it.
HERE = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]
CONF = f'[[registry]]\nprefix = "quay.io"\nlocation = "{PROXY_NAME}"\nnamespace-proxy = "quay.io"\n'


@pytest.fixture(scope="module")
def user(lab_directory: Path) -> Iterator[OrdinaryUser]:
    with OrdinaryUser(lab_directory) as user:
        yield user


@pytest.fixture(scope="module")
def podman(user: OrdinaryUser) -> Iterator[Podman]:
    """A podman that has the image."""
    requirements = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    root, wheels, checkout = user.home / "root", user.home / "wheels", user.home / "checkout"
    root.mkdir()
    make_root(root)
    make_wheels(wheels, requirements["project"]["dependencies"] + requirements["build-system"]["requires"])
    _copy_checkout(checkout)
    base = user.home / "Containerfile"
    base.write_text("FROM scratch\nCOPY . /\nENV PATH=/usr/bin\n")
    # Nothing is kept between steps: each would be a copy of everything.
    build = ["build", "--quiet", "--layers=false", "--isolation=chroot", "--network=host", "--format=docker"]
    with Podman(user.home, Surroundings(machine=user)) as podman:
        user.own(user.home, *podman.directories)
        podman.podman(*build, f"--tag={BASE}", f"--file={base}", str(root), timeout=600)
        deploy = checkout / "config" / "deploy"
        ours = [f"--file={deploy / 'Containerfile'}", f"--ignorefile={deploy / 'Containerfile.dockerignore'}"]
        given = ["--build-arg", f"BASE={BASE}", "--build-arg", "PIP_NO_INDEX=1", f"--build-context=wheels={wheels}"]
        podman.podman(*build, f"--tag={IMAGE}", *ours, *given, str(checkout), timeout=600)
        yield podman


def _copy_checkout(target: Path) -> None:
    """What the image is made of; the checkout itself may be where others cannot go."""
    for name in ("addon", "config"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copyfile(CHECKOUT / name, target / name)


class Container:
    """A running container."""

    def __init__(self, podman: Podman, name: str, proxy: int) -> None:
        self._podman = podman
        self.name = name
        self.proxy = proxy

    def tell(self, *arguments: str) -> str:
        return self._podman.podman(*arguments).stdout

    def log(self) -> str:
        found = self._podman.podman("logs", self.name)
        return found.stdout + found.stderr

    def is_healthy(self) -> bool:
        """By the image's own check."""
        try:
            self.tell("healthcheck", "run", self.name)
        except ClientError:
            return False
        return True


@pytest.fixture
def container(podman: Podman, user: OrdinaryUser, lab_ca: CertificateAuthority) -> Iterator[Container]:
    etc = user.home / "etc"
    etc.mkdir()
    (etc / "registries.conf").write_text(CONF)
    (etc / "ca.pem").write_bytes(lab_ca.pem.read_bytes())
    user.own(etc)
    found = Container(podman, f"ns-inject-{os.getpid()}", free_port())
    trust = "--set=ssl_verify_upstream_trusted_ca=/etc/ns-inject/ca.pem"
    arguments = [f"--mode=regular@{PORT}", trust]
    place = [f"--volume={etc}:/etc/ns-inject:ro", "--volume=/etc/hosts:/etc/hosts:ro"]
    place += ["--volume=ns-inject-ca:/var/lib/ns-inject", f"--publish=127.0.0.1:{found.proxy}:{PORT}"]
    podman.podman("run", "--detach", f"--name={found.name}", *CONFINED, *HERE, *place, IMAGE, *arguments)
    try:
        wait_until(found.is_healthy, f"the container is ready: {found.log()}", timeout=60)
        yield found
    finally:
        podman.podman("rm", "--force", "--time=0", "--volumes", found.name)


def test_the_image_says_what_it_is(podman: Podman) -> None:
    (image,) = json.loads(podman.podman("image", "inspect", IMAGE).stdout)
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"].keys() == {"/var/lib/ns-inject"}
    assert config["ExposedPorts"].keys() == {"8080/tcp", "9410/tcp"}
    assert config["Labels"]["org.opencontainers.image.title"] == "ns-inject"
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert "/readyz" in str(image["Healthcheck"]["Test"])


def test_a_users_container_without_powers_pulls_is_healthy_and_ends_when_it_is_told(
    container: Container,
    user: OrdinaryUser,
    nsproxy: NamespaceProxy,
    images: Images,
    skopeo_factory: SkopeoFactory,
    tmp_path: Path,
) -> None:
    assert container.tell("info", "--format={{.Host.Security.Rootless}}").strip() == "true"
    ca = user.home / "ca.pem"
    container.tell("cp", f"{container.name}:/var/lib/ns-inject/mitmproxy-ca-cert.pem", str(ca))
    skopeo = skopeo_factory(Surroundings(proxy=f"http://127.0.0.1:{container.proxy}", ca=ca))
    copied = skopeo.copy(f"docker://quay.io/{images.etcd.repository}:{images.etcd.tag}", f"dir:{tmp_path / 'image'}")
    assert copied in images.etcd.digests
    assert_namespaced(nsproxy.requests(), "quay.io")

    process = container.tell("inspect", "--format={{.State.Pid}}", container.name).strip()
    facts = dict(re.findall(r"(?m)^(\w+):\s*(.*)$", Path(f"/proc/{process}/status").read_text()))
    # The image's 65532 is one of the user's further ids; nobody in its namespace is root of the machine.
    assert facts["Uid"].split() == [str(user.first_further_id + 65532 - 1)] * 4
    mapped = [line.split() for line in Path(f"/proc/{process}/uid_map").read_text().splitlines()]
    assert mapped == [["0", str(user.uid), "1"], ["1", str(user.first_further_id), str(user.further_ids)]]
    assert (facts["CapEff"], facts["CapBnd"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0" * 16, "0" * 16, "1", "2")

    loads = container.log().count(" registries from ")
    container.tell("kill", "--signal=HUP", container.name)
    wait_until(lambda: container.log().count(" registries from ") > loads, "it has read its configuration again")
    container.tell("stop", "--time=60", container.name)
    assert container.tell("inspect", "--format={{.State.ExitCode}}", container.name).strip() == "0"


def test_compose_brings_it_up_with_the_demonstration_registry(
    podman: Podman, user: OrdinaryUser, skopeo_factory: SkopeoFactory
) -> None:
    compose = user.home / "checkout" / "config" / "deploy" / "compose.yaml"
    port, probes = map(int, re.findall(r'- "127\.0\.0\.1:(\d+):', compose.read_text()))
    podman.compose("-f", compose, "up", "--detach", run_options=HERE)
    try:
        found = Container(podman, "deploy_ns-inject_1", port)
        wait_until(found.is_healthy, f"the container is ready: {found.log()}", timeout=60)
        told = skopeo_factory().inspect(f"127.0.0.1:{port}/quay.io/demo/hello", tls_verify=False)
        assert told["Name"] == f"127.0.0.1:{port}/quay.io/demo/hello"
        assert fetch(f"http://127.0.0.1:{probes}/readyz").status == 200
    finally:
        podman.compose("-f", compose, "down", "--timeout=45")


def test_compose_finds_nothing_wrong(tmp_path: Path) -> None:
    told = run([require("docker-compose"), "-f", DEPLOY / "compose.yaml", "config"], env=clean_env(tmp_path))
    assert "WARN" not in told.stderr
    assert "read_only: true" in told.stdout
