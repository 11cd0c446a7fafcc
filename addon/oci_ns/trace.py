"""Why a request or an image is treated as it is: each rule in order, which entry matched, and which came close.

Pure, and free of anything that draws: `trace_lines` is the trace as plain text. The steps are what `RouteTable` and
`RouteIndex` answered; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_ns.decision import Source
from oci_ns.index import RouteIndex
from oci_ns.near_misses import Candidate, Wanted, may_be_near, near_misses
from oci_ns.pull_sources import PullSource
from oci_ns.reference import Image, canonical_registry
from oci_ns.registries_conf import ANY_PREFIX, Registry
from oci_ns.routes import RouteTable
from oci_ns.trace_endpoints import endpoint_steps, image_steps
from oci_ns.trace_rules import UNRESOLVED, Asked, request_step, rule_steps
from oci_ns.trace_steps import Near, Outcome, Step, Trace

PREFIX = "prefix"

MARKS = {
    Outcome.ANSWERED: "=>",
    Outcome.DID_NOT_ANSWER: "no",
    Outcome.NOT_REACHED: "..",
    Outcome.NOT_ASKED: "--",
}
"""How each outcome is marked in text."""

_NAME_WIDTH = 10


def trace(table: RouteTable, method: str, scheme: str, host: str, port: int, target: str) -> Trace:
    """Why `table` decides as it does about a request for `target` to the addressed host. Never raises."""
    decision = table.decide(method, scheme, host, port, target)
    request = table.request(method, scheme, host, port, target)
    first = request_step(request, target)
    if request is None:
        return Trace((first, *(Step(rule, Outcome.NOT_REACHED) for rule in _rule_names())), (), decision)
    asked = Asked(table, request, decision)
    return Trace((first, *rule_steps(asked)), endpoint_steps(asked), decision)


def _rule_names() -> Iterator[str]:
    yield from (source.value for source in Source)
    yield UNRESOLVED


def trace_image(index: RouteIndex, image: Image) -> Trace:
    """Which prefix an image has and where it is pulled from, as Podman does.

    Raises ValueError where a location and the image's name do not make the name of an image.
    """
    found = index.find_image(image)
    return Trace((_prefix_step(index, image, found),), image_steps(found[0], image, found[1]) if found else ())


def _prefix_step(index: RouteIndex, image: Image, found: tuple[Registry, list[PullSource]] | None) -> Step:
    winner = found[0] if found is not None else None
    is_endpoint = index.is_endpoint(canonical_registry(image.host))
    wanted = Wanted(str(image), image.host, winner, any_port=True, is_endpoint=is_endpoint)
    routes = index.routes(may_be_near(image.host))
    near = near_misses((Candidate(route.registry, route.registry.prefix) for route in routes), wanted)
    if winner is None:
        why = f"no entry matches {image}: pulled from {image.host} itself"
        return Step(PREFIX, Outcome.DID_NOT_ANSWER, why, near=near)
    reason = "matches where no other prefix does" if winner.prefix == ANY_PREFIX else "is the longest that matches"
    return Step(PREFIX, Outcome.ANSWERED, f"{winner.prefix} {reason}", winner, near=near)


def trace_lines(trace: Trace) -> list[str]:
    """The trace as plain lines, none of them wrapped; rules that were not reached share one."""
    lines: list[str] = []
    for step in condensed(trace.steps):
        lines.append(f"{MARKS[step.outcome]} {step.rule:<{_NAME_WIDTH}} {sentence(step)}")
        lines += [f"   {'':<{_NAME_WIDTH}}   {line}" for line in near_lines(step)]
    return lines


def condensed(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps, with those at the end of the rules that were not reached as one."""
    silent: list[Step] = []
    for step in steps:
        if step.outcome is Outcome.NOT_REACHED and not step.why:
            silent.append(step)
            continue
        yield from _as_one(silent)
        silent = []
        yield step
    yield from _as_one(silent)


def _as_one(silent: list[Step]) -> Iterator[Step]:
    if silent:
        names = ", ".join(step.rule for step in silent)
        yield Step("", Outcome.NOT_REACHED, f"{names}: not reached")


def sentence(step: Step) -> str:
    """Why the step turned out so, and the entry it came from."""
    entry = entry_of(step)
    return f"{step.why}  [{entry}]" if entry else step.why


def entry_of(step: Step) -> str:
    """Where the entry is that the step came from, or its endpoint, which `why` names; '' where none."""
    if step.registry is None:
        return ""
    return str(step.origin) if step.endpoint is not None else f"prefix {step.registry.prefix}, {step.origin}"


def near_lines(step: Step) -> list[str]:
    """Each entry that came close, and why it did not match."""
    lines = [f"~ {miss.name}: {miss.why}  [{miss.origin}]" for miss in step.near.shown]
    return lines + ([more_line(step.near)] if step.near.more else [])


def more_line(near: Near) -> str:
    """How many near misses are not shown."""
    return f"~ and {near.more} more"
