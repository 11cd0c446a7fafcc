"""What is in config/deploy, as far as it can be judged without running it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from oci_ns.cli.main import main
from tests.install_kubectl import build

DEPLOY = Path(__file__).parents[2] / "config" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KINDS = ["base", "overlays/node-local"]
VERSIONS = ["1.29", kubernetes_validate.latest_version()]

Resource = dict[str, Any]


def documents(path: Path) -> list[Resource]:
    return [each for each in YAML(typ="safe").load_all(path) if each]


def composed(directory: Path) -> list[Resource]:
    """What kustomize makes of a directory that asks for no more than resources and a configuration map of files."""
    (kustomization,) = documents(directory / "kustomization.yaml")
    assert kustomization.keys() <= {"apiVersion", "kind", "resources", "configMapGenerator"}
    found: list[Resource] = []
    for name in kustomization["resources"]:
        path = directory / name
        found += composed(path) if path.is_dir() else documents(path)
    for generator in kustomization.get("configMapGenerator", []):
        options = generator["options"]
        assert generator.keys() == {"name", "files", "options"}
        assert options.keys() == {"disableNameSuffixHash", "labels"}
        assert options["disableNameSuffixHash"] is True
        metadata = {"name": generator["name"], "labels": options["labels"]}
        data = {name: (directory / name).read_text() for name in generator["files"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return found


def by_name(resources: list[Resource]) -> dict[tuple[str, str], Resource]:
    return {(each["kind"], each["metadata"]["name"]): each for each in resources}


def pod_of(kind: str) -> Resource:
    (workload,) = [each for each in composed(KUBERNETES / kind) if "template" in each.get("spec", {})]
    pod: Resource = workload["spec"]["template"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    return pod


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_kubernetes_knows_every_field(kind: str, version: str) -> None:
    for resource in composed(KUBERNETES / kind):
        kubernetes_validate.validate(resource, version, strict=True)


def built(directory: Path) -> list[Resource]:
    made = build(directory)
    if made is None:
        lacking = pytest.fail if os.environ.get("CI") else pytest.skip
        lacking("no kustomize of version 4 or later, and no kubectl with one: python -m tests.install_kubectl")
    return list(YAML(typ="safe").load_all(made))


@pytest.mark.parametrize("kind", KINDS)
def test_kustomize_makes_the_same_of_it(kind: str) -> None:
    assert by_name(built(KUBERNETES / kind)) == by_name(composed(KUBERNETES / kind))


def test_the_kustomizations_that_the_readme_has_change_what_they_say(tmp_path: Path) -> None:
    ones_own, node_local = re.findall(r"(?s)```yaml\n(.*?)```", (DEPLOY / "README.md").read_text())
    shutil.copytree(DEPLOY, tmp_path / "ns-inject/config/deploy")
    rest = ones_own.partition("resources:\n")[0], ones_own[ones_own.index("images:\n") :]
    for name, text in {"ones-own": ones_own, "node-local": "".join((rest[0], node_local, rest[1]))}.items():
        mine = tmp_path / name
        mine.mkdir()
        (mine / "kustomization.yaml").write_text(text)
        (mine / "registries.conf").write_text("# mine\n")
        found = {each["kind"]: each for each in built(mine)}
        assert {each["metadata"]["namespace"] for each in found.values()} == {"ns-inject"}
        assert found["ConfigMap"]["data"] == {"registries.conf": "# mine\n"}
        workload = found.get("Deployment") or found["DaemonSet"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "registry.mine.example/ns-inject:0.1.0"
        assert all("proxy.example.com" not in each for each in container["args"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_keeps_to_the_restricted_standard(kind: str) -> None:
    pod = pod_of(kind)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(each.keys() & {"configMap", "secret", "emptyDir"} for each in pod["volumes"])
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}


def test_selectors_and_ports_meet() -> None:
    found = by_name(composed(KUBERNETES / "base"))
    pod = pod_of("base")
    labels = pod["metadata"]["labels"].items()
    ports = {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0]["ports"]}
    assert found["Service", "ns-inject"]["spec"]["selector"].items() <= labels
    assert found["PodDisruptionBudget", "ns-inject"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["NetworkPolicy", "ns-inject"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert {each["targetPort"] for each in found["Service", "ns-inject"]["spec"]["ports"]} <= ports.keys()
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])


def test_the_time_to_end_is_longer_than_what_is_waited_for() -> None:
    image = (DEPLOY / "Containerfile").read_text()
    drain = int(re.findall(r'"--drain", "(\d+)"', image)[0])
    before = 5
    for kind in KINDS:
        assert pod_of(kind)["spec"]["terminationGracePeriodSeconds"] >= before + drain + 10
    (compose,) = documents(DEPLOY / "compose.yaml")
    assert int(compose["services"]["ns-inject"]["stop_grace_period"].removesuffix("s")) >= drain + 10
    assert f"--drain={drain}" in pod_of("overlays/node-local")["spec"]["containers"][0]["command"]
    for unit in (DEPLOY / "systemd").glob("*.service"):
        text = unit.read_text()
        waited = int(re.findall(r"--drain (\d+)", text)[0])
        assert int(re.findall(r"TimeoutStopSec=(\d+)", text)[0]) >= waited + 10


def test_health_is_asked_for_by_the_image_alone() -> None:
    image = (DEPLOY / "Containerfile").read_text()
    (asked,) = re.findall(r"(?s)HEALTHCHECK.*?CMD (\[.*?\])\n", image)
    assert "/readyz" in json.loads(asked)[-1]
    (compose,) = documents(DEPLOY / "compose.yaml")
    assert "healthcheck" not in compose["services"]["ns-inject"]


def test_the_configuration_is_without_fault() -> None:
    # That all registries are at one location is meant so: ns tells them apart.
    strict = ["check", "--strict", "--ignore", "ambiguous-location"]
    result = CliRunner().invoke(main, [*strict, str(KUBERNETES / "common" / "registries.conf")])
    assert result.exit_code == 0, result.output
