"""The JSON log and the metrics: what is written and counted, and that neither grows without end or stops a request."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.test import taddons
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from oci_ns import options
from oci_ns.accounting import Accounting
from oci_ns.addon import NsInject
from oci_ns.conf_files import parse_text
from oci_ns.findings import Finding, Kind
from oci_ns.index import RouteIndex
from oci_ns.json_log import JsonLog
from oci_ns.metrics import NONE, OTHER, Metrics, Table
from oci_ns.pull import Pull
from oci_ns.transfer import Transfer
from tests.unit.test_addon import CONF
from tests.unit.traffic import MANIFEST, transfer

INDEX = RouteIndex(parse_text(Path("registries.conf"), CONF.encode()).registries.values())
PULL = Pull("10.0.0.1", "docker/20", "quay.io", "a", ":v1", 1_700_000_000, 1_700_000_002.5, received=9)
TRANSFER = transfer(
    "GET manifest :v1",
    1_700_000_000,
    body=MANIFEST,
    findings=(Finding(Kind.WRONG_NAMESPACE, "served\n\x1b[31m docker.io"),),
    passed_over=("a.example.com: down",),
)


# --- the JSON log


def written(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_decision_finding_and_pull_is_one_object_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    log = JsonLog(str(path))
    log.decided(TRANSFER)
    log.answered(TRANSFER)
    log.pulled(PULL)
    log.close()
    decision, finding, pull = written(path)
    assert decision == {
        "time": "2023-11-14T22:13:20.000Z",
        "event": "decision",
        "client": "10.0.0.1",
        "agent": "docker/20.10.24",
        "method": "GET",
        "url": "https://quay.io/v2/",
        "operation": "manifest",
        "image": "quay.io/coreos/etcd:v1",
        "action": "rewrite",
        "namespace": "quay.io",
        "source": "host",
        "entry": None,
        "endpoint": "proxy.example.com",
        "upstream": "https://proxy.example.com/v2/",
        "passed_over": ["a.example.com: down"],
        "error": None,
    }
    assert finding == {
        "time": "2023-11-14T22:13:20.100Z",
        "event": "finding",
        "client": "10.0.0.1",
        "method": "GET",
        "url": "https://quay.io/v2/",
        "image": "quay.io/coreos/etcd:v1",
        "endpoint": "proxy.example.com",
        "status": 200,
        "kind": "wrong-namespace",
        "text": "served\n\x1b[31m docker.io",
    }
    assert pull == {
        "time": "2023-11-14T22:13:22.500Z",
        "event": "pull",
        "begun": "2023-11-14T22:13:20.000Z",
        "client": "10.0.0.1",
        "agent": "docker/20",
        "image": "quay.io/a:v1",
        "registry": "quay.io",
        "repository": "a",
        "reference": ":v1",
        "result": "resolved",
        "digest": None,
        "platforms": [],
        "layers": 0,
        "blobs": 0,
        "blobs_complete": 0,
        "bytes": 9,
        "seconds": 2.5,
        "endpoints": [],
        "passed_over": [],
        "findings": [],
        "errors": [],
    }


def test_the_log_goes_on_in_a_new_file_where_the_old_one_was_renamed(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    log = JsonLog(str(path))
    log.pulled(PULL)
    path.rename(tmp_path / "log.json.1")
    log.pulled(PULL)
    log.close()
    assert len(written(path)) == len(written(tmp_path / "log.json.1")) == 1


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text("{}\n")
    log = JsonLog(str(path))
    log.pulled(PULL)
    log.close()
    assert len(written(path)) == 2


def test_a_full_disk_costs_lines_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    log = JsonLog("/dev/full")
    for _ in range(3):
        log.pulled(PULL)
    assert [line for line in caplog.messages if "No space left" in line] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_log_in_the_home_of_nobody_cannot_be_opened() -> None:
    with pytest.raises(FileNotFoundError, match="~nouser"):
        JsonLog("~nouser/log.json")


def test_the_log_may_be_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = JsonLog("-")
    log.pulled(PULL)
    log.close()
    assert json.loads(capsys.readouterr().out)["event"] == "pull"


# --- metrics


def metrics() -> Metrics:
    return Metrics(lambda: Table(INDEX, 0.0))


def samples(counted: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, as Prometheus reads them."""
    families = text_string_to_metric_families(generate_latest(counted.registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(counted: Metrics, name: str, **labels: str) -> float:
    return samples(counted)[name, tuple(sorted(labels.items()))]


def test_what_goes_by_is_counted() -> None:
    counted = metrics()
    counted.decided(TRANSFER)
    counted.answered(TRANSFER)
    counted.pulled(PULL)
    counted.loaded(True)
    endpoint = "proxy.example.com"
    rows = [
        (value(counted, "ns_inject_decisions_total", action="rewrite", namespace="quay.io", source="host"), 1),
        (value(counted, "ns_inject_responses_total", endpoint=endpoint, operation="manifest", status="200"), 1),
        (value(counted, "ns_inject_received_bytes_total", endpoint=endpoint), len(MANIFEST)),
        (value(counted, "ns_inject_response_head_seconds_count", endpoint=endpoint), 1),
        (value(counted, "ns_inject_response_seconds_bucket", operation="manifest", le="0.25"), 1),
        (value(counted, "ns_inject_response_seconds_bucket", operation="manifest", le="0.05"), 0),
        (value(counted, "ns_inject_fallbacks_total", endpoint="a.example.com"), 1),
        (value(counted, "ns_inject_findings_total", kind="wrong-namespace"), 1),
        (value(counted, "ns_inject_pulls_total", result="resolved"), 1),
        (value(counted, "ns_inject_pull_seconds_sum", result="resolved"), 2.5),
        (value(counted, "ns_inject_reloads_total", result="ok"), 1),
        (value(counted, "ns_inject_reloads_total", result="failed"), 0),
        (value(counted, "ns_inject_table_registries"), 3),
    ]
    assert [found for found, _ in rows] == [expected for _, expected in rows]
    assert value(counted, "ns_inject_table_age_seconds") > 1_700_000_000


ODD = [
    (transfer("GET manifest :v1", 0, status=None), "none"),
    (transfer("GET manifest :v1", 0, status=799), OTHER),
]


@pytest.mark.parametrize(("each", "status"), ODD)
def test_a_status_is_one_that_http_knows(each: Transfer, status: str) -> None:
    counted = metrics()
    counted.answered(each)
    labels = {"endpoint": "proxy.example.com", "operation": "manifest", "status": status}
    assert value(counted, "ns_inject_responses_total", **labels) == 1


def test_clients_cannot_make_up_series_without_end_nor_take_the_place_of_what_is_configured() -> None:
    counted = metrics()
    for number in range(2_000):
        made_up = transfer("GET manifest :v1", 0, namespace=f"n{number}.example", endpoint=f"e{number}.example")
        counted.decided(made_up)
        counted.answered(made_up)
    before = len(samples(counted))
    for number in range(2_000, 4_000):
        made_up = transfer("GET manifest :v1", 0, namespace=f"n{number}.example", endpoint=f"e{number}.example")
        counted.decided(made_up)
        counted.answered(made_up)
    assert len(samples(counted)) == before < 2_500
    assert value(counted, "ns_inject_decisions_total", action="rewrite", namespace=OTHER, source="host") > 3_900
    configured = transfer("GET manifest :v1", 0, endpoint="proxy.example.com:5000/quay")
    counted.decided(configured)
    counted.answered(configured)
    assert value(counted, "ns_inject_decisions_total", action="rewrite", namespace="quay.io", source="host") == 1
    assert value(counted, "ns_inject_received_bytes_total", endpoint="proxy.example.com:5000/quay") == 0


def test_what_is_missing_has_a_label_of_its_own() -> None:
    counted = metrics()
    counted.decided(transfer("GET manifest :v1", 0, namespace="", source="", action="pass"))
    assert value(counted, "ns_inject_decisions_total", action="pass", namespace=NONE, source=NONE) == 1


# --- as the options ask for them


@pytest.fixture
def accounting() -> Iterator[tuple[Accounting, taddons.context]]:
    with taddons.context(loadcore=False) as context:
        addon = Accounting(lambda: INDEX)
        context.master.addons.add(addon)
        options.declare(Loader(context.master))
        yield addon, context
        addon.done()


def test_metrics_are_served_where_they_are_asked_for_and_no_longer(
    accounting: tuple[Accounting, taddons.context], caplog: pytest.LogCaptureFixture
) -> None:
    addon, context = accounting
    caplog.set_level("INFO", "oci_ns")
    context.options.update(ns_metrics="127.0.0.1:0")
    addon.decided(TRANSFER)
    url = caplog.messages[-1].removeprefix("metrics at ")
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"ns_inject_decisions", "process_resident_memory_bytes"} <= names
    context.options.update(ns_metrics="")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


BAD = [
    ("ns_metrics", "9410", "ns_metrics must be host:port, 127.0.0.1:9410 for example, not '9410'"),
    ("ns_metrics", "127.0.0.1:99999", "ns_metrics must be host:port"),
    ("ns_metrics", "192.0.2.1:9410", "ns_metrics cannot listen on 192.0.2.1:9410: Cannot assign requested address"),
    ("ns_log_json", "/does/not/exist/log", "ns_log_json: /does/not/exist/log cannot be written: No such file"),
]


@pytest.mark.parametrize(("option", "text", "reason"), BAD)
def test_an_option_that_does_not_work_ends_the_start_and_is_refused_later(
    accounting: tuple[Accounting, taddons.context],
    option: str,
    text: str,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    addon, context = accounting
    context.options.update(**{option: text})
    assert [line for line in caplog.messages if line.startswith(reason)] == caplog.messages
    addon.running()
    with pytest.raises(exceptions.OptionsError, match=reason.partition(":")[0]):
        context.options.update(**{option: text, "ns_verify_blobs": True})


def test_a_log_is_begun_and_ended_while_mitmproxy_runs(
    accounting: tuple[Accounting, taddons.context], tmp_path: Path
) -> None:
    addon, context = accounting
    path = tmp_path / "log.json"
    addon.pulled(PULL)
    context.options.update(ns_log_json=str(path))
    addon.pulled(PULL)
    context.options.update(ns_log_json="")
    addon.pulled(PULL)
    assert len(written(path)) == 1


def test_loads_are_counted_and_give_the_table_its_age(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    loads: list[bool] = []
    with taddons.context() as context:
        addon = NsInject()
        addon.on_load = loads.append
        context.master.addons.add(addon)
        context.options.update(ns_registries_conf=str(conf))
    assert loads[-1]


# --- the dashboard

DASHBOARD = json.loads((Path(__file__).parents[2] / "config" / "grafana-dashboard.json").read_text())


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_the_dashboard_shows_metrics_that_there_are_by_labels_that_they_have() -> None:
    counted = metrics()
    counted.decided(TRANSFER)
    counted.answered(TRANSFER)
    counted.pulled(PULL)
    labels: dict[str, set[str]] = {}
    for name, pairs in samples(counted):
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    for expression in expressions():
        (name,) = set(re.findall(r"ns_inject_\w+", expression))
        assert name in labels, expression
        used = set(re.findall(r"(\w+)=", expression)) - {"instance"}
        used |= {word for group in re.findall(r"by \(([^)]*)\)", expression) for word in group.split(", ")}
        assert used <= labels[name], expression


def test_every_metric_is_on_the_dashboard() -> None:
    families = {family.name for family in metrics().registry.collect() if family.name.startswith("ns_inject_")}
    shown = " ".join(expressions())
    assert [name for name in sorted(families) if name not in shown] == []


def test_no_two_panels_of_the_dashboard_overlap() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        places |= cells
