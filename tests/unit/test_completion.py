"""Shell completion: the protocol's answers, and a real bash that completes a line."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from oci_ns.cli.main import main
from oci_ns.cli.shared import Settings
from oci_ns.completion import SHELLS, addon_options

ADDON = Path(__file__).parents[2] / "addon"

LINES = [
    # the words as bash has them, the last one being completed; what is offered
    (["exp"], ["explain", "export"]),
    (["export", ""], ["envoy", "haproxy", "nginx"]),
    (["export", "nginx", "--al"], ["--allow-partial"]),
    (["export", "envoy", "--tls-"], ["--tls-cert", "--tls-key"]),
    (["export", "haproxy", "--re"], ["--registries-conf", "--registries-conf-d", "--resolver"]),
    (["export", "haproxy", "--registries-conf", "sys"], ["system"]),
    (["export", "nginx", "--set", "ns_cl"], ["ns_client_namespace="]),
    (["export", "nginx", "--set", "ns_unresolved", "=", "re"], ["reject"]),
    (["ch"], ["check"]),
    (["explain", "--tr"], ["--trace"]),
    (["explain", "--set", "ns_un"], ["ns_unresolved="]),
    (["explain", "--set", "ns_unresolved", "="], ["pass", "reject"]),
    (["explain", "--set", "ns_unresolved", "=", "re"], ["reject"]),
    (["explain", "--set", "ns_blobs", "=", "s"], ["stream"]),
    (["explain", "--set", "ns_verify_blobs", "="], ["true", "false"]),
    (["explain", "--set", "ns_default", "=", "x"], []),
    (["explain", "-X", "p"], ["PUT", "POST", "PATCH"]),
    (["explain", "--registries-conf", "sys"], ["system"]),
    (["check", "--ignore", "amb"], ["ambiguous-location"]),
    (["check", "--color", "=", "al"], ["always"]),
    (["completion", "f"], ["fish"]),
    (["cl"], ["client"]),
    (["client", "c"], ["containerd", "cri-o"]),
    (["client", "podman", "--recipe", "m"], ["mirror"]),
    (["client", "podman", "--wr"], ["--write"]),
    (["se"], ["serve"]),
    (["serve", "--li"], ["--listen-host", "--listen-port"]),
    (["serve", "--mode", "re"], ["regular", "reverse:"]),
    (["serve", "--workers", ""], ["auto"]),
    (["serve", "--set", "ns_blobs", "=", "s"], ["stream"]),
]


def protocol(shell: str, words: list[str], cword: str) -> list[str]:
    environment = {
        "_NS_INJECT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "\n".join(["ns-inject", *words]) if shell == "bash" else " ".join(["ns-inject", *words]),
        "COMP_CWORD": cword,
    }
    result = CliRunner().invoke(main, [], prog_name="ns-inject", env=environment)
    return [line for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize(("words", "offered"), LINES, ids=[" ".join(line[0]) for line in LINES])
def test_a_word_is_completed(words: list[str], offered: list[str]) -> None:
    assert protocol("bash", words, str(len(words))) == [f"plain,{word}" for word in offered]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["check", "con"], "file"),
        (["explain", "--registries-conf", "con"], "file"),
        (["explain", "--registries-conf-d", "con"], "dir"),
        (["explain", "--set", "ns_authfile", "=", "con"], "file"),
        (["explain", "--set", "ns_certs_d", "=", "con"], "dir"),
        (["serve", "-s", "con"], "file"),
        (["export", "nginx", "--registries-conf", "con"], "file"),
        (["export", "nginx", "--tls-cert", "con"], "file"),
        (["export", "nginx", "--tls-key", "con"], "file"),
        (["export", "nginx", "--ca", "con"], "file"),
        (["export", "nginx", "-o", "con"], "file"),
        (["export", "nginx", "--registries-conf-d", "con"], "dir"),
        (["client", "docker", "--ca", "con"], "file"),
        (["client", "docker", "--root", "con"], "dir"),
    ],
)
def test_a_file_is_left_to_the_shell(words: list[str], kind: str) -> None:
    assert protocol("bash", words, str(len(words))) == [f"{kind},con"]


def test_zsh_and_fish_are_told_what_an_option_is_for() -> None:
    assert protocol("zsh", ["explain", "--set", "ns_def"], "3")[:2] == ["plain", "ns_default="]
    assert protocol("fish", ["explain", "--set"], "ns_blobs=s") == ["plain,ns_blobs=stream"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_the_one_that_the_variable_gives(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell], prog_name="ns-inject")
    by_variable = CliRunner().invoke(main, [], prog_name="ns-inject", env={"_NS_INJECT_COMPLETE": f"{shell}_source"})
    assert result.exit_code == 0
    assert "_NS_INJECT_COMPLETE" in result.stdout
    assert result.stdout.strip() == by_variable.stdout.strip()


def test_bash_completes_a_line(tmp_path: Path) -> None:
    program = tmp_path / "ns-inject"
    code = "from oci_ns.cli.main import main; main(prog_name='ns-inject')"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ADDON}" exec "{sys.executable}" -c "{code}" "$@"\n')
    program.chmod(0o755)
    script = (
        "source <(ns-inject completion bash)\n"
        'COMP_WORDS=(ns-inject explain --set ns_unresolved = "") COMP_CWORD=5\n'
        "_ns_inject_completion ns-inject ''\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
        "complete -p ns-inject\n"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["pass", "reject", "complete -o nosort -F _ns_inject_completion ns-inject"]
    assert done.stderr == ""


def test_explain_takes_every_option_that_the_addon_declares() -> None:
    assert {field.name for field in fields(Settings)} == set(addon_options())
