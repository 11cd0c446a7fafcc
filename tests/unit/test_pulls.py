"""Pulls from transfers: which requests belong together, when a pull is over, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from oci_ns.findings import Finding, Kind
from oci_ns.pull import QUIET_SECONDS, REQUESTS_MAX, RETRY_SECONDS, SETTLED_SECONDS, Pull
from oci_ns.pull_text import pull_line, pull_object, pull_row
from oci_ns.pulls import Pulls, pulls_in
from oci_ns.timeline import timeline_lines
from oci_ns.transfer import Transfer
from tests.unit.traffic import CONFIG, INDEX, LAYERS, MANIFEST, OTHER_MANIFEST, digest, transfer

CHILD, OTHER_CHILD, WHOLE = f"@{digest(MANIFEST)}", f"@{digest(OTHER_MANIFEST)}", f"@{digest(INDEX)}"


def blobs(begun: float, bodies: tuple[bytes, ...] = (CONFIG, *LAYERS), **more: Any) -> list[Transfer]:
    return [transfer(f"GET blob @{digest(body)}", begun + at / 10, body=body, **more) for at, body in enumerate(bodies)]


def docker(begun: float, tag: str = ":v1", **more: Any) -> list[Transfer]:
    """As Docker does it: HEAD by tag, then by digest, then the platform, then blobs side by side."""
    return [
        transfer(f"HEAD manifest {tag}", begun, body=INDEX, **more),
        transfer(f"GET manifest {WHOLE}", begun + 0.2, body=INDEX, **more),
        transfer(f"GET manifest {CHILD}", begun + 0.4, body=MANIFEST, **more),
        *blobs(begun + 0.6, **more),
    ]


def podman(begun: float, tag: str = ":v1", **more: Any) -> list[Transfer]:
    """As Podman does it: GET by tag, then the platform, then blobs."""
    return [
        transfer(f"GET manifest {tag}", begun, body=INDEX, **more),
        transfer(f"GET manifest {CHILD}", begun + 0.2, body=MANIFEST, **more),
        *blobs(begun + 0.4, **more),
    ]


BLOB = f"@{digest(LAYERS[0])}"
NOT_FOUND = (Finding(Kind.REFUSED, "manifest unknown"),)
CUT_OFF = (Finding(Kind.TRUNCATED, "proxy.example.com: server closed connection after 3 of 9 bytes"),)


@dataclass(frozen=True)
class Case:
    """Transfers, and what each pull in them is: image, result, number of requests."""

    transfers: list[Transfer]
    pulls: list[tuple[str, str, int]] = field(default_factory=list)


CASES = {
    "docker": Case(docker(0), [(":v1", "complete", 6)]),
    "podman": Case(podman(0), [(":v1", "complete", 5)]),
    "twice, a second apart": Case(podman(0) + podman(3), [(":v1", "complete", 5)] * 2),
    "twice by docker, at once": Case(docker(0) + docker(0.95), [(":v1", "complete", 6)] * 2),
    "two clients side by side": Case(podman(0) + podman(0.05, client="10.0.0.2"), [(":v1", "complete", 5)] * 2),
    "two programs on one machine": Case(
        docker(0) + podman(0.05, agent="podman/4"), [(":v1", "complete", n) for n in (6, 5)]
    ),
    "two tags side by side": Case(podman(0) + podman(0.05, ":v2"), [(":v1", "complete", 5), (":v2", "complete", 5)]),
    "by digest, one platform": Case(
        [transfer(f"GET manifest {CHILD}", 0, body=MANIFEST), *blobs(1)], [(CHILD, "complete", 4)]
    ),
    "all platforms": Case(
        [*podman(0), transfer(f"GET manifest {OTHER_CHILD}", 1.1, body=OTHER_MANIFEST)], [(":v1", "complete", 6)]
    ),
    "a layer is there already": Case(podman(0)[:-1], [(":v1", "partial", 4)]),
    "everything is there already": Case(podman(0)[:2], [(":v1", "resolved", 2)]),
    "only looked at": Case([transfer("HEAD manifest :v1", 0, body=INDEX)], [(":v1", "resolved", 1)]),
    "not there": Case([transfer("GET manifest :v1", 0, status=404, findings=NOT_FOUND)], [(":v1", "failed", 1)]),
    "asked by HEAD first, and not there": Case(
        [
            transfer("HEAD manifest :v1", 0, status=404),
            transfer("GET manifest :v1", 0.2, status=404, findings=NOT_FOUND),
        ],
        [(":v1", "failed", 2)],
    ),
    "a challenge, then a login": Case(
        [transfer("GET manifest :v1", 0, status=401, challenged=True), *podman(2)], [(":v1", "complete", 6)]
    ),
    "a challenge, and no login": Case(
        [transfer("GET manifest :v1", 0, status=401, challenged=True)], [(":v1", "failed", 1)]
    ),
    "a blob breaks off and is tried again": Case(
        [
            *podman(0)[:3],
            transfer(f"GET blob {BLOB}", 0.6, status=200, received=3, error="closed", findings=CUT_OFF),
            *blobs(12, LAYERS),
        ],
        [(":v1", "complete", 6)],
    ),
    "a blob breaks off for good": Case(
        [*podman(0)[:3], transfer(f"GET blob {BLOB}", 0.6, received=3, error="closed", findings=CUT_OFF)],
        [(":v1", "failed", 4)],
    ),
    "a blob in two parts": Case(
        [
            *podman(0)[:3],
            transfer(f"GET blob {BLOB}", 0.6, status=206, received=4),
            transfer(f"GET blob {BLOB}", 0.7, status=206, received=5),
            *blobs(0.8, LAYERS[1:]),
        ],
        [(":v1", "complete", 6)],
    ),
    "blobs from elsewhere": Case(
        [*podman(0)[:2], *blobs(1, status=307, received=0)],
        [(":v1", "complete", 5)],
    ),
    "whether a blob is there is no failure": Case(
        [*podman(0), transfer(f"HEAD blob @{'f' * 64}", 0.9, status=404)], [(":v1", "complete", 6)]
    ),
    "a blob alone": Case(blobs(0, LAYERS[:1]), [("", "partial", 1)]),
    "no pulls": Case(
        [transfer("GET tags -", 0), transfer("PUT manifest :v1", 1), transfer(f"HEAD blob {BLOB}", 2, status=404)]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_requests_are_told_apart_by_the_pull_they_belong_to(case: Case) -> None:
    found = pulls_in(case.transfers)
    assert [(pull.reference, pull.result, len(pull.transfers)) for pull in found] == case.pulls


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_order_in_a_file_does_not_matter(case: Case) -> None:
    def told(transfers: list[Transfer]) -> list[dict[str, object]]:
        return [pull_object(pull) for pull in pulls_in(transfers)]

    assert told(case.transfers[::-1]) == told(case.transfers)


def test_a_pull_has_the_digest_the_platform_and_the_size_of_what_was_asked_for() -> None:
    (pull,) = pulls_in(docker(0))
    assert (pull.digest, pull.platforms, pull.layers) == (WHOLE[1:], ["linux/amd64"], 2)
    assert pull.received == sum(map(len, (INDEX, MANIFEST, CONFIG, *LAYERS)))
    assert pull.seconds == pytest.approx(0.9)


def test_the_configuration_tells_the_platform_where_no_index_does() -> None:
    (pull,) = pulls_in([transfer("GET manifest :v1", 0, body=MANIFEST), *blobs(1)])
    assert pull.platforms == ["linux/arm64"]


@pytest.mark.parametrize(
    ("transfers", "patience"),
    [
        (podman(0), SETTLED_SECONDS),
        (podman(0)[:3], QUIET_SECONDS),
        (CASES["not there"].transfers, SETTLED_SECONDS),
        (CASES["a challenge, and no login"].transfers, QUIET_SECONDS),
        (CASES["a blob breaks off for good"].transfers, RETRY_SECONDS),
    ],
)
def test_a_pull_is_over_when_nothing_has_come_for_a_while(transfers: list[Transfer], patience: float) -> None:
    pulls = Pulls()
    for each in transfers:
        pull = pulls.begin(each)
        assert pull is not None
        pulls.end(pull, each)
    ended = max(each.ended or 0 for each in transfers)
    assert pulls.over(ended + patience - 0.01) == []
    assert len(pulls.over(ended + patience + 0.01)) == 1
    assert list(pulls.open()) == []


def test_a_pull_is_not_over_while_a_blob_comes() -> None:
    pulls = Pulls()
    pull = pulls.begin(transfer(f"GET blob {BLOB}", 0))
    assert pulls.over(10_000) == []
    assert pulls.close() == [pull]


def test_the_manifest_tells_how_long_a_blob_is() -> None:
    pulls = Pulls()
    first = transfer("GET manifest :v1", 0, body=MANIFEST)
    pull = pulls.begin(first)
    assert pull is not None
    pulls.end(pull, first)
    asked = pulls.begin(transfer(f"GET blob {BLOB}", 1))
    assert asked is not None
    assert asked.blobs.get(BLOB[1:]) == len(LAYERS[0])
    asked = pulls.begin(transfer(f"GET blob {BLOB}", 1, client="10.0.0.9"))
    assert asked is not None
    assert asked.blobs.get(BLOB[1:]) is None


def test_of_one_client_the_latest_pulls_of_a_repository_are_open() -> None:
    pulls = Pulls()
    for number in range(20):
        each = transfer("GET manifest :v1", number / 1000, body=INDEX)
        pull = pulls.begin(each)
        assert pull is not None
        pulls.end(pull, each)
    assert len(list(pulls.open())) == 8
    assert [pull.begun for pull in pulls.over(0.02)] == [number / 1000 for number in range(12)]


def test_open_pulls_are_bounded() -> None:
    pulls = Pulls()
    for number in range(2_500):
        each = transfer(f"GET manifest :{number}", number / 1000, body=INDEX, client=f"10.0.0.{number}")
        pull = pulls.begin(each)
        assert pull is not None
        pulls.end(pull, each)
    assert len(pulls.over(2.6)) == 500
    assert len(list(pulls.open())) == 2_000


def test_who_asks_without_end_is_not_remembered_without_end() -> None:
    pulls, over = Pulls(), list[Pull]()
    for number in range(3 * REQUESTS_MAX):
        each = transfer(f"GET blob @sha256:{number:064x}", number / 1000, body=b"")
        pull = pulls.begin(each)
        assert pull is not None
        pulls.end(pull, each)
        over += pulls.over(number / 1000)
    assert [(pull.requests, len(pull.asked), len(pull.transfers)) for pull in over] == [(REQUESTS_MAX,) * 2 + (0,)] * 3


# --- in words

LINES = [
    (
        docker(0, agent="docker/20 go/1"),
        f"complete, {WHOLE[1:]}, linux/amd64, 2 layers, 1.2 kB in 0.90 s from proxy.example.com [10.0.0.1 docker/20]",
    ),
    (
        CASES["not there"].transfers,
        "failed, 0 B in 0.10 s from proxy.example.com, error: manifest unknown [10.0.0.1 docker/20.10.24]",
    ),
    (
        [
            transfer(
                "GET manifest :v1", 0, status=None, error="timed out", agent="", passed_over=("a.example.com: down",)
            )
        ],
        "failed, 0 B in 0.10 s from proxy.example.com, passed over a.example.com: down, error: timed out [10.0.0.1 -]",
    ),
]


@pytest.mark.parametrize(("transfers", "line"), LINES)
def test_a_pull_is_one_line(transfers: list[Transfer], line: str) -> None:
    (pull,) = pulls_in(transfers)
    assert pull_line(pull) == f"pull quay.io/coreos/etcd:v1: {line}"


def test_of_many_errors_the_first_are_told() -> None:
    errors = {f"@{number}": f"no {number}" for number in range(5)}
    pull = Pull("10.0.0.1", "", "quay.io", "a", ":v1", 0, 1, errors=errors)
    assert "error: no 0, error: no 1, error: no 2, and 2 more errors" in pull_line(pull)


def test_a_row_has_what_an_operator_looks_for() -> None:
    (pull,) = pulls_in(docker(1_700_000_000))
    assert pull_row(pull)[:2] == ("2023-11-14T22:13:20.000Z", "10.0.0.1 docker/20.10.24")
    assert pull_row(pull)[3:7] == ("complete", WHOLE[1:20], "linux/amd64", "2")


def test_a_waterfall_shows_waiting_and_receiving_where_they_were() -> None:
    (pull,) = pulls_in(
        [
            transfer("GET manifest :v1", 0, seconds=1, body=MANIFEST),
            transfer(f"GET blob {BLOB}", 1, seconds=1, body=LAYERS[0]),
        ]
    )
    lines = timeline_lines(pull, 120)
    columns = len(lines[0].partition("|")[2]) - 1
    assert {len(line) for line in lines} == {max(map(len, lines))}
    bars = [line.partition("|")[2].rstrip("|") for line in lines]
    assert [bar.index("░") / columns for bar in bars] == [pytest.approx(0, abs=0.02), pytest.approx(0.5, abs=0.02)]
    assert [bar.rstrip().rindex("█") / columns for bar in bars] == [
        pytest.approx(0.5, abs=0.03),
        pytest.approx(1, abs=0.03),
    ]


@pytest.mark.parametrize("width", [0, 20, 80, 300])
def test_every_request_has_a_bar_however_short_it_was(width: int) -> None:
    (pull,) = pulls_in([transfer("GET manifest :v1", 0, seconds=9, body=MANIFEST), *blobs(3, seconds=0.000001)])
    for line in timeline_lines(pull, width):
        assert "░" in line or "█" in line
