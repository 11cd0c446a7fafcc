"""The rooms of the package: which module may know which, and that a bare checkout needs no more than mitmproxy."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "addon" / "oci_ns"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
KNOW_MITMPROXY = {"addon", "demo", "exchange_hook", "exchanges", "flows", "forwarding", "network", "options"} | {
    "accounting",
    "commands",
    "completion",
    "flow_file",
    "observed",
    "observer",
    "under_way",
    "upstream_tls",
    "views",
}
# The runner of `ns-inject serve`, which the addon knows nothing of.
SERVING = {"cli_serve", "event_loop", "gathered_metrics", "gathered_pulls", "line_log"} | {
    "metrics_directory",
    "outbox",
    "quick",
    "runner",
    "serve_options",
    "supervisor",
    "supervisor_accounts",
    "unchecked",
    "worker",
    "worker_link",
    "worker_process",
}
KNOW_MITMPROXY |= {"hook_table", "legacy_events", "line_log", "quick", "runner", "unchecked", "worker"}
KNOW_CLICK = {
    "cli",
    "cli_check",
    "cli_client",
    "cli_completion",
    "cli_explain",
    "cli_pulls",
    "cli_serve",
    "cli_shared",
} | {"completion"}
KNOW_RICH = {"check_text", "explain_text", "pull_table", "terminal"}
ALSO_KNOW = {"toml_pieces": {"tomli"}, "client": {"h11"}, "network": {"certifi"}, "upstream_tls": {"OpenSSL"}} | {
    "metrics": {"prometheus_client"},
    "gathered_metrics": {"prometheus_client"},
    "metrics_directory": {"prometheus_client"},
    "supervisor_accounts": {"prometheus_client"},
    "event_loop": {"uvloop"},
}
ORDER = ["reference", "distribution", "registries_conf", "routes", "addon"]


def imports(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            if node.module == "oci_ns":
                found |= {f"oci_ns.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return found


def reachable(module: str) -> set[str]:
    seen: set[str] = set()
    todo = [module]
    while todo:
        for name in imports(todo.pop()):
            neighbour = name.removeprefix("oci_ns.")
            if name.startswith("oci_ns.") and neighbour not in seen:
                seen.add(neighbour)
                todo.append(neighbour)
    return seen


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


def test_what_a_client_needs_is_known_without_reading_or_sending_anything() -> None:
    shell = {"client", "client_check", "client_files", "conf_files"} | KNOW_MITMPROXY | KNOW_CLICK | KNOW_RICH
    assert not reachable("client_setup") & shell


def test_whoever_supervises_serves_nothing_itself() -> None:
    # The worker is a process that it starts.
    assert not reachable("supervisor") & {"addon", "hook_table", "runner", "worker"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_begins_by_saying_what_it_knows(module: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / f"{module}.py").read_text()))
