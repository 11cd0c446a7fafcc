"""Metrics of a real pull: scraped in the middle of it, read as Prometheus reads them, and after it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from lab.clients import Surroundings
from lab.fixtures import Images, MitmdumpFactory, PodmanFactory
from lab.meddler import Meddled, meddling, unchanged
from lab.process import free_port, listens, wait_until
from lab.registries import Answer, Registry, fetch


def scrape(port: int) -> dict[str, float]:
    """Every sample as `name{label="value",...}`; an error where the text is no valid exposition."""
    answer = fetch(f"http://127.0.0.1:{port}/metrics", {"Accept": "text/plain"})
    assert answer.status == 200
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.type != "unknown", family.name
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}"
            assert key not in found
            found[key] = sample.value
    return found


def test_a_scrape_during_a_pull_tells_how_far_it_is(
    quay: Registry,
    images: Images,
    mitmdump_factory: MitmdumpFactory,
    podman_factory: PodmanFactory,
    tmp_path: Path,
) -> None:
    asked, released = threading.Event(), threading.Event()

    def held(path: str, answer: Answer) -> Meddled:
        if "/blobs/" in path:
            asked.set()
            assert released.wait(60)
        return unchanged(answer, OCI_Namespace="quay.io")

    port = free_port()
    with meddling(quay.url, held) as authority, ThreadPoolExecutor() as pool:
        conf = tmp_path / "registries.conf"
        conf.write_text(
            f'[[registry]]\nprefix = "quay.io"\nlocation = "{authority}"\n'
            'namespace-proxy = "quay.io"\nplain-http = true\n'
        )
        mitmdump = mitmdump_factory(conf=conf, options={"ns_metrics": f"127.0.0.1:{port}"})
        assert listens(port, "127.0.0.1")
        podman = podman_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
        pull = pool.submit(podman.pull, f"quay.io/{images.etcd.repository}:{images.etcd.tag}")
        try:
            assert asked.wait(60)
            during = scrape(port)
        finally:
            released.set()
        assert pull.result() in images.etcd.digests
        wait_until(lambda: 'ns_inject_pulls_total{result="complete"}' in scrape(port), "the pull is over")
        after = scrape(port)
    endpoint = f'endpoint="{authority}"'
    manifests = f'ns_inject_responses_total{{{endpoint},operation="manifest",status="200"}}'
    blobs = f'ns_inject_responses_total{{{endpoint},operation="blob",status="200"}}'
    decisions = 'ns_inject_decisions_total{action="rewrite",namespace="quay.io",source="host"}'
    assert during[manifests] == after[manifests] == 2
    assert blobs not in during
    assert after[blobs] == 2
    assert after[decisions] >= during[decisions] > 2
    assert (
        after[f"ns_inject_received_bytes_total{{{endpoint}}}"] > during[f"ns_inject_received_bytes_total{{{endpoint}}}"]
    )
    assert after["ns_inject_table_registries{}"] == 1
    assert after["ns_inject_table_age_seconds{}"] >= during["ns_inject_table_age_seconds{}"]
