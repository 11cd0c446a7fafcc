"""What the README says of exports: its commands run, and its table is that of the tests of equivalence."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
from pathlib import Path

import pytest

from lab.clients import Curl
from lab.engines import ENGINES, NS_INJECT, program
from lab.fixtures import Images
from lab.mitmdump import ADDON
from lab.network import PrivateNetwork
from lab.nsproxy import NamespaceProxy
from lab.process import Daemon, clean_env, run, wait_until
from oci_ns.export.options import WITHOUT_FORM
from test_equivalence import NOT_CARRIED, OTHERWISE, REFUSED

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().partition("\n## Beyond one machine")[2].partition("\n## ")[0]
ENVIRONMENT = clean_env(Path("/"), PYTHONPATH=str(ADDON.parent))
NAMES = {"nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy"}


def test_the_table_says_what_the_tests_of_equivalence_let_pass() -> None:
    (text,) = re.findall(r"<!-- what engines do otherwise -->\n\n((?:\|.*\n)+)", SECTION)
    head, _, *rows = str(text).splitlines()
    assert head == f"| what | {' | '.join(NAMES.values())} | |"
    right = as_it_should_be(rows)
    assert rows == right, "put this in its place:\n" + "\n".join(right)


def as_it_should_be(rows: list[str]) -> list[str]:
    """The rows of the table, in their order and with their explanations, and what they lack."""
    explained = {cells[0].strip(): cells[-1].strip() for cells in (row.strip("|").split("|") for row in rows)}
    found = otherwise()
    whats = {what for what, _ in found}
    order = [*(what for what in explained if what in whats), *sorted(whats - explained.keys())]
    lines = ([what, *(found.get((what, each), "") for each in NAMES), explained.get(what, "")] for what in order)
    return ["|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines]


def otherwise() -> dict[tuple[str, str], str]:
    """What each engine does otherwise, by what it is and the engine."""
    found: dict[tuple[str, str], str] = {}
    for engine in ENGINES:
        found |= {(what, engine): "400" for what in REFUSED[engine].told}
        found |= {(what, engine): "bare 400" for what in REFUSED[engine].bare}
        found |= {(what, engine): "not carried" for what in NOT_CARRIED[engine]}
        found |= {(what, engine): "otherwise" for what in OTHERWISE[engine]}
    return found


def test_every_option_without_a_form_is_named() -> None:
    (paragraph,) = re.findall(r"no form in an engine: (.*?)\n\n", SECTION + "\n", re.DOTALL)
    assert set(re.findall(r"ns_[a-z_]+", paragraph)) == set(WITHOUT_FORM)


# -- the commands ------------------------------------------------------------------------------------------------------


def exporting(engine: str, *more: str) -> None:
    """Run the README's command, for this engine."""
    (line,) = re.findall(r"<!-- command: export -->\n```console\n(.*)\n```", SECTION)
    words = shlex.split(line)
    assert words[:3] == ["ns-inject", "export", "nginx"]
    command = [*NS_INJECT, "export", engine, *words[3:], *more]
    run(command, env=ENVIRONMENT, cwd=ROOT)


def row(name: str, engine: str) -> str:
    """What the README says in a row of its table of engines."""
    (cells,) = re.findall(rf"^\| {name} \| (.*?) \| (.*?) \| (.*?) \|$", SECTION, re.MULTILINE)
    return str(cells[list(NAMES).index(engine)])


def is_open(port: int) -> bool:
    """Whether a client gets through, whichever way the engine listens at all addresses."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_is_exported_started_and_changed_by_the_commands(
    engine: str, tmp_path: Path, network: PrivateNetwork, nsproxy: NamespaceProxy, images: Images
) -> None:
    # /etc is the private network's own.
    assert network
    assert images
    exporting(engine)
    words = shlex.split(row("start it", engine).strip("`"))
    (port,) = map(int, re.findall("--listen ([0-9]+) -o", SECTION))
    daemon = Daemon(
        engine,
        [program(words[0]), *words[1:]],
        log=tmp_path / "engine.log",
        ready=lambda: is_open(port),
        env=clean_env(tmp_path),
        cwd=tmp_path,
    )
    curl = Curl(tmp_path)

    def namespaces(path: str) -> list[list[str]]:
        nsproxy.mark()
        curl(f"http://127.0.0.1:{port}/v2/{path}/tags/list")
        return [request.namespaces for request in nsproxy.requests()]

    (tmp_path / "root").mkdir()
    with daemon.start():
        client = ["client", "podman", "--registries-conf", "config/docker-mirror.conf", "--recipe", "mirror"]
        client += ["--proxy", f"http://127.0.0.1:{port}", "--root", str(tmp_path / "root")]
        for step in ("--write", "--check"):
            run([*NS_INJECT, *client, step], env=ENVIRONMENT, cwd=ROOT)
        assert namespaces("quay.io/coreos/etcd") == [["quay.io"]]
        assert namespaces("library/hello") == [["docker.io"]]
        exporting(engine, "--set", "ns_default=quay.io")
        assert namespaces("library/hello") == [["docker.io"]]
        anew = row("after an export", engine)
        if engine == "nginx":
            run(shlex.split(anew.strip("`")), env=clean_env(tmp_path))
        elif engine == "haproxy":
            assert anew == "`kill -USR2` that process"
            os.kill(daemon.pid, signal.SIGUSR2)
        else:
            assert anew == "start it anew"
            daemon.stop()
            daemon.start()
        wait_until(lambda: namespaces("library/hello") == [["quay.io"]], "what was exported last is in use")
