"""The rooms of the package: which module may know which, and that a bare checkout needs no more than mitmproxy."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import pytest

from oci_ns.cli.export import ENGINES
from tests.unit.rooms import CORE, MODULES, PACKAGE, below, imports, reachable

KNOW_MITMPROXY = {
    "accounting",
    "addon",
    "closed",
    "commands",
    "completion",
    "connection_ends",
    "demo",
    "exchange_hook",
    "exchanges",
    "flow_file",
    "flow_recording",
    "flows",
    "forwarding",
    "hook_table",
    "http1_answers",
    "http1_chunks",
    "http1_heads",
    "http1_requests",
    "http_stream",
    "legacy_events",
    "network",
    "no_answer",
    "observed",
    "observer",
    "options",
    "patience",
    "second_tries",
    "serving.draining",
    "serving.gone_clients",
    "serving.line_log",
    "serving.quick",
    "serving.runner",
    "serving.unchecked",
    "serving.worker",
    "under_way",
    "upstream_tls",
    "views.adapters",
}
# The runner of `ns-inject serve`, which the addon knows nothing of.
SERVING = {"cli.serve", *below("serving")}
KNOW_CLICK = {"completion", *below("cli")}
KNOW_RICH = {"check_text", "explain_text", "pull_table", "terminal"}
ALSO_KNOW = {
    "http1_client": {"h11"},
    "http1_chunks": {"h11"},
    "http1_heads": {"h11"},
    "metrics": {"prometheus_client"},
    "network": {"certifi"},
    "serving.event_loop": {"uvloop"},
    "serving.gathered_metrics": {"prometheus_client"},
    "serving.metrics_directory": {"prometheus_client"},
    "serving.supervisor_accounts": {"prometheus_client"},
    "toml_pieces": {"tomli"},
    "upstream_tls": {"OpenSSL"},
}
ORDER = ["reference", "distribution", "registries_conf", "routes", "addon"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_room_allows(module: str) -> None:
    others = {name.partition(".")[0] for name in imports(module)} - set(sys.stdlib_module_names) - {"oci_ns"}
    allowed = {"mitmproxy"} if module in KNOW_MITMPROXY else set()
    allowed |= {"click"} if module in KNOW_CLICK else set()
    allowed |= {"rich"} if module in KNOW_RICH else set()
    allowed |= ALSO_KNOW.get(module, set())
    assert others <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_dependencies_point_one_way(module: str) -> None:
    assert module not in reachable(module)


def test_the_rooms_stand_in_order() -> None:
    for before, after in itertools.pairwise(ORDER):
        assert after not in reachable(before)


def test_the_addon_and_the_trace_do_not_need_the_command_line() -> None:
    known = reachable("addon") | reachable("assembly") | reachable("demo") | reachable("trace")
    assert not known & (KNOW_CLICK | KNOW_RICH | SERVING)


def test_the_core_is_without_mitmproxy_and_without_input_and_output() -> None:
    known = {name for module in CORE for name in imports(module)}
    assert not known & {"asyncio", "os", "shutil", "socket", "ssl", "subprocess", "tempfile", "threading", "time"}
    assert not set(CORE) & (KNOW_MITMPROXY | KNOW_CLICK | KNOW_RICH | SERVING)


def test_what_a_client_needs_is_known_without_reading_or_sending_anything() -> None:
    shell = {"http1_client", "clients.check", "clients.files", "conf_files"} | KNOW_MITMPROXY | KNOW_CLICK | KNOW_RICH
    assert not reachable("clients.recipes") & shell


def test_whoever_supervises_serves_nothing_itself() -> None:
    # The worker is a process that it starts.
    assert not reachable("serving.supervisor") & {"addon", "hook_table", "serving.runner", "serving.worker"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_begins_by_saying_what_it_knows(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_knows_no_other_engine(engine: str) -> None:
    known = set().union(*(reachable(module) for module in below(f"export.{engine}")))
    assert not known & {module for other in ENGINES if other != engine for module in below(f"export.{other}")}
