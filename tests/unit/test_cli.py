"""The command line: output, exit codes, and the message for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oci_ns.cli import main

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
        "quay.io/a:1\n"
        f"  entry      prefix quay.io, {conf}:2\n"
        "  source 1   proxy.example.com/quay/a:1  [ns=quay.io]\n"
        "  source 2   quay.io/a:1\n"
        "ghcr.io/x\n"
        "  entry      (none): pulled from ghcr.io itself\n"
    )


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


def test_check_is_content_with_a_good_configuration(conf: str) -> None:
    result = run("check", conf, "--strict")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{conf}: 2 registries, 0 warnings\n", "")


def test_check_warns_and_under_strict_fails(tmp_path: Path) -> None:
    path = tmp_path / "warned.conf"
    path.write_text(
        '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "p.com"\nnamespace-proxy = "a.com"\n'
        '[[registry]]\nlocation = "b.com"\nblcoked = true\n'
        '[[registry.mirror]]\nlocation = "p.com"\nnamespace-proxy = "b.com"\n'
        '[[registry.mirror]]\nlocation = "not a host"\n'
    )
    result = run("check", str(path))
    assert result.exit_code == 0
    assert result.stdout == f"{path}: 2 registries, 3 warnings\n"
    assert result.stderr.splitlines() == [
        f"warning: {path}:8: [[registry]] 2 (b.com): unknown key blcoked is ignored; did you mean blocked?",
        f'warning: {path}:6: location "not a host" is not a host[:port][/path]; nothing is sent there',
        (
            "warning: location p.com is ambiguous: it stands for a.com, b.com. A request that addresses it is told "
            "apart only by its ns, by a path that begins with the registry, or by ns_default"
        ),
    ]
    assert run("check", str(path), "--strict").exit_code == 1


def test_check_warns_where_endpoints_at_one_address_disagree_about_its_certificate(tmp_path: Path) -> None:
    path = tmp_path / "disputed.conf"
    path.write_text(
        '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "p.com:5000/a"\ninsecure = true\n'
        '[[registry]]\nlocation = "b.com"\n[[registry.mirror]]\nlocation = "P.com:5000/b"\n'
    )
    warning = "p.com:5000 is insecure for some endpoints and not for others: its certificate is verified for all"
    assert run("check", str(path)).stderr.splitlines() == [f"warning: {warning}"]


def test_check_reads_drop_ins(conf: str, tmp_path: Path) -> None:
    drop_ins = tmp_path / "d"
    drop_ins.mkdir()
    (drop_ins / "1.conf").write_text('[[registry]]\nlocation = "c.com"\n')
    assert ": 3 registries, " in run("check", conf, "--registries-conf-d", str(drop_ins)).stdout


def test_the_path_of_the_addon_is_printed() -> None:
    path = Path(run("addon-path").stdout.strip())
    assert path.name == "ns_inject.py"
    assert path.is_file()


@pytest.mark.parametrize("command", [(), ("check",), ("explain",), ("addon-path",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
