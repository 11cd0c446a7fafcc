"""An endpoint that ends while a request is on its way there: where the client saw nothing of it yet, another answers.

A client asks for what it has just got from the first mirror, which leaves it this time; the second has all of it, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.clients import ClientError, Curl, Surroundings
from lab.faulty import Leaving, leaving
from lab.fixtures import CurlFactory, Images
from lab.mitmdump import Mitmdump
from lab.process import free_port, wait_until
from lab.registries import Pushed, Registry
from lab.serve import Serve
from lab.wire import Talk, healthy, wire

REGISTRY = "docker.io"
HALF = 150
"""More than a head, less than a manifest with its head."""


def configuration(directory: Path, *mirrors: str) -> Path:
    lines = ["[[registry]]", f'prefix = "{REGISTRY}"', f'location = "127.0.0.1:{free_port()}"', "plain-http = true"]
    for mirror in mirrors:
        lines += ["[[registry.mirror]]", f'location = "{mirror}"', f'namespace-proxy = "{REGISTRY}"']
        lines += ["plain-http = true"]
    path = directory / "registries.conf"
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.fixture
def first(hub: Registry) -> Iterator[tuple[str, Leaving]]:
    with leaving(hub) as server:
        yield server


@pytest.fixture
def image(images: Images) -> Pushed:
    return images.hello


def path_of(kind: str, image: Pushed) -> str:
    repository = f"/v2/{image.repository}"
    paths = {
        "manifest": f"{repository}/manifests/{image.tag}",
        "digest": f"{repository}/manifests/{image.digest}",
        "blob": f"{repository}/blobs/{image.layers[0]}",
        "tags": f"{repository}/tags/list",
    }
    return f"https://{REGISTRY}{paths[kind]}"


@contextlib.contextmanager
def started(runner: type[Mitmdump], directory: Path, conf: Path) -> Iterator[Mitmdump]:
    with runner(directory / "proxy", conf=conf) as proxy:
        yield proxy


def curl_by(proxy: Mitmdump, factory: CurlFactory) -> Curl:
    return factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))


@pytest.mark.parametrize(
    ("runner", "method", "kind", "after"),
    [
        (Mitmdump, "GET", "manifest", 0),
        (Mitmdump, "HEAD", "manifest", 0),
        (Mitmdump, "GET", "digest", 0),
        (Mitmdump, "GET", "tags", 0),
        (Mitmdump, "GET", "blob", 0),
        (Mitmdump, "HEAD", "blob", 0),
        (Mitmdump, "GET", "blob", 5),
        (Mitmdump, "GET", "manifest", HALF),
        (Serve, "GET", "manifest", 0),
        (Serve, "GET", "blob", 0),
    ],
)
def test_what_an_endpoint_leaves_without_an_answer_another_one_answers(
    runner: type[Mitmdump],
    method: str,
    kind: str,
    after: int,
    first: tuple[str, Leaving],
    hub: Registry,
    image: Pushed,
    tmp_path: Path,
    curl_factory: CurlFactory,
) -> None:
    authority, leave = first
    url, accept = path_of(kind, image), {"Accept": image.media_type}
    with started(runner, tmp_path, configuration(tmp_path, authority, hub.authority)) as proxy:
        curl = curl_by(proxy, curl_factory)
        before = curl(url, method=method, headers=accept)
        leave.after = after
        answer = curl(url, method=method, headers=accept, follow=True)
    assert before.status == 200
    assert leave.left == 1
    assert (answer.status, answer.body, answer.headers["content-length"]) == (
        200,
        before.body,
        before.headers["content-length"],
    )
    if kind == "blob" and method == "GET":
        assert f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == image.layers[0]
    assert f"passed over {authority}: " in proxy.log()
    assert "Traceback" not in proxy.log()


def test_where_none_answers_the_error_names_all(
    first: tuple[str, Leaving],
    image: Pushed,
    tmp_path: Path,
    curl_factory: CurlFactory,
) -> None:
    authority, leave = first
    gone = f"127.0.0.1:{free_port()}"
    url = path_of("manifest", image)
    with started(Mitmdump, tmp_path, configuration(tmp_path, authority, gone)) as proxy:
        curl = curl_by(proxy, curl_factory)
        assert curl(url).status == 200
        leave.after = 0
        answer = curl(url)
    error = json.loads(answer.body)["errors"][0]
    assert (answer.status, error["code"]) == (502, "UNAVAILABLE")
    assert authority in error["message"]
    assert gone in error["message"]


def test_a_blob_that_has_begun_ends_early_for_the_client(
    first: tuple[str, Leaving],
    hub: Registry,
    image: Pushed,
    tmp_path: Path,
    curl_factory: CurlFactory,
) -> None:
    authority, leave = first
    url = path_of("blob", image)
    with started(Mitmdump, tmp_path, configuration(tmp_path, authority, hub.authority)) as proxy:
        curl = curl_by(proxy, curl_factory)
        assert curl(url).status == 200
        leave.after = HALF
        with pytest.raises(ClientError, match="status 18|status 92"):
            curl(url)
    assert leave.left == 1


def test_an_endpoint_that_comes_back_serves_clients_that_have_stayed(tmp_path: Path) -> None:
    def once(talk: Talk) -> None:
        healthy(talk)
        talk.keep = False

    def status() -> int:
        client.request("GET", f"http://{REGISTRY}/v2/team/app/manifests/v1")
        response = client.getresponse()
        response.read()
        return response.status

    with contextlib.ExitStack() as stack, contextlib.ExitStack() as first:
        endpoint = first.enter_context(wire(once))
        proxy = stack.enter_context(Mitmdump(tmp_path / "proxy", conf=configuration(tmp_path, endpoint.authority)))
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
        stack.callback(client.close)
        assert status() == 200
        connection = client.sock
        first.close()
        assert status() == 502
        stack.enter_context(wire(once, int(endpoint.authority.rpartition(":")[2])))
        wait_until(lambda: status() == 200, "the endpoint serves again")
        # That one was asked for by ns-inject, which has seen that the endpoint is back; the next go there at once.
        assert [status(), status()] == [200, 200]
        assert client.sock is connection
