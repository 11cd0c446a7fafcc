"""Which modules the package has, which of them each one imports, and which are the core."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "addon" / "oci_ns"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The names of the modules that a module of the package imports."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            if node.module == "oci_ns":
                found |= {f"oci_ns.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return frozenset(found)


@functools.cache
def reachable(module: str) -> frozenset[str]:
    """The modules of the package that a module needs."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        for name in imports(todo.pop()):
            neighbour = name.removeprefix("oci_ns.")
            if name.startswith("oci_ns.") and neighbour not in seen:
                seen.add(neighbour)
                todo.append(neighbour)
    return frozenset(seen)


CORE_BEGINS = ("explain", "conf_document")
CORE = sorted({*CORE_BEGINS}.union(*map(reachable, CORE_BEGINS)))
"""All that it takes to read a configuration's text and to decide, and say why: pure, so that its tests are quick.

No line or branch of it goes untested, and the mutants of `tests.mutation` are made of it.
"""
