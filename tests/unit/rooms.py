"""Which modules the package has, which of them each one imports, and which are the core."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "addon" / "oci_ns"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)
"""Their names below the package."""


def below(package: str) -> set[str]:
    """The modules of a package within the package."""
    return {module for module in MODULES if module.startswith(f"{package}.")}


def path_of(module: str) -> Path:
    """The file of a module of the package."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The names of the modules that a module of the package imports."""
    found = set()
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found |= {_module_of(node.module or "", alias.name) for alias in node.names}
    return frozenset(found)


def _module_of(source: str, name: str) -> str:
    """The module that `from source import name` needs."""
    module = f"{source}.{name}"
    return module if module.removeprefix("oci_ns.") in MODULES else source


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
