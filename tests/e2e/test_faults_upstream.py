"""Endpoints that fail in every way a server can: what the client gets, what the log says, and what is left of it.

Each fault is at a server of its own. One registry has nothing but that server, another has a healthy one behind it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.asking import Outcome, ask
from lab.clients import ClientError, Surroundings
from lab.fixtures import SkopeoFactory
from lab.leaks import assert_nothing_is_kept
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import rss_kib, wait_until
from lab.serve import Serve
from lab.wire import (
    BLOB,
    DIGEST,
    HALF,
    MANIFEST,
    NAMESPACE,
    Play,
    Talk,
    Wire,
    answer,
    chunk,
    digest_of,
    failing,
    head,
    healthy,
    length,
    wire,
)

SECONDS = 1
OPTIONS = {
    "ns_upstream_timeout": str(SECONDS),
    "ns_response_timeout": str(SECONDS),
    "ns_verify_blobs": "true",
}
RUNNERS: dict[str, tuple[type[Mitmdump], dict[str, str]]] = {
    "mitmdump": (Mitmdump, {"flow_detail": "0"}),
    "serve": (Serve, {}),
}
OK = b"200 OK"
CHUNKED = b"Transfer-Encoding: chunked"
TOGETHER = 64
TIMES = 5
HUGE = 10_000_000
MANY = 100_000
ENDLESS_MIB = 400


def part(*parts: bytes, then: Callable[[Talk], object] = lambda _: None) -> Play:
    """Say this, and let it arrive before what is done then."""

    def play(talk: Talk) -> None:
        talk.say(*parts)
        time.sleep(0.02)
        then(talk)

    return play


@dataclass(frozen=True)
class Fault:
    """What a server does in place of an answer, and how the log's one line names it."""

    play: Play
    cause: str


CLOSED = "the connection is closed before the answer is complete"
NO_HTTP = "the answer is not HTTP, or not complete: "
HALF_A_HEAD = head(OK, length(BLOB))[:30]
TWO = [b"Content-Length: 5", b"Content-Length: 6"]

BEFORE_THE_ANSWER = {
    "closes before the first byte": Fault(lambda _: None, CLOSED),
    "closes in the header": Fault(part(HALF_A_HEAD), CLOSED),
    "resets before the first byte": Fault(Talk.reset, CLOSED),
    "resets in the header": Fault(part(HALF_A_HEAD, then=Talk.reset), CLOSED),
    "stalls before the first byte": Fault(Talk.stall, f"no answer within {SECONDS} s"),
    "stalls in the header": Fault(part(HALF_A_HEAD, then=Talk.stall), f"no answer within {SECONDS} s"),
    "is no web server": Fault(part(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), NO_HTTP),
    "sends two lengths": Fault(part(head(OK, *TWO), BLOB), f"{NO_HTTP}invalid content-length header"),
    "sends a negative length": Fault(part(head(OK, b"Content-Length: -5"), BLOB), NO_HTTP),
    "sends a length that is no number": Fault(part(head(OK, b"Content-Length: five"), BLOB), NO_HTTP),
    "sends a length and chunks": Fault(
        part(head(OK, TWO[0], CHUNKED), chunk(BLOB), b"0\r\n\r\n"), "both transfer-encoding and content-length"
    ),
    "sends a huge header of many lines": Fault(
        part(head(OK, *[b"X-%d: %s" % (each, b"x" * 1000) for each in range(HUGE // 1000)]), BLOB),
        "the head of the answer is larger than 1024 KiB",
    ),
    "sends a huge header in one line": Fault(
        part(head(OK, b"X: " + b"x" * HUGE), BLOB), "the head of the answer is larger than 1024 KiB"
    ),
    "switches to another protocol": Fault(
        part(head(b"101 Switching Protocols", b"Upgrade: raw", b"Connection: upgrade"), BLOB),
        "another protocol, which nobody asked for",
    ),
    "sends a header of very many lines": Fault(
        part(head(OK, *[b"X: y"] * MANY), BLOB), "the head of the answer has more than 2000 lines"
    ),
    "sends a header that is folded very often": Fault(
        part(head(OK, b"X: y", *[b" y"] * MANY), BLOB), "the head of the answer has more than 2000 lines"
    ),
    "sends very many empty lines": Fault(
        part(b"\r\n" * MANY, then=Talk.stall), "the head of the answer has more than 2000 lines"
    ),
}
IN_THE_BODY = {
    "closes": Fault(part(head(OK, length(BLOB)), HALF), "truncated: .* after 51200 of 102400 bytes"),
    "closes between chunks": Fault(part(head(OK, CHUNKED), chunk(HALF)), "truncated: .* after 51200 bytes"),
    "closes in a chunk": Fault(part(head(OK, CHUNKED), chunk(HALF)[:-100]), "truncated: "),
    "sends no chunk": Fault(part(head(OK, CHUNKED), chunk(HALF), b"zz\r\n"), "truncated: .*illegal chunk header"),
    "ends a chunk elsewhere": Fault(
        part(head(OK, CHUNKED), chunk(HALF)[:-2], b"xx0\r\n\r\n"),
        "truncated: .*a chunk does not end where its size says",
    ),
    "sends a chunk's size without end": Fault(
        part(head(OK, CHUNKED), chunk(HALF), b"1;" + b"x" * HUGE), "truncated: .*1024 KiB of the answer are no part of"
    ),
    "sends trailers without end": Fault(
        part(head(OK, CHUNKED), chunk(HALF), b"0\r\n" + b"X: y\r\n" * (HUGE // 6)),
        "truncated: .*1024 KiB of the answer are no part of",
    ),
    "resets": Fault(part(head(OK, length(BLOB)), HALF, then=Talk.reset), "truncated: .* after 51200 of 102400 bytes"),
    "stalls": Fault(
        part(head(OK, length(BLOB)), HALF, then=Talk.stall),
        f"truncated: .*silent for {SECONDS} s after 51200 of 102400 bytes",
    ),
    "stalls between chunks": Fault(
        part(head(OK, CHUNKED), chunk(HALF), then=Talk.stall), f"truncated: .*silent for {SECONDS} s after 51200 bytes"
    ),
    "stalls without a length": Fault(
        part(head(OK, version=b"1.0"), HALF, then=Talk.stall), f"truncated: .*silent for {SECONDS} s after 51200 bytes"
    ),
}
# Nobody but who knows the digest can tell.
WRONG_BYTES = {
    "sends more than its length": Fault(part(head(OK, length(HALF)), BLOB), "wrong-digest: "),
    "closes without a length": Fault(part(head(OK, version=b"1.0"), HALF), "wrong-digest: "),
}
FAULTS = BEFORE_THE_ANSWER | IN_THE_BODY | WRONG_BYTES

FOR_AN_ENGINE = ["resets before the first byte", "stalls in the header"]


def early_hints(talk: Talk) -> None:
    talk.say(head(b"103 Early Hints", b"Link: <x>"))
    time.sleep(0.02)
    talk.say(head(b"103 Early Hints", b"Link: <y>"))
    answer(talk, BLOB)


def unasked_100(talk: Talk) -> None:
    talk.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    answer(talk, BLOB)


UNUSUAL: dict[str, Play] = {
    "HTTP/1.0 without a length": part(head(OK, version=b"1.0"), BLOB),
    "HTTP/1.0 with a length": part(head(OK, length(BLOB), version=b"1.0"), BLOB),
    "HTTP/1.0 that keeps the connection": lambda talk: answer(talk, BLOB, b"Connection: keep-alive", version=b"1.0"),
    "no length": part(head(OK, b"Connection: close"), BLOB),
    "trailers": part(head(OK, CHUNKED, b"Trailer: X"), chunk(BLOB), b"0\r\nX: y\r\n\r\n"),
    "100 that nobody waits for": unasked_100,
    "early hints": early_hints,
    "half a megabyte of header": lambda talk: answer(talk, BLOB, *[b"X: " + b"x" * 8000] * 60),
}


@dataclass
class World:
    """A runner, and the servers of each fault: `alone`, and as the first mirror for blobs and for manifests."""

    runner: Mitmdump
    alone: dict[str, Wire]
    blobs: dict[str, Wire]
    manifests: dict[str, Wire]

    def mark(self) -> int:
        return len(self.runner.log())

    def ask(self, registry: str, what: str) -> Outcome:
        return ask(self.runner.port, f"http://{registry}.test/v2/team/app/{what}")

    def told(self, mark: int, authority: str) -> list[str]:
        """What the log says about a server, but for what it says of every request, and of the pull as a whole."""
        usual = re.compile(r" -> http|server (dis)?connect |\] pull ")
        log = self.runner.log()[mark:]
        return [line for line in log.splitlines() if authority in line and not usual.search(line)]


def name_of(kind: str, fault: str) -> str:
    return f"{kind}{list(FAULTS | UNUSUAL).index(fault)}"


@pytest.fixture(scope="module", params=RUNNERS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, network: PrivateNetwork
) -> Iterator[World]:
    assert network
    directory = tmp_path_factory.mktemp("faults")
    text: list[str] = []
    with contextlib.ExitStack() as stack:

        def start(play: Play) -> Wire:
            return stack.enter_context(wire(play))

        def registry(name: str, *servers: str) -> None:
            text.append(f'[[registry]]\nprefix = "{name}.test"\nlocation = "{servers[-1]}"\n')
            text.append(f'plain-http = true\nnamespace-proxy = "{NAMESPACE}"\n')
            text.extend(
                f'[[registry.mirror]]\nlocation = "{each}"\nplain-http = true\nnamespace-proxy = "{NAMESPACE}"\n'
                for each in servers[:-1]
            )

        good = start(healthy)
        alone = {name: start(failing(fault.play)) for name, fault in FAULTS.items()}
        alone |= {name: start(failing(play)) for name, play in UNUSUAL.items()}
        blobs = {name: start(failing(fault.play)) for name, fault in BEFORE_THE_ANSWER.items()}
        manifests = {name: start(healthy) for name in BEFORE_THE_ANSWER}
        for name in FOR_AN_ENGINE:
            first = start(failing(FAULTS[name].play, manifests=False))
            registry(name_of("engine", name), first.authority, good.authority)
        registry("good", good.authority)
        registry("nowhere", "nowhere.invalid")
        registry("nowhere-first", "nowhere.invalid", good.authority)
        for name, server in alone.items():
            registry(name_of("alone", name), server.authority)
        for name in BEFORE_THE_ANSWER:
            registry(name_of("blobs", name), blobs[name].authority, good.authority)
            registry(name_of("manifests", name), manifests[name].authority, good.authority)
        conf = directory / "registries.conf"
        conf.write_text("".join(text))
        program, options = RUNNERS[request.param]
        runner = stack.enter_context(program(directory, conf=conf, options=OPTIONS | options))
        yield World(runner, alone, blobs, manifests)


def assert_it_goes_on(world: World) -> None:
    """The next request is served, whole, and nothing has crashed."""
    served = world.ask("good", f"blobs/{DIGEST}")
    assert (served.status, digest_of(served.body), served.broken) == (200, DIGEST, "")
    assert "Traceback" not in world.runner.log()
    assert "crashed" not in world.runner.log()


def is_success(outcome: Outcome) -> bool:
    """Whether a container engine would take it for the blob."""
    return outcome.status == 200 and not outcome.broken and digest_of(outcome.body) == DIGEST


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_an_error_for_the_client_and_one_line_in_the_log(name: str, world: World) -> None:
    fault, server = FAULTS[name], world.alone[name]
    registry = name_of("alone", name)
    mark = world.mark()

    outcome = world.ask(registry, f"blobs/{DIGEST}")
    assert not is_success(outcome)
    if name in BEFORE_THE_ANSWER:
        assert outcome.status == (504 if "stalls" in name else 502)
        assert server.authority in outcome.error["message"]
        assert re.search(fault.cause, outcome.error["message"])
    elif name in IN_THE_BODY:
        assert outcome.broken
    else:
        assert outcome.body == HALF
    wait_until(lambda: bool(world.told(mark, server.authority)), "the log says what happened")
    (line,) = world.told(mark, server.authority)
    assert re.search(fault.cause, line)
    assert_it_goes_on(world)


def test_a_hundred_faults_of_all_kinds_leave_nothing_behind(world: World) -> None:
    def pull(name: str) -> Outcome:
        return world.ask(name_of("alone", name), f"blobs/{DIGEST}")

    def pull_all() -> None:
        with ThreadPoolExecutor(TOGETHER) as pool:
            outcomes = [pool.submit(pull, name) for name in FAULTS for _ in range(TIMES)]
        assert len(outcomes) > 100
        assert not any(is_success(each.result()) for each in outcomes)

    assert_nothing_is_kept(world.runner.pid, pull_all)
    for name in FAULTS:
        wait_until(lambda name=name: world.alone[name].open == 0, f"{name}: no connection is left")  # type: ignore[misc]
    assert_it_goes_on(world)


@pytest.mark.parametrize("name", BEFORE_THE_ANSWER)
def test_a_blob_comes_from_the_next_endpoint_where_the_first_one(name: str, world: World) -> None:
    server = world.blobs[name]
    mark = world.mark()
    assert is_success(world.ask(name_of("blobs", name), f"blobs/{DIGEST}"))
    assert [each.split()[0] for each in server.asked] == ["HEAD", "GET"]
    (line,) = world.told(mark, server.authority)
    assert re.search(f"passed over {server.authority}: .*{BEFORE_THE_ANSWER[name].cause}", line)
    assert_it_goes_on(world)


@pytest.mark.parametrize("name", BEFORE_THE_ANSWER)
def test_a_manifest_comes_from_the_next_endpoint_where_the_one_that_is_remembered(name: str, world: World) -> None:
    server, registry = world.manifests[name], name_of("manifests", name)
    assert world.ask(registry, "manifests/v1").body == MANIFEST
    server.play = failing(BEFORE_THE_ANSWER[name].play)
    mark = world.mark()
    outcome = world.ask(registry, "manifests/v1")
    assert (outcome.status, outcome.body) == (200, MANIFEST)
    assert len(server.asked) == 2
    (line,) = world.told(mark, server.authority)
    assert re.search(f"passed over {server.authority}: .*{BEFORE_THE_ANSWER[name].cause}", line)
    assert_it_goes_on(world)


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_answer_that_is_unusual_arrives_whole(name: str, world: World) -> None:
    for _ in range(3):
        assert is_success(world.ask(name_of("alone", name), f"blobs/{DIGEST}"))
    assert_it_goes_on(world)


def test_an_answer_without_end_does_not_fill_the_memory(world: World) -> None:
    part_of_it = chunk(b"x" * 2**20)

    def without_end(talk: Talk) -> None:
        talk.say(head(OK, CHUNKED))
        for _ in range(ENDLESS_MIB):
            talk.say(part_of_it)

    server = world.alone["closes"]
    play, server.play = server.play, without_end
    before, most, size = rss_kib(world.runner.pid), 0, 0
    try:
        with socket.create_connection(("127.0.0.1", world.runner.port), timeout=20) as client:
            host = f"{name_of('alone', 'closes')}.test"
            client.sendall(f"GET http://{host}/v2/team/app/manifests/v1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while size < ENDLESS_MIB * 2**20 and (more := client.recv(2**20)):
                size += len(more)
                most = max(most, rss_kib(world.runner.pid))
    finally:
        server.play = play
    assert size > ENDLESS_MIB * 2**19
    assert most - before < ENDLESS_MIB * 2**9, (before, most)
    assert_it_goes_on(world)


def test_a_name_that_does_not_resolve_is_told_or_passed_over(world: World) -> None:
    mark = world.mark()
    outcome = world.ask("nowhere", f"blobs/{DIGEST}")
    assert outcome.status == 502
    assert "nowhere.invalid: the name nowhere.invalid does not resolve" in outcome.error["message"]
    (line,) = world.told(mark, "the name nowhere.invalid does not resolve")
    mark = world.mark()
    assert is_success(world.ask("nowhere-first", f"blobs/{DIGEST}"))
    (line,) = world.told(mark, "nowhere.invalid")
    assert "passed over nowhere.invalid: " in line
    assert_it_goes_on(world)


@pytest.mark.parametrize("name", ["closes", "sends more than its length", "stalls", "resets before the first byte"])
def test_skopeo_copies_no_half_of_an_image(
    name: str, world: World, skopeo_factory: SkopeoFactory, tmp_path: Path
) -> None:
    skopeo = skopeo_factory(Surroundings(proxy=world.runner.url, ca=world.runner.ca_pem))
    world.alone[name].play = failing(FAULTS[name].play, manifests=False)
    with pytest.raises(ClientError):
        skopeo.copy(f"docker://{name_of('alone', name)}.test/team/app:v1", f"dir:{tmp_path / 'image'}")
    assert not (tmp_path / "image" / DIGEST.removeprefix("sha256:")).exists()
    assert_it_goes_on(world)


@pytest.mark.parametrize("name", FOR_AN_ENGINE)
def test_skopeo_copies_an_image_of_which_the_next_endpoint_has_the_layer_where_the_first_one(
    name: str, world: World, skopeo_factory: SkopeoFactory, tmp_path: Path
) -> None:
    skopeo = skopeo_factory(Surroundings(proxy=world.runner.url, ca=world.runner.ca_pem))
    copied = skopeo.copy(f"docker://{name_of('engine', name)}.test/team/app:v1", f"dir:{tmp_path / 'image'}")
    assert copied == digest_of(MANIFEST)
    assert digest_of((tmp_path / "image" / DIGEST.removeprefix("sha256:")).read_bytes()) == DIGEST
    assert_it_goes_on(world)
