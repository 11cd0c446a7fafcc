"""How an answer of `ns-inject explain` looks: the short answer first, then why.

A terminal gets a table, anything else the same words as whole lines. Knows rich; what is said is in `explain` and
`trace`.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oci_ns.printable import printable
from oci_ns.terminal import write_line
from oci_ns.trace import MARKS, condensed, entry_of, more_line, trace_lines
from oci_ns.trace_steps import Outcome, Trace

_LABEL_WIDTH = 13
_VALUE_STYLES = {"pass": "cyan", "rewrite": "green", "block": "bold red"}
_OUTCOME_STYLES = {
    Outcome.ANSWERED: "bold green",
    Outcome.DID_NOT_ANSWER: "yellow",
    Outcome.NOT_REACHED: "dim",
    Outcome.NOT_ASKED: "dim",
}


def show(console: Console, lines: Iterable[str], trace: Trace | None) -> None:
    """Write one answer: its lines (the question, then indented `label value`), and its trace where there is one."""
    question, *answer = [printable(line) for line in lines]
    write_line(console, Text(question, "bold"))
    for line in answer:
        write_line(console, _labelled(line))
    if trace is None:
        return
    write_line(console, Text("  why", "bold"))
    if console.is_terminal:
        console.print(_table(trace))
        return
    for line in trace_lines(trace):
        write_line(console, _marked(printable(line)))


def _labelled(line: str) -> Text:
    label, value = line[:_LABEL_WIDTH], line[_LABEL_WIDTH:]
    return Text.assemble((label, "dim"), (value, _VALUE_STYLES.get(value, "")))


def _marked(line: str) -> Text:
    styles = {MARKS[outcome]: style for outcome, style in _OUTCOME_STYLES.items()}
    mark = line[:2]
    return Text.assemble("    ", (mark, styles.get(mark, "")), (line[2:], "" if mark.strip() else "dim"))


def _table(trace: Trace) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in ("", "rule"):
        table.add_column(heading, no_wrap=True)
    for heading in ("why", "entry"):
        table.add_column(heading, overflow="fold")
    for step in condensed(trace.steps):
        style = _OUTCOME_STYLES[step.outcome]
        table.add_row(Text(MARKS[step.outcome], style), step.rule, Text(printable(step.why)), _dim(entry_of(step)))
        for miss in step.near.shown:
            table.add_row("", "", _dim(f"~ {miss.name}: {miss.why}"), _dim(str(miss.origin)))
        if step.near.more:
            table.add_row("", "", _dim(more_line(step.near)), "")
    return table


def _dim(text: str) -> Text:
    return Text(printable(text), "dim")
