"""Pulls of real clients, as one line each: their requests for an image differ, what a pull is told as does not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.clients import Surroundings
from lab.fixtures import ContainerdFactory, DockerdFactory, Images, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.measurements import noted
from lab.mitmdump import Mitmdump
from lab.nsproxy import NamespaceProxy
from lab.process import run, wait_until

CONFIG = Path(__file__).resolve().parents[2] / "config" / "https-proxy.conf"
ETCD = "quay.io/coreos/etcd:v3"
NS_INJECT = [sys.executable, "-c", "from oci_ns.cli.main import main; main()"]


@pytest.fixture
def mitmdump(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy, tmp_path: Path, lab_ca: Any) -> Mitmdump:
    assert nsproxy.requests() == []
    files = {"ns_log_json": str(tmp_path / "log.json"), "save_stream_file": str(tmp_path / "flows")}
    trusted = {"ssl_verify_upstream_trusted_ca": str(lab_ca.pem)}
    return mitmdump_factory(conf=CONFIG, options={"flow_detail": "0", **files, **trusted})


@pytest.fixture(params=["dockerd", "podman", "skopeo", "containerd"])
def pull(
    request: pytest.FixtureRequest,
    mitmdump: Mitmdump,
    tmp_path: Path,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    containerd_factory: ContainerdFactory,
) -> Callable[[str], object]:
    surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
    if request.param == "skopeo":
        skopeo = skopeo_factory(surroundings)
        return lambda image: skopeo.copy(f"docker://{image}", f"oci:{tmp_path / 'copy'}")
    factories: dict[str, Any] = {"dockerd": dockerd_factory, "podman": podman_factory, "containerd": containerd_factory}
    started: Callable[[str], object] = factories[request.param](surroundings).pull
    return started


def pulls_told(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "log.json").read_text().splitlines()
    return [found for line in lines if (found := json.loads(line))["event"] == "pull"]


def test_a_pull_is_told_once_with_image_digest_platform_layers_and_endpoint(
    pull: Callable[[str], object], mitmdump: Mitmdump, images: Images, tmp_path: Path
) -> None:
    pull(ETCD)
    wait_until(lambda: bool(pulls_told(tmp_path)), "the pull is told")
    (told,) = pulls_told(tmp_path)
    assert (told["image"], told["result"], told["digest"]) == (ETCD, "complete", images.etcd.digest)
    # The laboratory's skopeo copies all platforms.
    platforms = ["linux/amd64", "linux/arm64"] if told["agent"].startswith("skopeo") else ["linux/amd64"]
    assert (told["platforms"], told["layers"], told["blobs"]) == (platforms, len(platforms), 2 * len(platforms))
    assert (told["endpoints"], told["passed_over"], told["errors"]) == (["proxy.example.com"], [], [])
    assert told["bytes"] > 500
    (line,) = re.findall(rf"pull {re.escape(ETCD)}: complete, .*", mitmdump.log())
    noted(line)
    mitmdump.stop()
    (saved,) = run([*NS_INJECT, "pulls", "--json", str(tmp_path / "flows")]).stdout.splitlines()
    assert json.loads(saved).items() >= {name: told[name] for name in ("image", "digest", "bytes", "blobs")}.items()


def test_an_image_that_is_not_there_is_a_failed_pull(pull: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        pull("quay.io/coreos/missing:v3")
    wait_until(lambda: bool(pulls_told(tmp_path)), "the pull is told")
    assert {told["result"] for told in pulls_told(tmp_path)} == {"failed"}
    assert {told["image"] for told in pulls_told(tmp_path)} == {"quay.io/coreos/missing:v3"}
    assert "proxy.example.com: 404 Not Found" in pulls_told(tmp_path)[-1]["errors"][0]


def test_pulls_at_the_same_time_are_told_apart(
    mitmdump: Mitmdump, podman_factory: PodmanFactory, skopeo_factory: SkopeoFactory, tmp_path: Path
) -> None:
    surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
    podman, skopeo = podman_factory(surroundings), skopeo_factory(surroundings)
    hello = "docker.io/library/hello:latest"
    with ThreadPoolExecutor() as pool:
        under_way = [
            pool.submit(podman.pull, ETCD),
            pool.submit(podman.pull, hello),
            pool.submit(skopeo.copy, f"docker://{ETCD}", f"oci:{tmp_path / 'one'}"),
            pool.submit(skopeo.copy, f"docker://{hello}", f"oci:{tmp_path / 'two'}"),
        ]
        for each in under_way:
            each.result()
    wait_until(lambda: len(pulls_told(tmp_path)) >= 4, "the pulls are told")
    told = [(each["image"], each["agent"].partition("/")[0], each["result"]) for each in pulls_told(tmp_path)]
    assert sorted(told) == [(image, agent, "complete") for image in (hello, ETCD) for agent in AGENTS]


AGENTS = ["containers", "skopeo"]


def test_what_a_client_has_already_is_not_missing(
    mitmdump: Mitmdump, podman_factory: PodmanFactory, tmp_path: Path
) -> None:
    podman = podman_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    podman.pull(ETCD)
    podman.pull(ETCD)
    mitmdump.stop()
    assert [told["result"] for told in pulls_told(tmp_path)] in (["complete", "resolved"], ["complete", "partial"])
