"""The benchmark's command runs, compares only what is comparable, and says all it has measured. No figure is judged."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lab.process import require, run
from lab.wire import Talk, Wire, healthy, wire
from tests.bench.bench import Bench
from tests.bench.load import generate
from tests.bench.measures import BenchError, Figure, Target, ratios
from tests.bench.peers import Kind, Peer, start
from tests.bench.rounds import averaged, interleaved
from tests.bench.same import arrived_alike
from tests.bench.settings import QUICK
from tests.bench.upstream import Upstream

_CHECKOUT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "tests.bench"]
_WHOLE_ROWS_SECONDS = 600.0
"""Far more than the rows take: how busy the machine is, is not what is tested."""
_REWRITING = (Kind.STOCK, Kind.MAP_REMOTE, Kind.NGINX, Kind.HAPROXY)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for program in ("haproxy", "nginx", "wrk"):
        require(program)
    return Bench(QUICK, tmp_path)


def test_the_command_measures_a_row_and_writes_every_sample(tmp_path: Path, bench: Bench) -> None:
    assert bench
    written = tmp_path / "bench.json"
    options = ["--quick", "--rounds", "1", "--rows", "small-requests,decision", "--json", str(written)]

    table = run([*_COMMAND, *options], cwd=_CHECKOUT, timeout=_WHOLE_ROWS_SECONDS).stdout

    assert "mitmdump with the addon / bare mitmdump" in table
    assert "one decision, 10 registries" in table
    told = json.loads(written.read_text())
    assert told["settings"]["rounds"] == 1
    assert {"python", "mitmproxy", "wrk", "nginx", "haproxy", "kernel", "processors"} <= set(told["versions"])
    small, decision = told["rows"]
    assert (small["row"], small["failed"], decision["row"], decision["failed"]) == (
        "small-requests",
        None,
        "decision",
        None,
    )
    assert small["conditions"]
    peers = {*_REWRITING, Kind.BARE, Kind.DIRECT}
    assert peers <= set(small["samples"])
    for peer in peers:
        assert {name: len(values) for name, values in small["samples"][peer].items()} == {
            "requests/s": 1,
            "requests": 1,
            "p50 ms": 1,
            "p99 ms": 1,
        }
    assert {*_REWRITING, Kind.BARE, "load"} <= set(small["commands"])
    arrived = {peer: small["commands"][f"seen from {peer}"] for peer in peers}
    assert arrived.pop(Kind.BARE) == "GET /v2/quay.io/lab/image-1/manifests/v1"
    assert set(arrived.values()) == {"GET /v2/lab/image-1/manifests/v1?ns=quay.io"}
    keys = {"what", "unit", "values", "median", "min", "max", "target", "met", "unavailable"}
    for figure in [*small["figures"], *decision["figures"]]:
        assert set(figure) == keys
        assert bool(figure["values"]) != bool(figure["unavailable"])
        assert (figure["met"] is None) == (figure["target"] is None or not figure["values"])


def test_an_unknown_row_is_refused_with_the_names_there_are() -> None:
    answer = run([*_COMMAND, "--rows", "nothing"], cwd=_CHECKOUT, check=False)

    assert answer.returncode == 2
    assert "small-requests" in answer.stderr


def test_all_that_is_missing_is_named_and_how_to_install_it() -> None:
    # What is installed is not on this path, nor in the directories for system programs that are added to it.
    script = (
        "import lab.process as p; p.search_path = lambda: '/nowhere'; import runpy; runpy.run_module('tests.bench')"
    )
    answer = run([sys.executable, "-c", f"import tests.bench; {script}"], cwd=_CHECKOUT, check=False)

    assert answer.returncode == 2
    assert "not installed: curl, docker, docker-registry" in answer.stderr
    assert "apt-get install -y curl docker-registry docker.io haproxy nginx skopeo util-linux wrk" in answer.stderr


def test_a_peer_that_does_something_else_is_not_compared(bench: Bench) -> None:
    with ExitStack() as stack:
        upstream = Upstream(bench)
        stack.enter_context(upstream.daemon)
        (bare,) = start(bench, stack, [Kind.BARE], upstream.authority)
        pretender = replace(bare, kind=Kind.STOCK)

        with pytest.raises(BenchError, match="mitmdump with the addon cannot be compared"):
            arrived_alike([pretender], upstream, "lab/image/manifests/v1")


def test_a_peer_that_fails_under_load_has_no_figure(bench: Bench) -> None:
    with ExitStack() as stack:
        upstream = Upstream(bench)
        stack.enter_context(upstream.daemon)
        (nginx,) = start(bench, stack, [Kind.NGINX], upstream.authority)
        upstream.daemon.stop()

        with pytest.raises(BenchError, match="nginx under load: Non-2xx"):
            generate(nginx, connections=2, seconds=1)


def test_time_in_which_nothing_was_answered_counts(bench: Bench) -> None:
    assert bench
    connections = 2

    def late(talk: Talk) -> None:
        if len(server.asked) <= connections:
            talk.stall()
        else:
            healthy(talk)

    with wire(late) as server:
        load = generate(_at(server), connections=connections, seconds=1)

    # A second without an answer, and no less than two more.
    assert 0 < load.per_second < load.requests / 2.9


def test_a_peer_that_never_answers_has_no_figure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench
    monkeypatch.setattr("tests.bench.load._PATIENCE", 3)
    with wire(Talk.stall) as server, pytest.raises(BenchError, match="direct under load: no answer within 3 s"):
        generate(_at(server), connections=1, seconds=1)


def _at(server: Wire) -> Peer:
    return Peer(Kind.DIRECT, f"http://{server.authority}", server.authority)


def test_every_peer_has_a_turn_in_every_round_and_the_first_changes() -> None:
    peers = [_Named("a"), _Named("b"), _Named("c")]
    turns: list[str] = []

    def measure(peer: _Named) -> dict[str, float]:
        turns.append(peer.name)
        return {"turn": len(turns)}

    samples = interleaved(peers, 3, measure, lambda _: None)

    assert "".join(turns) == "abcbcacab"
    assert samples["a"]["turn"] == [1, 6, 8]
    assert ratios(samples, "turn", "b", "a") == [2 / 1, 4 / 6, 9 / 8]


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


def test_the_turns_of_a_round_are_one_value() -> None:
    samples = {"a": {"requests/s": [1.0, 3.0, 5.0, 7.0]}}

    assert averaged(samples, 2) == {"a": {"requests/s": [2.0, 6.0]}}


@pytest.mark.parametrize(
    ("target", "values", "met"),
    [
        (Target(">=", 0.97), [0.9, 0.97, 1.2], True),
        (Target(">=", 0.97), [0.9, 0.96, 1.2], False),
        (Target("<=", 50), [50], True),
        (Target("<", 32), [32], False),
        (Target("<", 32), [], None),
        (None, [1], None),
    ],
)
def test_the_median_meets_a_target_or_not(target: Target | None, values: list[float], met: bool | None) -> None:
    assert Figure("something", "", values, target).met is met
