"""What an operator sees when a pull goes wrong: each fault made for real, and the line that tells it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lab.clients import ClientError, Surroundings
from lab.fixtures import CurlFactory, DockerdFactory, MitmdumpFactory, PodmanFactory
from lab.measurements import noted
from lab.meddler import Change, Meddled, meddling, unchanged
from lab.mitmdump import Mitmdump
from lab.private_registries import SERVICE, TOKEN_REGISTRY, PrivateRegistries
from lab.process import run, wait_until
from lab.registries import Answer, Pushed, Registry
from lab.token_service import ISSUER

SOURCE = "registry.example.com"
REPOSITORY = "team/app"
IMAGE = f"{SOURCE}/{REPOSITORY}:v1"
SHA = r"sha256:[0-9a-f]{64}"
NS_INJECT = [sys.executable, "-c", "from oci_ns.cli.main import main; main()"]


@pytest.fixture(scope="module")
def registry(lab_directory: Path) -> Iterator[Registry]:
    """A plain registry: it knows nothing of `ns`."""
    with Registry("findings", lab_directory) as started:
        yield started


@pytest.fixture
def image(registry: Registry) -> Pushed:
    return registry.push(REPOSITORY, "v1", "findings")


@pytest.fixture
def started(mitmdump_factory: MitmdumpFactory, tmp_path: Path) -> Callable[..., Mitmdump]:
    """Start a mitmdump whose endpoint for SOURCE is the one at this authority."""

    def start(authority: str, **options: str) -> Mitmdump:
        conf = tmp_path / "registries.conf"
        conf.write_text(
            f'[[registry]]\nprefix = "{SOURCE}"\nlocation = "{authority}"\n'
            f'namespace-proxy = "{SOURCE}"\nplain-http = true\n'
        )
        files = {"ns_log_json": str(tmp_path / "log.json"), "save_stream_file": str(tmp_path / "flows")}
        return mitmdump_factory(conf=conf, options={"flow_detail": "0", **files, **options})

    return start


def blob_file(registry: Registry, digest: str) -> Path:
    """Where the registry has the bytes of a blob."""
    hexadecimal = digest.removeprefix("sha256:")
    return registry.storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


# --- what a proxy does to answers


def is_manifest(path: str) -> bool:
    return "/manifests/" in path


def wrong_registry(_path: str, answer: Answer) -> Meddled:
    return unchanged(answer, OCI_Namespace="docker.io")


def too_many(path: str, answer: Answer) -> Meddled:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "you have reached your pull rate limit"}]})
    headers = {"content-type": "application/json", "retry-after": "42"}
    return Meddled(429, headers, body.encode()) if is_manifest(path) else unchanged(answer)


def cut_off(path: str, answer: Answer) -> Meddled:
    blob = "/blobs/" in path and answer.status == 200
    return replace(unchanged(answer), sent=len(answer.body) // 2) if blob else unchanged(answer)


def spoilt_manifest(path: str, answer: Answer) -> Meddled:
    spoilt = replace(unchanged(answer), body=answer.body.replace(b"{", b"{ ", 1))
    return spoilt if is_manifest(path) and answer.body else unchanged(answer)


def login_page(path: str, answer: Answer) -> Meddled:
    page = Meddled(200, {"content-type": "text/html"}, b"<html><body>Please accept the terms of use.</body></html>")
    return page if is_manifest(path) else unchanged(answer)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, the line that tells it, and how the pull ends."""

    change: Change
    line: str
    kind: str
    result: str
    client: str = "podman"


ENDPOINT = r"127\.0\.0\.1:\d+"
FAULTS = {
    "a proxy that ignores ns": Fault(
        lambda _path, answer: unchanged(answer),
        rf"namespace-unconfirmed: {ENDPOINT} does not say which registry it served \(no OCI-Namespace\): "
        r"it may ignore ns",
        "namespace-unconfirmed",
        "complete",
    ),
    "a proxy that serves another registry": Fault(
        wrong_registry,
        rf"{re.escape(IMAGE)}: wrong-namespace: {ENDPOINT} served docker\.io, and was asked for "
        rf"ns={re.escape(SOURCE)}",
        "wrong-namespace",
        "complete",
    ),
    "a blob that breaks off": Fault(
        cut_off,
        rf"truncated: {ENDPOINT}: .* after \d+ of \d+ bytes",
        "truncated",
        "failed",
    ),
    "a manifest that is not what the proxy calls it": Fault(
        spoilt_manifest,
        rf"{re.escape(IMAGE)}: wrong-digest: the content is {SHA}, and {SHA} is what the endpoint calls it",
        "wrong-digest",
        # Podman does not look at what the registry calls it.
        "complete",
    ),
    "a page that somebody put in between": Fault(
        login_page,
        rf"{re.escape(IMAGE)}: not-a-manifest: {ENDPOINT} answers 200 and no manifest, but text/html",
        "not-a-manifest",
        "failed",
    ),
    "too many requests": Fault(
        too_many,
        rf"{re.escape(IMAGE)}: rate-limited: {ENDPOINT}: 429 TOOMANYREQUESTS: you have reached your pull rate limit; "
        r"retry after 42 s",
        "rate-limited",
        "failed",
        # Podman would wait for as long as it is told, five times.
        client="dockerd",
    ),
}


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_in_the_log_the_pull_and_the_saved_flows(
    fault: Fault,
    registry: Registry,
    started: Callable[..., Mitmdump],
    podman_factory: PodmanFactory,
    dockerd_factory: DockerdFactory,
    tmp_path: Path,
) -> None:
    with meddling(registry.url, fault.change) as authority:
        mitmdump = started(authority)
        surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
        client = podman_factory(surroundings) if fault.client == "podman" else dockerd_factory(surroundings)
        try:
            client.pull(IMAGE)
        except ClientError:
            assert fault.result == "failed"
        else:
            assert fault.result == "complete"
        assert_told(mitmdump, tmp_path, fault.line, fault.kind, fault.result)


def shortened(whole: bytes) -> bytes:
    return whole[:100]


def flipped(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


SPOILT = [
    (shortened, {}, rf"wrong-size: {ENDPOINT} has 100 bytes of a blob that has \d+ by its manifest"),
    (flipped, {"ns_verify_blobs": "true"}, rf"wrong-digest: the content is {SHA}, and {SHA} was asked for"),
]


@pytest.mark.parametrize(("spoil", "options", "line"), SPOILT)
def test_a_blob_that_is_spoilt_where_the_registry_keeps_it_is_told(
    spoil: Callable[[bytes], bytes],
    options: dict[str, str],
    line: str,
    registry: Registry,
    image: Pushed,
    started: Callable[..., Mitmdump],
    podman_factory: PodmanFactory,
    tmp_path: Path,
) -> None:
    path = blob_file(registry, image.layers[0])
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    try:
        mitmdump = started(registry.authority, **options)
        with pytest.raises(ClientError):
            podman_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)).pull(IMAGE)
    finally:
        path.write_bytes(whole)
    assert_told(mitmdump, tmp_path, line, line.partition(":")[0], "failed")


def test_an_expired_token_is_told_and_is_not_in_what_is_written(
    private_registries: PrivateRegistries,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    tmp_path: Path,
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "{SOURCE}"\nlocation = "{TOKEN_REGISTRY}"\nnamespace-proxy = "{SOURCE}"\n'
        "forward-credentials = true\n"
    )
    files = {"ns_log_json": str(tmp_path / "log.json"), "save_stream_file": str(tmp_path / "flows")}
    mitmdump = mitmdump_factory(conf=conf, options={"flow_detail": "0", **files})
    claims = {"iss": ISSUER, "sub": "robot", "aud": SERVICE, "exp": 1_700_000_000, "nbf": 0, "iat": 0, "access": []}
    token = private_registries.tokens.signer.sign(claims)
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    answer = curl(f"https://{SOURCE}/v2/library/hello/manifests/latest", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    line = r"token-expired: the client's token expired at 2023-11-14T22:13:20Z, [0-9,]+ s ago; token\.example\.com: 401"
    assert_told(mitmdump, tmp_path, line, "token-expired", "failed")
    assert token not in mitmdump.log() + (tmp_path / "log.json").read_text()


def test_an_unresolved_request_is_told_once_for_each_place(
    registry: Registry, started: Callable[..., Mitmdump], curl_factory: CurlFactory
) -> None:
    mitmdump = started("proxy.example.com")
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    for _ in range(2):
        curl(f"http://{registry.authority}/v2/{REPOSITORY}/tags/list")
    told = [line for line in mitmdump.log().splitlines() if "unresolved: nothing in registries.conf tells" in line]
    assert len(told) == 1
    assert f"{registry.authority}/{REPOSITORY}: unresolved" in told[0]


def assert_told(mitmdump: Mitmdump, directory: Path, line: str, kind: str, result: str) -> None:
    """The finding is in the log, in the JSON log and in the saved flows, and the pull ended so."""
    wait_until(lambda: re.search(line, mitmdump.log()) is not None, f"the log says {line}")
    found = next(each for each in mitmdump.log().splitlines() if re.search(line, each))
    noted(f"an operator sees: {found.partition('] ')[2]}")
    # What is open ends with it.
    mitmdump.stop()
    objects = [json.loads(each) for each in (directory / "log.json").read_text().splitlines()]
    assert kind in {each["kind"] for each in objects if each["event"] == "finding"}
    assert result in {each["result"] for each in objects if each["event"] == "pull"}
    saved = run([*NS_INJECT, "pulls", "--json", str(directory / "flows")])
    assert result in {json.loads(each)["result"] for each in saved.stdout.splitlines()}
