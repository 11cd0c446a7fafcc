"""A short run of the fuzzer over every target, and what its command says of one that fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from lab.process import unavailable
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.fuzzing import FuzzingError, Limits, fuzz

_CHECKOUT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "tests.fuzz"]
_EXECUTIONS = 1500
_LIMITS = Limits(seconds=600)
_BROKEN = """
import runpy
from oci_ns import distribution
distribution.without_namespace = lambda query: query
runpy.run_module("tests.fuzz.under_atheris", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def _atheris() -> None:
    if importlib.util.find_spec("atheris") is None:
        unavailable("atheris is not installed (the extra `fuzz`)")


@pytest.mark.usefixtures("_atheris")
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    options = [
        "--executions",
        str(_EXECUTIONS),
        "--corpus",
        str(tmp_path / "corpus"),
        "--findings",
        str(tmp_path / "found"),
    ]
    ended = subprocess.run([*_COMMAND, *options], cwd=_CHECKOUT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert lines.keys() == TARGETS.keys()
    for name, said in lines.items():
        executions, edges, kept = (int(part.split()[0]) for part in said.split(", ")[:3])
        assert executions >= _EXECUTIONS > len(list((tmp_path / "corpus" / name).glob("seed-*"))) > 100
        assert edges > 10
        assert kept > 10
    assert not (tmp_path / "found").exists()


@pytest.mark.usefixtures("_atheris")
def test_a_run_over_broken_code_keeps_the_input_that_shows_it(tmp_path: Path) -> None:
    target = TARGETS["namespace-editor"]
    outcome = fuzz(target, _LIMITS, tmp_path / "corpus", tmp_path / "found", [sys.executable, "-c", _BROKEN])
    assert outcome.finding is not None
    assert outcome.finding.parent == tmp_path / "found"
    assert b"ns" in outcome.finding.read_bytes()
    assert "AssertionError" in outcome.report
    assert str(outcome.finding) in str(outcome)
    target.one_input(outcome.finding.read_bytes())


def test_a_fuzzer_that_ends_by_itself_is_no_run_without_a_finding(tmp_path: Path) -> None:
    broken = [sys.executable, "-c", "raise SystemExit('no fuzzer')"]
    with pytest.raises(FuzzingError, match="no fuzzer"):
        fuzz(TARGETS["namespace-editor"], _LIMITS, tmp_path / "corpus", tmp_path / "found", broken)


def test_without_atheris_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'atheris' else real(name, *more)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", "import sitecustomize, runpy; runpy.run_module('tests.fuzz', run_name='__main__')"],
        cwd=_CHECKOUT,
        env={"PYTHONPATH": f"{tmp_path}:{_CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "pip install -e '.[fuzz]'" in run.stderr
