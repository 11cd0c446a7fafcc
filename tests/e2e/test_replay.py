"""A saved flow, replayed: what was decided once is sent again as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.clients import Surroundings
from lab.fixtures import CurlFactory, MitmdumpFactory
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy
from lab.process import wait_until

CONFIG = Path(__file__).parents[2] / "config"

pytestmark = pytest.mark.usefixtures("source_registries_untouched")


def test_a_replayed_flow_arrives_as_it_did_the_first_time(
    mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory, nsproxy: NamespaceProxy, tmp_path: Path
) -> None:
    conf, flows = CONFIG / "docker-mirror.conf", tmp_path / "flows"
    saving = mitmdump_factory(conf=conf, options={"save_stream_file": str(flows)})
    curl = curl_factory(Surroundings(proxy=saving.url, ca=saving.ca_pem))
    for url in (
        "https://quay.io/v2/coreos/etcd/tags/list?n=1",
        "https://quay.io/v2/",
        f"http://{PROXY_NAME}:5000/v2/quay.io/coreos/etcd/tags/list",
    ):
        assert curl(url).status == 200
    first = [request.target for request in nsproxy.requests()]
    saving.stop()
    nsproxy.mark()
    # Not the same file: it would decide otherwise, if it were asked.
    mitmdump_factory(conf=CONFIG / "listener-per-registry.conf", options={"client_replay": str(flows)})
    wait_until(lambda: len(nsproxy.requests()) >= len(first), "the flows are replayed")
    assert [request.target for request in nsproxy.requests()] == first
