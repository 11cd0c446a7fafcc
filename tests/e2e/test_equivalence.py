"""An exported configuration does what the addon does: request by request, on the addon itself and on each engine.

What arrives at the endpoints is compared to the byte, as is which error is answered. What an engine refuses, and what
it cannot carry, are lists below: more than is there is a failure, and less is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from oci_ns.distribution import Operation
from oci_ns.reference import split_host
from oci_ns.routes import RouteTable

from equivalence import OK, Report, compared, generated_cases, outcome, rows
from lab.conversation import Conversation
from lab.engines import ENGINES
from lab.everywhere import Everywhere, everywhere
from lab.measurements import noted
from lab.mitmdump import ADDON, Mitmdump
from lab.network import PrivateNetwork
from lab.outcomes import Asked, told
from lab.process import unavailable, wait_until
from lab.remote import SCRIPT, VARIABLE, Remote

REFUSED: dict[str, frozenset[str]] = {
    "nginx": frozenset(),
    "haproxy": frozenset(),
    "envoy": frozenset(),
}
"""What a request has that the engine answers with 400 instead."""
NOT_CARRIED: dict[str, frozenset[str]] = {"nginx": frozenset(), "haproxy": frozenset(), "envoy": frozenset()}
"""The rules that an export leaves out, or is refused for."""


@pytest.fixture(scope="module")
def servers(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    with everywhere(network, tmp_path_factory.mktemp("everywhere")) as found:
        yield found


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(f"oci_ns.export_{name}") is None:
        unavailable(f"there is no export to {name}")
    return name


def assert_same(report: Report, engine: str) -> None:
    noted(f"{engine}: {report}")
    assert not report.different, "\n".join(map(str, report.different[:3]))
    assert not report.unexplained, "\n".join(map(str, report.unexplained[:3]))
    assert set(report.left_out) <= NOT_CARRIED[engine]
    assert report.equal > 100


def test_the_rows_go_through_an_engine_as_the_table_says(engine: str, servers: Everywhere, tmp_path: Path) -> None:
    assert_same(compared(engine, rows(), tmp_path, servers, REFUSED[engine]), engine)


def test_what_is_generated_goes_through_an_engine_as_the_table_says(
    engine: str, servers: Everywhere, tmp_path: Path
) -> None:
    assert_same(compared(engine, generated_cases(), tmp_path, servers, REFUSED[engine]), engine)


def test_the_rows_go_through_mitmdump_as_the_table_says(
    network: PrivateNetwork, servers: Everywhere, tmp_path: Path
) -> None:
    remote = network.short_directory("remote") / "socket"
    mitmdump = Mitmdump(
        tmp_path / "mitmdump",
        scripts=(ADDON, SCRIPT),
        trusted_ca=servers.authority.pem,
        env={VARIABLE: str(remote), "PYTHONPATH": str(ADDON.parent)},
    )
    with mitmdump:
        wait_until(remote.exists, "options can be set")
        for number, case in enumerate(rows()):
            conf = tmp_path / f"{number}.conf"
            conf.write_text(case.text)
            Remote(remote).set(
                ns_registries_conf=str(conf),
                ns_default=case.options.default,
                ns_client_namespace=case.options.client_namespace,
                ns_unresolved=case.options.unresolved,
            )
            servers.play = OK
            for asked in case.requests:
                assert_is_told(case.table, asked, servers, mitmdump.port)


def assert_is_told(table: RouteTable, asked: Asked, servers: Everywhere, port: int) -> None:
    host, at = split_host(asked.named)
    is_read = asked.scheme == "http" or table.index.may_rewrite(asked.scheme, host, at)
    # What a proxy knows nothing of goes to the host that the client names, and TLS is passed through unread.
    expected, decision = told(table if is_read else RouteTable(), replace(asked, destination=asked.named))
    below = is_read and (decision is None or decision.operation is not None)
    with Conversation(port, proxied=(asked.scheme, asked.named)) as client:
        found, answer = outcome(servers, client, asked, below=below)
    if decision is not None and decision.operation is Operation.BLOB:
        # Its endpoints are asked for the head, before the client's own request goes where it is.
        found = replace(found, sent=tuple(each for each in found.sent if each.method == asked.method))
    assert expected.first.is_like(found), (asked, answer)
