"""The rooms of the package: which module may know which, and that a bare checkout needs no more than mitmproxy."""

from __future__ import annotations

import ast
import itertools
import sys

import pytest

from tests.unit.rooms import CORE, MODULES, PACKAGE, imports, reachable

KNOW_MITMPROXY = {"addon", "demo", "exchange_hook", "exchanges", "flows", "forwarding", "network", "options"} | {
    "accounting",
    "closed",
    "commands",
    "completion",
    "connection_ends",
    "flow_file",
    "flow_recording",
    "http1_answers",
    "http1_heads",
    "http1_requests",
    "http_stream",
    "no_answer",
    "observed",
    "observer",
    "patience",
    "under_way",
    "upstream_tls",
    "views",
}
# The runner of `ns-inject serve`, which the addon knows nothing of.
SERVING = {"cli_serve", "draining", "event_loop", "gathered_metrics", "gathered_pulls", "gone_clients", "line_log"} | {
    "metrics_directory",
    "outbox",
    "quick",
    "runner",
    "serve_options",
    "service_manager",
    "supervisor",
    "supervisor_accounts",
    "unchecked",
    "worker",
    "worker_link",
    "worker_process",
}
KNOW_MITMPROXY |= {"draining", "gone_clients", "hook_table", "legacy_events", "line_log", "quick", "runner"}
KNOW_MITMPROXY |= {"second_tries", "unchecked", "worker"}
KNOW_CLICK = {
    "cli",
    "cli_check",
    "cli_client",
    "cli_completion",
    "cli_explain",
    "cli_export",
    "cli_pulls",
    "cli_serve",
    "cli_shared",
} | {"completion"}
KNOW_RICH = {"check_text", "explain_text", "pull_table", "terminal"}
ALSO_KNOW = {"toml_pieces": {"tomli"}, "client": {"h11"}, "network": {"certifi"}, "upstream_tls": {"OpenSSL"}} | {
    "http1_answers": {"h11"},
    "metrics": {"prometheus_client"},
    "gathered_metrics": {"prometheus_client"},
    "metrics_directory": {"prometheus_client"},
    "supervisor_accounts": {"prometheus_client"},
    "event_loop": {"uvloop"},
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
    shell = {"client", "client_check", "client_files", "conf_files"} | KNOW_MITMPROXY | KNOW_CLICK | KNOW_RICH
    assert not reachable("client_setup") & shell


def test_whoever_supervises_serves_nothing_itself() -> None:
    # The worker is a process that it starts.
    assert not reachable("supervisor") & {"addon", "hook_table", "runner", "worker"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_begins_by_saying_what_it_knows(module: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / f"{module}.py").read_text()))
