"""Changes the core in one place after the other, and tells which changes no test notices: `python -m tests.mutation`.

Each such mutant is code that no test needs: a row is missing, the code is superfluous, or both do the same. Arguments
are names of mutants, or patterns (`'oci_ns.mount.*'`), to try these alone and again; `mutmut show NAME` in the
directory shows one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.unit.rooms import CORE

_ROOT = Path(__file__).parents[1]
_MUTMUT = [sys.executable, "-m", "mutmut"]
_TESTS = [
    "check",
    "cli",
    "decided",
    "discreet",
    "distribution",
    "explain",
    "findings",
    "garbage",
    "index",
    "index_tables",
    "plain_tables",
    "pulls",
    "reference",
    "registries_conf",
    "routes",
    "selection",
    "spec_error",
    "toml_pieces",
    "trace",
    "vectors",
    "way_back",
]
"""Those that say what the core does, and are quick."""
_ELSEWHERE = "tests/unit/test_registries_conf.py::test_the_default_is_the_configuration_that_comes_along"
"""Knows where the checkout is."""

_PYTEST = """\
# Not the checkout's, which has the tests import what is in the checkout.
[tool.pytest.ini_options]
addopts = "-p no:cacheprovider"
"""

_CONFTEST = """\
import functools
import gc

remembering = []


def pytest_collection_finish():
    remembering.extend(each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper))


def pytest_runtest_setup():
    # What an earlier test has had remembered hides what has changed, and which tests need a function.
    for each in remembering:
        each.cache_clear()
"""


def main() -> int:
    """Make the mutants that there are not yet, try them, and print the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("mutants", nargs="*", help="only these")
    parser.add_argument("--directory", type=Path, default=_ROOT / ".mutation", help="where they are made and kept")
    parser.add_argument("--every", type=int, metavar="N", help="only each Nth, of all modules")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    directory = arguments.directory
    _set_up(directory)
    os.nice(19)
    run = [*_MUTMUT, "run", "--max-children", str(arguments.processes)]
    chosen = arguments.mutants
    if arguments.every:
        # All mutants are made before the first is tried.
        subprocess.run([*run, f"oci_ns.{CORE[0]}.*"], cwd=directory, check=True)
        chosen = list(_results(directory))[:: arguments.every]
    status = subprocess.run([*run, *chosen], cwd=directory, check=False).returncode
    results = {name: result for name, result in _results(directory).items() if result != "not checked"}
    for name, result in results.items():
        if result != "killed":
            print(f"{name}: {result}")
    counts = Counter(results.values()).items()
    print(len(results), "mutants:", ", ".join(f"{count} {result}" for result, count in counts))
    return status


def _results(directory: Path) -> dict[str, str]:
    """What has become of each mutant, tried lately or before."""
    command = [*_MUTMUT, "results", "--all", "true"]
    shown = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout
    return dict(line.strip().rsplit(": ", 1) for line in shown.splitlines() if ": " in line)


def _set_up(directory: Path) -> None:
    """What mutmut needs: the package below `src`, and the tests beside it."""
    directory.mkdir(exist_ok=True)
    for source, target in (("addon", "src"), ("tests", "tests"), ("config", "config")):
        shutil.rmtree(directory / target, ignore_errors=True)
        shutil.copytree(_ROOT / source, directory / target, ignore=shutil.ignore_patterns("__pycache__"))
        if target != "src":
            shutil.rmtree(directory / "mutants" / target, ignore_errors=True)
    # The tests of each function are found out anew: numbers in their names shift with each new row of a table.
    (directory / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    shutil.copy(_ROOT / "README.md", directory)
    (directory / "conftest.py").write_text(_CONFTEST)
    tests = [f"tests/unit/test_{name}.py" for name in _TESTS]
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/oci_ns/{module}.py" for module in CORE],
        # Tests with examples made at random would take most of the time.
        "pytest_add_cli_args": ["-m", "not hypothesis", f"--deselect={_ELSEWHERE}"],
        "pytest_add_cli_args_test_selection": tests,
        "also_copy": ["config", "conftest.py", "README.md"],
        # For a machine that does other things, too.
        "timeout_constant": 5.0,
        "timeout_multiplier": 3.0,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (directory / "pyproject.toml").write_text("\n".join([_PYTEST, "[tool.mutmut]", *lines, ""]))


if __name__ == "__main__":
    sys.exit(main())
