"""Mirror order and fallback with real registries and clients: what fails is passed over, and what is right arrives.

A client pulls registry.example.com/team/app through HTTPS_PROXY. Its first mirror fails in one way or another; the
second has the image, or the registry itself has it, or nobody can be reached.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import ClientError, Surroundings
from lab.faulty import answering, black_hole, silent
from lab.fixtures import CurlFactory, DockerdFactory, Images, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.measurements import measured
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import free_port, wait_until
from lab.registries import Pushed, Registry
from lab.tripwire import Tripwire

SOURCE = "registry.example.com"
SOURCE_ADDRESS = "198.51.100.30"
REPOSITORY = "team/app"
PATIENCE = {"ns_connect_timeout": "2", "ns_response_timeout": "2"}

ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}

Pull = Callable[[str], str]


@dataclass(frozen=True)
class World:
    """Two mirrors and the registry itself, all with the same image, and a mirror without it."""

    first: Registry
    second: Registry
    empty: Registry
    source: Registry
    image: Pushed


@pytest.fixture(scope="module")
def world(lab_directory: Path, network: PrivateNetwork, lab_ca: CertificateAuthority) -> Iterator[World]:
    network.add_address(SOURCE_ADDRESS)
    certificate = lab_ca.issue(SOURCE)
    with contextlib.ExitStack() as stack:
        first, second, empty = (
            stack.enter_context(Registry(name, lab_directory)) for name in ("first", "second", "empty")
        )
        source = stack.enter_context(
            Registry("source", lab_directory, address=SOURCE_ADDRESS, port=443, certificate=certificate)
        )
        image = first.push(REPOSITORY, "v1", "fallback")
        assert second.push(REPOSITORY, "v1", "fallback").digest == image.digest
        assert source.push(REPOSITORY, "v1", "fallback").digest == image.digest
        yield World(first, second, empty, source, image)


@pytest.fixture
def reachable_source(network: PrivateNetwork) -> Iterator[None]:
    """The name of the source registry leads to it, and not to the tripwire."""
    before = network.hosts[SOURCE]
    network.add_host(SOURCE, SOURCE_ADDRESS)
    yield
    network.add_host(SOURCE, before)


def configuration(directory: Path, mirrors: Sequence[str], primary: str = SOURCE) -> Path:
    lines = ["[[registry]]", f'prefix = "{SOURCE}"', f'location = "{primary}"']
    for mirror in mirrors:
        lines += ["[[registry.mirror]]", f'location = "{mirror}"', f'namespace-proxy = "{SOURCE}"', "plain-http = true"]
    path = directory / "registries.conf"
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.fixture(params=["dockerd", "podman", "skopeo"])
def client(
    request: pytest.FixtureRequest,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
) -> Callable[[Mitmdump], Pull]:
    def surroundings(mitmdump: Mitmdump) -> Surroundings:
        return Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)

    clients: dict[str, Callable[[Mitmdump], Pull]] = {
        "dockerd": lambda mitmdump: dockerd_factory(surroundings(mitmdump)).pull,
        "podman": lambda mitmdump: podman_factory(surroundings(mitmdump)).pull,
        "skopeo": lambda mitmdump: skopeo_factory(surroundings(mitmdump)).digest,
    }
    return clients[request.param]


@contextlib.contextmanager
def faulty_mirror(fault: str, world: World) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        authorities: dict[str, Callable[[], str]] = {
            "stopped": lambda: f"127.0.0.1:{free_port()}",
            "without the image": lambda: world.empty.authority,
            "answering 500": lambda: stack.enter_context(answering(500))[0],
            "silent": lambda: stack.enter_context(silent()),
            "behind a firewall that drops": lambda: stack.enter_context(black_hole()),
        }
        yield authorities[fault]()


FAULTS = ["stopped", "without the image", "answering 500", "silent", "behind a firewall that drops"]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_serves_where_the_first_is(
    fault: str,
    world: World,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    client: Callable[[Mitmdump], Pull],
    tripwire: Tripwire,
    request: pytest.FixtureRequest,
) -> None:
    with faulty_mirror(fault, world) as mirror:
        conf = configuration(tmp_path, [mirror, world.second.authority])
        mitmdump = mitmdump_factory(conf=conf, options=PATIENCE)
        pull = client(mitmdump)
        started = time.monotonic()
        assert pull(f"{SOURCE}/{REPOSITORY}:v1") == world.image.digest
        measured(f"first mirror {fault}: {request.node.callspec.params['client']} has the image", started)
    assert tripwire.touched == []
    assert f"passed over {mirror}: " in mitmdump.log()


@pytest.mark.usefixtures("reachable_source")
def test_the_registry_itself_serves_where_all_mirrors_are_down(
    world: World,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    client: Callable[[Mitmdump], Pull],
) -> None:
    mirrors = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configuration(tmp_path, mirrors), options=PATIENCE)
    pull = client(mitmdump)
    started = time.monotonic()
    assert pull(f"{SOURCE}/{REPOSITORY}:v1") == world.image.digest
    measured("all mirrors down, the registry itself reachable: the image is there", started)


@pytest.mark.parametrize(
    ("primary", "reason"),
    [
        ("nobody-knows-this.example.com", "the name nobody-knows-this.example.com does not resolve"),
        ("198.51.100.66:5000", "no connection within 2 s"),
    ],
)
def test_a_client_prints_every_endpoint_and_why_where_none_is_left(
    primary: str,
    reason: str,
    world: World,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    client: Callable[[Mitmdump], Pull],
    tripwire: Tripwire,
) -> None:
    stopped = f"127.0.0.1:{free_port()}"
    with black_hole():
        conf = configuration(tmp_path, [stopped, world.empty.authority], primary)
        pull = client(mitmdump_factory(conf=conf, options=PATIENCE))
        for attempt in ("first", "second"):
            started = time.monotonic()
            with pytest.raises(ClientError) as failure:
                pull(f"{SOURCE}/{REPOSITORY}:v1")
            measured(f"no endpoint left ({reason}), {attempt} attempt: the client has its error", started)
            text = " ".join(str(failure.value).split())
            assert f"{stopped}: cannot connect: connection refused" in text
            assert f"{world.empty.authority}: 404 Not Found: manifest unknown" in text
            assert f"{primary}: {reason}" in text
    assert tripwire.touched == []


def test_a_client_prints_why_where_there_is_nobody_at_all(
    tmp_path: Path, world: World, mitmdump_factory: MitmdumpFactory, client: Callable[[Mitmdump], Pull]
) -> None:
    assert world
    stopped = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    conf = configuration(tmp_path, stopped[:1], stopped[1])
    pull = client(mitmdump_factory(conf=conf, options=PATIENCE))
    with pytest.raises(ClientError) as failure:
        pull(f"{SOURCE}/{REPOSITORY}:v1")
    for authority in stopped:
        assert authority in str(failure.value)
    assert "connection refused" in str(failure.value)


def test_the_error_where_none_is_left_lists_each_endpoint(
    world: World, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    stopped = f"127.0.0.1:{free_port()}"
    conf = configuration(tmp_path, [stopped, world.empty.authority], "nobody-knows-this.example.com")
    mitmdump = mitmdump_factory(conf=conf, options=PATIENCE)
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1")
    (error,) = got.json()["errors"]
    assert (got.status, error["code"]) == (502, "UNAVAILABLE")
    assert [each["endpoint"] for each in error["detail"]] == [
        stopped,
        world.empty.authority,
        "nobody-knows-this.example.com",
    ]
    reasons = [each["reason"] for each in error["detail"]]
    assert "refused" in reasons[0]
    assert reasons[1] == "404 Not Found: manifest unknown"
    assert "does not resolve" in reasons[2]


def test_a_steady_state_costs_no_extra_request(
    world: World, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    with answering(404) as (mirror, asked):
        mitmdump = mitmdump_factory(conf=configuration(tmp_path, [mirror, world.second.authority]))
        curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
        before = world.second.log().count("GET /v2/")
        for _ in range(10):
            got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
            assert (got.status, got.headers["docker-content-digest"]) == (200, world.image.digest)
        (layer,) = world.image.layers
        assert curl(f"https://{SOURCE}/v2/{REPOSITORY}/blobs/{layer}").status == 200
        assert len(asked) == 1
        assert world.second.log().count("GET /v2/") >= before + 11


def test_a_mirror_that_loses_the_image_is_replaced_in_the_same_request(
    world: World, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory, lab_directory: Path
) -> None:
    with Registry("forgetful", lab_directory) as forgetful:
        pushed = forgetful.push(REPOSITORY, "v1", "fallback")
        assert pushed.digest == world.image.digest
        mitmdump = mitmdump_factory(conf=configuration(tmp_path, [forgetful.authority, world.second.authority]))
        curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
        url = f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1"
        assert curl(url, headers=ACCEPT).status == 200
        assert forgetful.delete(f"/v2/{REPOSITORY}/manifests/{pushed.digest}") == 202
        got = curl(url, headers=ACCEPT)
        assert (got.status, got.headers["docker-content-digest"]) == (200, world.image.digest)
        assert f"passed over {forgetful.authority}: 404" in mitmdump.log()


def test_a_mirror_that_stops_is_passed_over_and_comes_back_by_itself(
    tmp_path: Path, world: World, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory, lab_directory: Path
) -> None:
    mirror = Registry("flickering", lab_directory)
    with mirror:
        mirror.push(REPOSITORY, "v1", "fallback")
        conf = configuration(tmp_path, [mirror.authority, world.second.authority])
        mitmdump = mitmdump_factory(conf=conf, options={"ns_remember": "1"})
        curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
        url = f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1"

        def serves(registry: Registry) -> bool:
            before = registry.log().count("/manifests/v1")
            got = curl(url, headers=ACCEPT)
            assert (got.status, got.headers["docker-content-digest"]) == (200, world.image.digest)
            return registry.log().count("/manifests/v1") > before

        assert serves(mirror)
        mirror.pause()
        # Whoever answered less than a quarter of a second ago is taken to be there.
        wait_until(lambda: curl(url, headers=ACCEPT).status == 200, "the mirror is missed")
        assert serves(world.second)
        mirror.start()
        started = time.monotonic()
        wait_until(lambda: serves(mirror), "the first mirror serves again")
        measured("a mirror is back: it serves again", started)


def test_an_answer_that_is_not_for_the_next_endpoint_reaches_the_client(
    world: World, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    for status in (401, 403, 429):
        with answering(status) as (mirror, _):
            mitmdump = mitmdump_factory(conf=configuration(tmp_path, [mirror, world.second.authority]))
            curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
            assert curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1").status == status
            mitmdump.stop()


def test_the_images_of_the_laboratory_need_no_fallback(
    images: Images, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory, tmp_path: Path, world: World
) -> None:
    """A list of tags, which no remembered manifest precedes, comes from the first mirror that has the repository."""
    assert images
    mitmdump = mitmdump_factory(conf=configuration(tmp_path, [world.empty.authority, world.second.authority]))
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/tags/list")
    assert json.loads(got.body)["tags"] == ["v1"]
