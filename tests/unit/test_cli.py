"""The command line: output, exit codes, and the message for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oci_ns.cli.main import main

CONF = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "proxy.example.com/quay"
namespace-proxy = "quay.io"
[[registry]]
prefix = "bad.example.com"
location = "bad.example.com"
blocked = true
"""


@pytest.fixture
def conf(tmp_path: Path) -> str:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return str(path)


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_explain_tells_a_url_in_the_vectors_form(conf: str) -> None:
    result = run("explain", "--registries-conf", conf, "--json", "https://quay.io/v2/a/manifests/1")
    assert json.loads(result.stdout) == {
        "url": "https://quay.io/v2/a/manifests/1",
        "method": "GET",
        "action": "rewrite",
        "namespace": "quay.io",
        "source": "host",
        "upstream": "https://proxy.example.com/v2/quay/a/manifests/1?ns=quay.io",
    }
    assert result.exit_code == 0


def test_explain_tells_an_image_in_the_vectors_form(conf: str) -> None:
    result = run("explain", "--registries-conf", conf, "--json", "quay.io/a:1")
    assert json.loads(result.stdout) == {
        "ref": "quay.io/a:1",
        "registry": "quay.io",
        "blocked": False,
        "sources": [
            {
                "reference": "proxy.example.com/quay/a:1",
                "insecure": False,
                "location": "proxy.example.com/quay",
                "namespace": "quay.io",
            },
            {"reference": "quay.io/a:1", "insecure": False, "location": "quay.io", "namespace": None},
        ],
    }


def test_explain_reads_one_question_per_line_and_answers_each(conf: str) -> None:
    lines = b"quay.io/a:1\n\nPUT https://quay.io/v2/a/manifests/1\nhttps://quay.io/v2/\nnot an image\n\xff\n"
    result = run("explain", "--registries-conf", conf, "--json", "-X", "head", "-", stdin=lines)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer.get("method") for answer in answers] == [None, "PUT", "HEAD", None, None]
    assert [answer.get("action") for answer in answers] == [None, "pass", "rewrite", None, None]
    assert ["error" in answer for answer in answers] == [False, False, False, True, True]
    assert result.exit_code == 1


def test_explain_in_words(conf: str) -> None:
    result = run("explain", "--registries-conf", conf, "https://quay.io/v2/a/manifests/1", "quay.io/a:1", "ghcr.io/x")
    assert result.stdout == (
        "GET https://quay.io/v2/a/manifests/1\n"
        "  action     rewrite\n"
        "  operation  manifest\n"
        "  registry   told by: host\n"
        "  namespace  quay.io\n"
        f"  entry      prefix quay.io, {conf}:2\n"
        "  upstream   https://proxy.example.com/v2/quay/a/manifests/1?ns=quay.io\n"
        "  why\n"
        "    => request    below /v2: manifest of a:1\n"
        "    no query      the client sent no ns\n"
        f"    => host       quay.io is a source registry  [prefix quay.io, {conf}:2]\n"
        "    ..            location, path, default, unresolved: not reached\n"
        f"    => mirror 1   proxy.example.com/quay, ns=quay.io: tried first  [{conf}:5]\n"
        f"    .. primary    quay.io: tried where those before it fail  [{conf}:2]\n"
        "quay.io/a:1\n"
        f"  entry      prefix quay.io, {conf}:2\n"
        "  source 1   proxy.example.com/quay/a:1  [ns=quay.io]\n"
        "  source 2   quay.io/a:1\n"
        "  why\n"
        f"    => prefix     quay.io is the longest that matches  [prefix quay.io, {conf}:2]\n"
        f"    => mirror 1   proxy.example.com/quay, ns=quay.io: tried first  [{conf}:5]\n"
        f"    .. primary    quay.io: tried where those before it fail  [{conf}:2]\n"
        "ghcr.io/x\n"
        "  entry      (none): pulled from ghcr.io itself\n"
        "  why\n"
        "    no prefix     no entry matches ghcr.io/x: pulled from ghcr.io itself\n"
    )


def test_explain_is_short_for_questions_from_standard_input_and_on_request(conf: str) -> None:
    for arguments, traced in [(("-",), False), (("-", "--trace"), True), (("x.io/a", "--no-trace"), False)]:
        result = run("explain", "--registries-conf", conf, *arguments, stdin="quay.io/a:1\n")
        assert ("\n  why\n" in result.stdout) is traced
        assert result.exit_code == 0


def test_explain_has_a_trace_in_json_where_it_is_asked_for(conf: str) -> None:
    url, image = "https://quay.io/v2/a/manifests/1", "quay.io/a:1"
    result = run("explain", "--registries-conf", conf, "--json", "--trace", url, image)
    traces = [json.loads(line)["trace"] for line in result.stdout.splitlines()]
    assert [step["rule"] for step in traces[0]] == (
        ["request", "query", "host", "location", "path", "default", "unresolved", "mirror 1", "primary"]
    )
    assert traces[0][2] == {
        "rule": "host",
        "outcome": "answered",
        "why": "quay.io is a source registry",
        "entry": {"prefix": "quay.io", "file": conf, "line": 2},
        "near": [],
        "more": 0,
    }
    assert [step["rule"] for step in traces[1]] == ["prefix", "mirror 1", "primary"]


def test_a_line_that_is_no_terminals_is_never_cut_or_wrapped(conf: str) -> None:
    url = f"https://quay.io/v2/{'a' * 200}/manifests/1"
    result = run("explain", "--registries-conf", conf, url)
    assert f"  upstream   https://proxy.example.com/v2/quay/{'a' * 200}/manifests/1?ns=quay.io\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "coloured"), [((), False), (("--color", "always"), True), (("--color", "never"), False)]
)
def test_colours_are_for_terminals_and_for_those_who_ask(conf: str, arguments: tuple[str, ...], coloured: bool) -> None:
    result = run("explain", "--registries-conf", conf, "quay.io/a", *arguments)
    assert ("\x1b[" in result.stdout) is coloured


def test_explain_shows_the_answer_of_a_blocked_pull(conf: str) -> None:
    result = run("explain", "--registries-conf", conf, "https://bad.example.com/v2/a/manifests/1", "bad.example.com/a")
    assert "  action     block\n" in result.stdout
    assert "  answer     403 DENIED: pulling is blocked by registries.conf: prefix bad.example.com\n" in result.stdout
    assert "  blocked    pulling is forbidden" in result.stdout


def test_explain_takes_the_addons_options(conf: str) -> None:
    arguments = ("--registries-conf", conf, "--set", "ns_unresolved=reject", "--json", "https://ghcr.io/v2/")
    assert json.loads(run("explain", *arguments).stdout)["action"] == "block"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("ns_bogus=1", "'ns_bogus=1' is not one of ns_registries_conf=…"),
        ("ns_default", "'ns_default' is not one of"),
        ("ns_default=a b", "ns_default must be the host[:port] of a registry, docker.io for example, not 'a b'"),
        ("ns_unresolved=maybe", "ns_unresolved must be one of pass, reject, not 'maybe'"),
        ("ns_client_namespace=x", "ns_client_namespace must be one of keep, override, reject, not 'x'"),
    ],
)
def test_explain_refuses_an_option_that_the_addon_would_refuse(conf: str, assignment: str, message: str) -> None:
    result = run("explain", "--registries-conf", conf, "--set", assignment, "quay.io/a")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://quay.io/v2/", "'ftp://quay.io/v2/' is not an http or https URL"),
        ("https:///v2/", "'' is not a host"),
        ("https://quay.io:99999/v2/", "'quay.io:99999' does not have a valid port"),
        ("https://user:secret@quay.io/v2/", "the URL has a user name or password in it; leave it out"),
        ("Quay IO", "'Quay IO' is not an image name"),
    ],
)
def test_explain_says_what_is_wrong_with_a_question(conf: str, text: str, message: str) -> None:
    result = run("explain", "--registries-conf", conf, text)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("command", [("check",), ("explain", "quay.io/a", "--registries-conf")])
def test_a_configuration_that_does_not_load_exits_with_2_and_every_reason(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("[[registry]]\n[[registry]]\n")
    result = run(*command, str(broken))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.split(" ")[0] for line in result.stderr.splitlines()] == [f"{broken}:1:", f"{broken}:2:"]


@pytest.mark.parametrize("command", [("check",), ("explain", "quay.io/a", "--registries-conf")])
def test_the_home_of_nobody_is_a_directory_that_is_not_there(command: tuple[str, ...]) -> None:
    result = run(*command, "~nouser/x.conf")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("~nouser/x.conf: ")
    assert "cannot be read: No such file or directory" in result.stderr


def test_the_path_of_the_addon_is_printed() -> None:
    path = Path(run("addon-path").stdout.strip())
    assert path.name == "ns_inject.py"
    assert path.is_file()


@pytest.mark.parametrize("command", [(), ("check",), ("explain",), ("export",), ("completion",), ("addon-path",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
