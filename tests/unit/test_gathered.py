"""What several processes observe, as one: pulls in the order of time, and metrics that stay bounded."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from oci_ns.metrics import LABELS_MAX, OTHER
from oci_ns.pull import Pull
from oci_ns.serving.gathered_metrics import Counted, Workers
from oci_ns.serving.gathered_pulls import LAG_SECONDS, GatheredPulls
from oci_ns.serving.outbox import HandedOn, Outbox
from oci_ns.serving.worker_link import Begun, Ended, Loaded, packed, values
from oci_ns.transfer import Transfer
from tests.unit.test_pulls import docker, podman
from tests.unit.traffic import transfer

ADDON = Path(__file__).parents[2] / "addon"


def told(pulls: Iterable[Pull]) -> list[tuple[str, str, int]]:
    return [(pull.image, pull.result, len(pull.complete)) for pull in pulls]


def deal(transfers: list[Transfer], workers: int) -> list[tuple[int, Begun | Ended]]:
    """Each request at another worker, in the order in which a supervisor may well hear of them: worker by worker."""
    events: list[tuple[int, Begun | Ended]] = []
    for number, each in enumerate(transfers):
        worker = number % workers
        events += [(worker, Begun(replace(each, status=None, ended=None, body=None))), (worker, Ended(each))]
    return sorted(events, key=lambda event: event[0])


@pytest.mark.parametrize("client", [docker, podman])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_pull_is_one_whatever_workers_its_requests_went_through(client: object, workers: int) -> None:
    transfers: list[Transfer] = client(100.0)  # type: ignore[operator]
    gathered = GatheredPulls()
    for worker, event in deal(transfers, workers):
        gathered.take(worker, event)
    assert told(gathered.over(101.0 + LAG_SECONDS)) == []
    assert told(gathered.over(110.0)) == [("quay.io/coreos/etcd:v1", "complete", 3)]
    assert gathered.close() == []


def test_what_a_dead_worker_had_under_way_has_failed() -> None:
    gathered = GatheredPulls()
    begun = replace(transfer("GET manifest :v1", 100.0), status=None, ended=None, body=None)
    gathered.take(1, Begun(begun))
    gathered.take(2, Begun(replace(begun, client="10.0.0.9")))
    gathered.gone(1, 101.0, "worker 1 died")
    (pull,) = gathered.over(140.0)
    assert (pull.result, pull.errors) == ("failed", {":v1": "worker 1 died"})
    assert [pull.client for pull in gathered.close()] == ["10.0.0.9"]


class Unread:
    """A connection that nobody reads."""

    def __init__(self) -> None:
        self.transport = self
        self.written = b""

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data


async def arrived(data: bytes) -> list[object]:
    """The messages, as they come out at the other end."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return [message async for batch in values(reader) for message in batch]


def test_a_worker_hands_on_what_it_observes_and_tells_no_pull_itself() -> None:
    transfers = docker(100.0)

    async def run() -> tuple[list[Pull], list[object]]:
        outbox, connection = Outbox(), Unread()
        pulls = HandedOn(outbox)
        assert pulls.begin(transfer("GET tags :", 100.0)) is None
        for each in transfers:
            pull = pulls.begin(each)
            assert pull is not None
            pulls.end(pull, each)
        outbox.open(connection)  # type: ignore[arg-type]
        over = pulls.over(1000.0) + pulls.close()
        return over, await arrived(connection.written)

    over, messages = asyncio.run(run())
    assert over == []
    assert messages == [message for each in transfers for message in (Begun(each), Ended(each))]


def test_a_message_that_is_cut_off_is_none() -> None:
    assert asyncio.run(arrived(packed([1, 2]) + packed([3])[:-1])) == [1, 2]


def test_a_supervisor_that_does_not_read_costs_bounded_memory(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> int:
        outbox, unread = Outbox(), Unread()
        outbox.open(unread)  # type: ignore[arg-type]
        for _ in range(50):
            outbox.put(Begun(transfer("GET manifest :v1", 100.0, body=bytes(2**20))))
            outbox.flush()
        return len(unread.written)

    assert asyncio.run(run()) < 34 * 2**20
    assert [record.getMessage() for record in caplog.records] == [
        "the supervisor does not keep up: some pulls will not be told"
    ]


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_series_stay_bounded_however_many_workers_had_their_own(tmp_path: Path) -> None:
    counted = Counted(str(tmp_path))
    metric = Metric("ns_inject_responses", "Answers.", "counter")
    for number in range(LABELS_MAX + 200):
        metric.add_sample("ns_inject_responses_total", {"endpoint": f"{number}.example.com", "status": "200"}, 2)
    counted._files.collect = lambda: [metric]  # type: ignore[method-assign]
    for _ in range(2):
        (bounded,) = counted.collect()
        assert len(bounded.samples) == LABELS_MAX + 1
        assert sum(sample.value for sample in bounded.samples) == 2 * (LABELS_MAX + 200)
        assert bounded.samples[-1].labels == {"endpoint": OTHER, "status": "200"}


def test_workers_are_told_of_by_number_and_tables_by_the_worst() -> None:
    loads = [Loaded(True, 5, 100.0), Loaded(True, 7, 200.0)]
    metrics = {metric.name: metric for metric in Workers(lambda: {"1": 1}, lambda: loads, lambda: 3).collect()}
    assert metrics["ns_inject_table_registries"].samples[0].value == 5
    assert metrics["ns_inject_table_age_seconds"].samples[0].value > 1e9
    assert metrics["ns_inject_worker_restarts"].samples[0].value == 3


WORKER = """
import sys
from oci_ns.serving.metrics_directory import use_directory
use_directory(int(sys.argv[1]))
from oci_ns.metrics import Metrics
from tests.unit.traffic import transfer
metrics = Metrics(lambda: None, alone=False)
metrics._namespace = metrics._endpoint = lambda value: value
metrics.decided(transfer("GET manifest :v1", 1.0))
"""


def test_a_worker_that_is_started_again_goes_on_counting(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ADDON}:{ADDON.parent}", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for worker in ("1", "2", "1"):
        subprocess.run([sys.executable, "-c", WORKER, worker], env=environment, check=True)
    counts = {metric.name: metric.samples for metric in Counted(str(tmp_path)).collect()}
    assert [sample.value for sample in counts["ns_inject_decisions"]] == [3]
    assert {path.name for path in tmp_path.iterdir()} >= {"counter_1.db", "counter_2.db"}
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


# -- the JSON log ------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from oci_ns.json_log import JsonLog
log = JsonLog(sys.argv[1])
for _ in range(200):
    log._write({"who": sys.argv[2] * 5000})
"""


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    environment = {"PYTHONPATH": str(ADDON)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), who], env=environment) for who in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    lines = [json.loads(line)["who"] for line in path.read_text().splitlines()]
    assert sorted(lines) == ["a" * 5000] * 200 + ["b" * 5000] * 200
