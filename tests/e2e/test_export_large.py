"""`ns-inject export` of a large configuration: each engine loads it, and finds what stands at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.conversation import Conversation
from lab.engines import ENGINES, checking, started
from lab.everywhere import Everywhere, answering, everywhere
from lab.network import PrivateNetwork
from lab.outcomes import Asked
from lab.process import clean_env, free_port, run

REGISTRIES = 10_000
PLAIN = """
[[registry]]
prefix = "r{0}.example.net"
location = "proxy.test/r{0}"
plain-http = true
namespace-proxy = "ns{0}.example.net"
"""
MIRRORED = """
[[registry]]
prefix = "r{0}.example.net/team"
location = "r{0}.example.net/team"
[[registry.mirror]]
location = "proxy.test/r{0}"
plain-http = true
namespace-proxy = "ns{0}.example.net"
[[registry.mirror]]
location = "other.test/cache/r{0}"
plain-http = true
namespace-proxy = "r{0}.example.net"
"""
MAIN = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}


@pytest.fixture(scope="module")
def servers(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    with everywhere(network, tmp_path_factory.mktemp("everywhere")) as found:
        yield found


@pytest.mark.parametrize("entry", [PLAIN, MIRRORED], ids=["plain", "mirrored"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_last_of_many_registries_is_found(engine: str, entry: str, servers: Everywhere, tmp_path: Path) -> None:
    conf, directory, port = tmp_path / "registries.conf", tmp_path / engine, free_port()
    conf.write_text("".join(entry.format(number) for number in range(REGISTRIES)))
    command = [sys.executable, "-c", "from oci_ns.cli.main import main; main()", "export", engine]
    options = ["--registries-conf", str(conf), "-o", f"{directory}/", "--listen", f"127.0.0.1:{port}"]
    options += ["--ca", str(servers.authority.pem), "--resolver", "127.0.0.1:53"]
    run([*command, *options], env=clean_env(tmp_path) | {"PYTHONPATH": ":".join(sys.path)}, timeout=300)
    main = directory / MAIN[engine]
    run(checking(engine, directory, main), env=clean_env(directory), cwd=directory, timeout=300)
    servers.play = answering(200)
    with started(engine, main, [port], timeout=300), Conversation(port) as client:
        for number in (0, REGISTRIES // 2, REGISTRIES - 1):
            servers.clear()
            answer = client.ask(Asked("GET", "http", f"r{number}.example.net", "/v2/team/app/manifests/v1").raw)
            assert answer.status == 200
            repository = "team/app" if entry is PLAIN else "app"
            sent = [(each.host, each.port, each.target) for each in servers.arrivals]
            assert sent == [("proxy.test", 80, f"/v2/r{number}/{repository}/manifests/v1?ns=ns{number}.example.net")]
        missing = client.ask(Asked("GET", "http", f"r{REGISTRIES}.example.net", "/v2/team/app/manifests/v1").raw)
        assert (missing.status, missing.code) == (421, "UNSUPPORTED")
