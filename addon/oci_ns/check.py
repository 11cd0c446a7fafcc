"""What to tell about a configuration that loads: the loader's warnings, and what only the whole table shows."""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.check_endpoints import problems_of_endpoints
from oci_ns.check_entries import problems_of_entries
from oci_ns.conf_files import Configuration
from oci_ns.conf_findings import REPLACED, Finding, Severity, about
from oci_ns.index import RouteIndex
from oci_ns.problems import Problem


def findings(configuration: Configuration, index: RouteIndex) -> list[Finding]:
    """Everything worth telling, in order of file and line. `index` is that of the configuration's registries."""
    found = [Finding(Severity.WARNING, problem) for problem in configuration.warnings]
    found += [Finding(Severity.WARNING, problem) for problem in problems_of_entries(index)]
    found += [Finding(Severity.WARNING, problem) for problem in problems_of_endpoints(index)]
    found += [Finding(Severity.NOTE, problem) for problem in _replaced(configuration)]
    order = {path: number for number, path in enumerate(configuration.files)}
    last = len(order)
    return sorted(found, key=lambda finding: (order.get(finding.problem.path, last), finding.problem.line or 0))


def _replaced(configuration: Configuration) -> Iterator[Problem]:
    """What a drop-in hides: often meant so, so that it is no warning."""
    hidden = {registry.prefix for registry in configuration.replaced}
    in_force = {r.prefix: r for r in configuration.registries if r.prefix in hidden} if hidden else {}
    for registry in configuration.replaced:
        by = in_force[registry.prefix].origin
        yield about(registry, REPLACED, f"prefix {registry.prefix} is replaced by {by}; this table has no effect")
