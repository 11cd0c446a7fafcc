"""How the findings of `ns-inject check` look: a table on a terminal, else one line each, as editors parse them.

Knows rich; what is found is in `check`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oci_ns.conf_findings import Finding, Severity
from oci_ns.printable import printable
from oci_ns.terminal import write_line

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Write the findings; nothing where there are none."""
    if console.is_terminal and findings:
        console.print(_table(findings))
        return
    for finding in findings:
        before, _, after = str(finding).partition(f" {finding.severity.value}: ")
        severity = (f" {finding.severity.value}: ", _STYLES[finding.severity])
        write_line(console, Text.assemble(printable(before), severity, printable(after)))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("where", overflow="fold")
    table.add_column("code", no_wrap=True)
    table.add_column("what", overflow="fold", ratio=1)
    for finding in findings:
        problem = finding.problem
        what = Text(printable(problem.message))
        if problem.hint:
            what.append(f"\n{printable(problem.hint)}", "dim")
        table.add_row(Text(printable(problem.place)), Text(problem.code, _STYLES[finding.severity]), what)
    return table
