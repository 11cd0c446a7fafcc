"""Cases for the tests of exports: configurations with requests, how they are sent, and what comes of it.

What an engine refuses or cannot carry is told apart from what it does otherwise than the addon.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lab.conversation import Answer, Conversation
from lab.engines import running
from lab.everywhere import Everywhere, Play, answering
from lab.outcomes import Asked, Outcome, seen, told
from lab.process import free_port
from oci_ns.decision import Decision
from oci_ns.distribution import namespaces_in
from oci_ns.explain import address_of
from oci_ns.export.contract import Exported, Listen, Settings
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address
from oci_ns.reference import DEFAULT_PORTS, split_host
from oci_ns.routes import RouteTable
from tests.unit import generated
from tests.unit.plain_rules import Options
from tests.unit.test_decision_properties import options_of, table_of
from tests.unit.test_routes import CONFIGS
from tests.unit.test_tabulate import ROWS

DOCUMENTS = 60
REQUESTS = 40
DESTINATION = "listener.test"
UNFIT = (
    *("/v2/a/../b/manifests/1", "/v2/./a/manifests/1", "/v2/a/..", "/x/../v2/a/manifests/1", "//v2/a/manifests/1"),
    *(
        "/v2/a//b/manifests/1",
        "/v2//a/manifests/1",
        "/v2/a/%2e%2e/b/manifests/1",
        "/v2\\a",
        "/%2e/v2/a",
        "/x/..",
        "/.v2",
    ),
    *("/v2/a/manifests/..", "/v2/a/manifests/1?x=../..", "/v2/a...b/manifests/1", "/v2/.a/manifests/1"),
)
"""Paths that some servers take for others, and such as look like these."""
T = TypeVar("T")
Export = Callable[[object, Settings], Exported]


@dataclass(frozen=True)
class Case:
    """A configuration and options, and requests to one listener."""

    text: str
    options: Options
    scheme: str
    requests: tuple[Asked, ...]

    @property
    def table(self) -> RouteTable:
        """As the product loads it."""
        return table_of(self.text, self.options)

    @property
    def secure(self) -> bool:
        """Whether the listener speaks TLS: where it stands for a host, that one's scheme is what counts."""
        return self.scheme == "https" and not self.requests[0].destination


# -- the cases ---------------------------------------------------------------------------------------------------------


@functools.cache
def rows() -> list[Case]:
    """The shared vectors and the rows of the decision's own tests, through a listener that stands for a host."""
    found: dict[tuple[str, Options, str], list[Asked]] = {}
    for text, options, method, url in ROWS:
        address = address_of(url)
        named = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
        asked = Asked(method, address.scheme, named, address.target, DESTINATION)
        found.setdefault((text, options_of(options), address.scheme), []).append(asked)
    more = [
        Asked("GET", "https", named, target, DESTINATION) for named in ("docker.io", "nobody.test") for target in UNFIT
    ]
    found[CONFIGS["both"], Options(), "https"] += more
    return [Case(*key, tuple(requests)) for key, requests in found.items()]


@functools.cache
def generated_cases() -> list[Case]:
    """Generated configurations, the same at every run, each with requests that have to do with it."""
    found = []
    pairs = st.tuples(generated.documents, generated.policies, st.sampled_from(["https", "https", "http"]))
    for number, (document, policy, scheme) in enumerate(_drawn(pairs, DOCUMENTS, 1)):
        asked = _drawn(generated.askings_of(document), REQUESTS, number)
        requests = tuple(_sendable(scheme, asked))
        found.append(Case(generated.plain_text(document), policy, scheme, requests))
    return found


_MOVED = '[[registry]]\nprefix = "{0}"\nlocation = "{1}"\nnamespace-proxy = "{0}"\n'
_MIRRORED = (
    '[[registry]]\nprefix = "{0}"\nlocation = "{0}"\n[[registry.mirror]]\nlocation = "{1}"\nnamespace-proxy = "{0}"\n'
)
ORDINARY = (
    _MOVED.format("quay.io", "proxy.example.com/cache"),
    _MOVED.format("quay.io", "proxy.example.com:5000") + "plain-http = true\n",
    _MOVED.format("quay.io", "proxy.example.com") + _MOVED.format("docker.io", "proxy.example.com/hub"),
    _MOVED.format("quay.io", "proxy.example.com") + _MOVED.format("quay.io/team", "other.example.com/t"),
    _MIRRORED.format("quay.io", "proxy.example.com/q") + _MIRRORED.format("docker.io", "proxy.example.com"),
    _MOVED.format("quay.io", "quay.io"),
)
"""Configurations of which all pulls of a registry, or most, go one way."""
_OF_ONE = ("app", "quay.io", "team/app", "team/sub/app", "quay.io/app", "quay.io/team/app", "docker.io/a/b")
_NEARLY = ("localhost/app", "a.b/app", "manifests/blobs", "quay.io/Team")
_PULLED = (
    *(f"{each}/manifests/v1" for each in (*_OF_ONE, *_NEARLY)),
    *(f"{each}/blobs/{generated.DIGEST}" for each in _OF_ONE),
    *(f"team/app/manifests/{each}" for each in (generated.DIGEST, "t" * 128, "t" * 129, "v1/", "v1?", "v1?x=1")),
    *("team/app/manifests/v1?ns=quay.io", "team//app/manifests/v1", "team/app/blobs/v1"),
)


@functools.cache
def ordinary_cases() -> list[Case]:
    """Pulls as most are, and some that nearly are, by Host and at a listener that stands for a proxy."""
    found = []
    for text in ORDINARY:
        for destination in ("", "proxy.example.com"):
            names = (
                "quay.io",
                "registry-1.docker.io",
                "proxy.example.com",
                *(("nobody.test", "QUAY.IO") if destination else ()),
            )
            asked = tuple(
                Asked(method, "https", named, f"/v2/{each}", destination)
                for named in names
                for each in _PULLED
                for method in (("GET", "HEAD", "DELETE") if each == "team/app/manifests/v1" else ("GET",))
            )
            found.append(Case(text, Options(), "https", asked))
    return found


def _drawn(strategy: st.SearchStrategy[T], count: int, number: int) -> list[T]:
    found: list[T] = []

    @seed(number)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found[:count]


def _sendable(scheme: str, every: Iterable[generated.Asking]) -> Iterator[Asked]:
    for asking in every:
        if not asking.target.startswith("/"):
            # No client sends that to a registry, and what servers make of it is their own.
            continue
        own = DEFAULT_PORTS[asking.scheme]
        host = f"[{asking.host}]" if ":" in asking.host else asking.host
        named = host if asking.port == own else f"{host}:{asking.port}"
        yield Asked(asking.method, scheme, named, asking.target)


# -- what is not carried -----------------------------------------------------------------------------------------------


def _names_a_port(authority: str, *ports: int) -> bool:
    with contextlib.suppress(ValueError):
        return split_host(authority)[1] in ports
    return False


FEATURES: dict[str, Callable[[Asked], bool]] = {
    "a percent-escape in the path": lambda asked: "%" in _path(asked),
    "a percent-escape in the name of ns": lambda asked: any("%" in key for key, _ in _namespaces(asked)),
    "a percent-escape in the value of ns": lambda asked: any(
        re.search("%(?!3A)", value) is not None for _, value in _namespaces(asked)
    ),
    "a registry in upper case in ns": lambda asked: any(value != value.lower() for value in _spoken(asked)),
    "an ns that is no host": lambda asked: any(
        re.fullmatch(r"[A-Za-z0-9.:-]*", value) is None for value in _spoken(asked)
    ),
    "an ns that is not ASCII": lambda asked: any(not value.isascii() for value in _spoken(asked)),
    "more than one ns": lambda asked: len(_spoken(asked)) > 1,
    "a port in the first component": lambda asked: re.match(r"/v2/[^/]*:", asked.target) is not None,
    "the default port of the other scheme": lambda asked: _names_a_port(
        asked.named, 443 if asked.scheme == "http" else 80
    ),
    "an IPv6 address in Host": lambda asked: asked.named.startswith("["),
    "not ASCII": lambda asked: not asked.target.isascii(),
    "a mount": lambda asked: re.search("[?&](%66|f)rom=", asked.target) is not None,
}
"""What a request may have that an engine refuses."""


def _path(asked: Asked) -> str:
    return asked.target.partition("?")[0]


def _query(asked: Asked) -> str:
    return asked.target.partition("?")[2]


def _spoken(asked: Asked) -> list[str]:
    return namespaces_in(_query(asked))


def _namespaces(asked: Asked) -> list[tuple[str, str]]:
    parameters = [parameter.partition("=") for parameter in _query(asked).split("&")]
    return [(key, value) for key, _, value in parameters if namespaces_in(f"{key}={value}")]


class Difference(NamedTuple):
    """What an engine does otherwise than the addon."""

    case: Case
    asked: Asked
    expected: Outcome
    found: Outcome

    def __str__(self) -> str:
        options = f"{self.case.options} scheme={self.case.scheme}"
        return f"{self.case.text}\n{options}\n{self.asked}\n expected {self.expected}\n found    {self.found}\n"


@dataclass(frozen=True)
class Refusals:
    """Which of FEATURES an engine answers with 400: in the distribution-spec's words, or `bare`, in its own."""

    told: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """Both."""
        return self.told | self.bare


@dataclass
class Report:
    """How many requests came out the same, and what else there was."""

    equal: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """How many were refused that had this, and nothing else that is refused."""
    refused_for_several: int = 0
    unexplained: list[Difference] = field(default_factory=list)
    """What was refused without having anything that is refused."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many configurations had a rule that was not carried."""
    affected: int = 0
    """How many requests were answered with an error, in such configurations."""
    different: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        refused = sum(self.refused.values()) + self.refused_for_several
        not_carried = f"not carried {dict(self.left_out)} ({self.affected} requests)"
        different = len(self.different) + len(self.unexplained)
        return f"{self.equal} equal, {refused} refused {dict(self.refused)}, {not_carried}, {different} different"

    def add(self, difference: Difference, *, partial: bool, refusals: Refusals) -> None:
        """Sort one request's outcome into the report."""
        asked, expected, found = difference.asked, difference.expected, difference.found
        if expected.is_like(found):
            self.equal += 1
        elif found.error is not None and found.error[0] == 400:
            is_told = found.error[1] != "" or asked.method == "HEAD"
            known = refusals.all if is_told else refusals.bare
            named = [name for name in FEATURES if name in known and FEATURES[name](asked)]
            if len(named) == 1:
                self.refused[named[0]] += 1
            elif named:
                self.refused_for_several += 1
            elif partial and is_told:
                self.affected += 1
            else:
                self.unexplained.append(difference)
        elif partial and _is_part(found, expected):
            self.affected += 1
        else:
            self.different.append(difference)


def _is_part(found: Outcome, expected: Outcome) -> bool:
    """Whether nothing arrives that should not have, nor in another order."""
    rest = iter(expected.sent)
    return all(any(each == other for other in rest) for each in found.sent) and found != Outcome(error=(0, ""))


# -- engines -----------------------------------------------------------------------------------------------------------


def export_to(
    engine: str, case: Case, directory: Path, servers: Everywhere, port: int, *, response_seconds: int = 5
) -> Exported:
    """An engine's files for a case, without what it cannot carry."""
    destination = None
    if case.requests[0].destination:
        destination = Address(case.scheme, case.requests[0].destination, DEFAULT_PORTS[case.scheme])
    certificate = ""
    if case.secure:
        certificate = str(directory / "listener.pem")
        directory.mkdir(parents=True, exist_ok=True)
        chain, key = servers.authority.issue(DESTINATION)
        Path(certificate).write_bytes(chain.read_bytes() + key.read_bytes())
    module = importlib.import_module(f"oci_ns.export.{engine}.config")
    exported = module.export(
        tabulate(case.table, case.scheme, case.requests[0].destination),
        Settings(
            (Listen("127.0.0.1", port),),
            certificate=certificate,
            destination=destination,
            authorities=str(servers.authority.pem),
            resolvers=("127.0.0.1:53",),
            connect_seconds=2,
            response_seconds=response_seconds,
            allow_partial=True,
            directory=str(directory),
        ),
    )
    assert isinstance(exported, Exported)
    return exported


@contextlib.contextmanager
def engine_for(
    engine: str, case: Case, directory: Path, servers: Everywhere, *, response_seconds: int = 5
) -> Iterator[tuple[Conversation, Exported]]:
    """A running engine with the case's configuration, and a client of it."""
    port = free_port()
    exported = export_to(engine, case, directory, servers, port, response_seconds=response_seconds)
    with (
        running(engine, directory, exported.files, [port]),
        Conversation(port, secure=case.secure, server_name=DESTINATION) as client,
    ):
        yield client, exported


def outcome(servers: Everywhere, client: Conversation, asked: Asked, *, below: bool) -> tuple[Outcome, Answer]:
    """Send a request, which is `below` /v2 or not; where it arrived, and the answer."""
    servers.clear()
    answer = client.ask(asked.raw)
    return seen(servers.arrivals, answer, asked.method, below=below), answer


REFUSING = answering(503)
OK = answering(200)


def compared(engine: str, cases: Sequence[Case], directory: Path, servers: Everywhere, refusals: Refusals) -> Report:
    """Send every request of every case to the engine, and hold what comes of it against the decision.

    A pull with several places is sent again with servers that all fail: then each is asked in turn.
    """
    report = Report()
    for number, case in enumerate(cases):
        table = case.table
        with engine_for(engine, case, directory / f"{engine}{number}", servers) as (client, exported):
            report.left_out.update({problem.rule for problem in exported.left_out})
            for asked in case.requests:
                for expected, play in _ways(table, asked):
                    servers.play = play
                    below = expected[1] is None or expected[1].operation is not None
                    found, _ = outcome(servers, client, asked, below=below)
                    difference = Difference(case, asked, expected[0], found)
                    report.add(difference, partial=bool(exported.left_out), refusals=refusals)
    servers.play = OK
    return report


def _ways(table: RouteTable, asked: Asked) -> Iterator[tuple[tuple[Outcome, Decision | None], Play]]:
    every, decision = told(table, asked)
    yield (every.first, decision), OK
    if len(every.sent) > 1:
        yield (every, decision), REFUSING
