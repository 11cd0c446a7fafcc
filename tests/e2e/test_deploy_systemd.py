"""The units in config/deploy/systemd: systemd itself judges them, starts them with all they forbid, and ends them."""

from __future__ import annotations

import re
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import Surroundings
from lab.fixtures import Images, SkopeoFactory
from lab.mitmdump import ADDON
from lab.network import PROXY_NAME, PrivateNetwork
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import clean_env, free_port, require, run, wait_until
from lab.registries import fetch
from lab.systemd import Systemd

UNITS = Path(__file__).resolve().parents[2] / "config" / "deploy" / "systemd"
FILES = sorted(UNITS.glob("*.service"))
EXAMPLES = sorted(UNITS.glob("*.d/*.example"))
EXPOSURE_MAX = 1.7
"""As `systemd-analyze security` has it: 0 is a service that can do nothing, 10 one that can do everything."""


def unit_of(name: str) -> str:
    return (UNITS / name).read_text()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Units with a program that is there; verified is that they make sense, not that it is installed."""
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/ns-inject/bin/ns-inject", "/bin/true"))
    return tmp_path


@pytest.mark.parametrize("name", ["ns-inject.service", "ns-inject@docker.service"])
@pytest.mark.parametrize("example", [None, *EXAMPLES], ids=lambda each: each.stem if each else "")
def test_systemd_finds_nothing_wrong_and_little_exposed(name: str, example: Path | None, directory: Path) -> None:
    if example is not None:
        drop_in = directory / f"{name}.d" / example.name.removesuffix(".example")
        drop_in.parent.mkdir()
        drop_in.write_text(example.read_text().replace("/opt/ns-inject/bin/ns-inject", "/bin/true"))
    analyze, env = require("systemd-analyze"), clean_env(directory)
    verified = run([analyze, "verify", "--recursive-errors=no", "--man=no", directory / name], env=env)
    assert verified.stderr == ""
    threshold = f"--threshold={EXPOSURE_MAX * 10:g}"
    judged = run([analyze, "security", "--offline=true", "--no-pager", threshold, directory / name], env=env)
    assert float(re.findall(r"exposure level for \S+ (\S+)", judged.stdout)[0]) <= EXPOSURE_MAX


def test_the_template_is_the_unit_with_names() -> None:
    template = unit_of("ns-inject@.service")
    for one, other in (
        (" (%i)", ""),
        ("%S/ns-inject-%i", "%S/ns-inject"),
        ("StateDirectory=ns-inject-%i", "StateDirectory=ns-inject"),
        ("/etc/ns-inject/%i.conf", "/etc/ns-inject/registries.conf"),
        ("=/etc/ns-inject/%i.env", "=-/etc/ns-inject/ns-inject.env"),
    ):
        assert one in template
        template = template.replace(one, other)
    assert template.partition("[Unit]")[2] == unit_of("ns-inject.service").partition("[Unit]")[2]


# -- for real ----------------------------------------------------------------------------------------------------------

PROGRAM = """#!/bin/sh
exec /opt/python/bin/python3 -P -c 'from oci_ns.cli.main import main; main()' "$@"
"""
OUTPUT = "[Service]\nStandardOutput=append:/opt/output/{0}\nStandardError=inherit\n"


@pytest.fixture
def etc(tmp_path: Path, lab_ca: CertificateAuthority) -> Path:
    """What is to be /etc/ns-inject."""
    path = tmp_path / "etc"
    path.mkdir()
    (path / "ca.pem").write_bytes(lab_ca.pem.read_bytes())
    return path


@pytest.fixture
def systemd(tmp_path: Path, etc: Path, network: PrivateNetwork) -> Iterator[Systemd]:
    """A systemd with the units, and this Python where they have ns-inject: they see neither /root nor /tmp."""
    assert network
    installed, output = tmp_path / "installed", tmp_path / "output"
    (installed / "bin").mkdir(parents=True)
    output.mkdir()
    program = installed / "bin" / "ns-inject"
    program.write_text(PROGRAM)
    # The service's user is nobody that these directories know, and they are mounted where it can go.
    for path in (installed, installed / "bin", program, etc):
        path.chmod(0o755)
    mounts = {
        "/opt/python": Path(sys.base_prefix),
        "/opt/packages": Path(site.getsitepackages()[0]),
        "/opt/addon": ADDON.parent,
        "/opt/ns-inject": installed,
        "/opt/output": output,
        "/etc/ns-inject": etc,
    }
    units = {path.name: path.read_text() for path in FILES}
    for name in ("ns-inject.service", "ns-inject@docker.service"):
        units[f"{name}.d/output.conf"] = OUTPUT.format(name)
    with Systemd(tmp_path, units, mounts) as systemd:
        yield systemd


def environment(*arguments: str) -> str:
    place = {
        "PYTHONPATH": "/opt/packages:/opt/addon",
        "LD_LIBRARY_PATH": "/opt/python/lib",
        "NS_INJECT_ARGS": " ".join(arguments),
    }
    return "".join(f"{name}={value}\n" for name, value in place.items())


CONF = f'[[registry]]\nprefix = "quay.io"\nlocation = "{PROXY_NAME}"\nnamespace-proxy = "quay.io"\n'


def test_the_service_pulls_reloads_and_ends_in_its_sandbox(
    systemd: Systemd,
    etc: Path,
    tmp_path: Path,
    nsproxy: NamespaceProxy,
    images: Images,
    skopeo_factory: SkopeoFactory,
) -> None:
    port, probes = free_port(), free_port()
    (etc / "registries.conf").write_text(CONF)
    trust = "ssl_verify_upstream_trusted_ca=/etc/ns-inject/ca.pem"
    arguments = ["--workers=2", f"--mode=regular@{port}", "--set", trust, "--set", f"ns_metrics=127.0.0.1:{probes}"]
    (etc / "ns-inject.env").write_text(environment(*arguments))
    # Returns when everything listens: the service says so itself.
    systemd.systemctl("start", "ns-inject")
    assert fetch(f"http://127.0.0.1:{probes}/readyz").status == 200

    ca = tmp_path / "ca.pem"
    ca.write_text(systemd.run("cat", "/var/lib/ns-inject/mitmproxy-ca-cert.pem").stdout)
    skopeo = skopeo_factory(Surroundings(proxy=f"http://127.0.0.1:{port}", ca=ca))
    copied = skopeo.copy(f"docker://quay.io/{images.etcd.repository}:{images.etcd.tag}", f"dir:{tmp_path / 'image'}")
    assert copied in images.etcd.digests
    assert_namespaced(nsproxy.requests(), "quay.io")
    assert b"process_resident_memory_bytes" in fetch(f"http://127.0.0.1:{probes}/metrics").body

    process = systemd.systemctl("show", "--property=MainPID", "--value", "ns-inject").stdout.strip()
    status = systemd.run("cat", f"/proc/{process}/status").stdout
    facts = dict(re.findall(r"(?m)^(\w+):\s*(.*)$", status))
    assert facts["Uid"].split()[0] not in {"0", "65534"}
    assert (facts["CapEff"], facts["CapBnd"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0" * 16, "0" * 16, "1", "2")
    listed = systemd.run("stat", "--format=%a %U", "/var/lib/private/ns-inject", "/var/lib/ns-inject/mitmproxy-ca.pem")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["700", "600"]

    output = tmp_path / "output" / "ns-inject.service"
    loads = output.read_text().count(" registries from ")
    systemd.systemctl("reload", "ns-inject")
    wait_until(lambda: output.read_text().count(" registries from ") == loads + 2, "both workers have read it again")

    systemd.systemctl("stop", "ns-inject")
    shown = systemd.systemctl("show", "--property=Result,ExecMainStatus", "ns-inject").stdout
    assert sorted(shown.split()) == ["ExecMainStatus=0", "Result=success"]


def test_an_instance_has_a_configuration_and_a_ca_of_its_own(
    systemd: Systemd, etc: Path, nsproxy: NamespaceProxy, images: Images
) -> None:
    port = free_port()
    (etc / "docker.conf").write_text(CONF.replace("quay.io", "docker.io"))
    trust = "ssl_verify_upstream_trusted_ca=/etc/ns-inject/ca.pem"
    arguments = [f"--mode=reverse:https://{PROXY_NAME}@{port}", "--set", trust, "--set", "ns_default=docker.io"]
    (etc / "docker.env").write_text(environment(*arguments))
    systemd.systemctl("start", "ns-inject@docker")
    assert fetch(f"http://127.0.0.1:{port}/v2/{images.hello.repository}/tags/list").status == 200
    assert_namespaced(nsproxy.requests(), "docker.io")
    assert "mitmproxy-ca.pem" in systemd.run("ls", "/var/lib/ns-inject-docker/").stdout
