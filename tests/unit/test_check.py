"""`ns-inject check`: one row per warning, with its line, and the configurations that have none."""

# The rows below are a table: one line each reads better than wrapped ones.
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from oci_ns.check import findings
from oci_ns.check_text import show_findings
from oci_ns.cli.main import main
from oci_ns.conf_files import Sources, load
from oci_ns.conf_findings import CODES, Finding
from oci_ns.index import RouteIndex
from tests.unit.test_routes import registry

CONFIG = Path(__file__).parents[2] / "config"
QUAY = registry("quay.io", "proxy.example.com/quay quay.io")
QUAY_LINES = QUAY.count("\n")
TWICE = registry("quay.io", "p.com/a quay.io", "p.com/a quay.io")

ROWS = [
    # -- keys ---------------------------------------------------------------------------------------------------
    ('[[registry]]\nlocation = "a.com"\nnamespace_proxy = "a.com"\n', "similar-key", 3, "did you mean namespace-proxy?"),
    ('[[registry]]\nlocation = "a.com"\nmirror-by-digest = true\n', "similar-key", 3, "did you mean mirror-by-digest-only?"),
    ('[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\npull_from_mirror = "all"\n', "similar-key", 5, "did you mean pull-from-mirror?"),
    ('[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\nnamespace = "a.com"\n', "similar-key", 5, "did you mean namespace-proxy?"),
    ('[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\nblocked = true\n', "misplaced-key", 5, "it belongs to the [[registry]]"),
    # -- entries that something hides -----------------------------------------------------------------------------
    (QUAY + registry("quay.io"), "shadowed", QUAY_LINES + 1, "prefix quay.io is there already"),
    (QUAY + registry("quay.io:443"), "shadowed", 1, "prefix quay.io is the same registry as quay.io:443"),
    (TWICE, "shadowed", 8, "mirror 2 is mirror 1 again (p.com/a)"),
    (registry("quay.io", "p.com quay.io", "quay.io"), "shadowed", 8, "the last mirror is the registry's own location"),
    # -- entries that nothing matches -----------------------------------------------------------------------------
    (registry("*foo.com"), "unreachable", 2, 'prefix "*foo.com" never matches'),
    (registry("quay.io/CoreOS"), "unreachable", 1, "no repository is called CoreOS; repositories are in lower case"),
    (registry("not!a!host", location="quay.io"), "unreachable", 1, "not!a!host is not a host[:port]"),
    (registry("quay.io/a:b:c"), "unreachable", 1, ":b:c is neither a :tag nor a @digest"),
    (registry("index.docker.io", "p.com docker.io"), "unreachable", 1, "write docker.io"),
    (registry("registry-1.docker.io", "p.com docker.io"), "unreachable", 1, "no image name begins with registry-1.docker.io"),
    (registry("quay.io", "p.com quay.io", more="blocked = true"), "unreachable", 5, "prefix quay.io is blocked: nothing is pulled from its mirrors"),
    (registry("Quay.io"), "spelling", 1, "write quay.io"),
    (registry("quay.io", more="mirror-by-digest-only = true"), "no-effect", 1, "has no mirrors"),
    # -- endpoints ------------------------------------------------------------------------------------------------
    (registry("quay.io", "not!a!host"), "bad-location", 5, 'location "not!a!host" is not a host[:port][/path]; nothing is sent there'),
    (registry("quay.io", "docker://p.com/a"), "bad-location", 5, 'location "docker://p.com/a" is not a host[:port][/path]; nothing is sent there'),
    (registry("quay.io", "p.com/a?b=c"), "bad-location", 5, 'location "p.com/a?b=c" is not a host[:port][/path]; nothing is sent there'),
    (registry("quay.io", location="p.com/a b"), "bad-location", 1, 'location "p.com/a b" is not a host[:port][/path]; nothing is sent there'),
    (registry("quay.io", "p.com quay.oi"), "namespace-differs", 5, "did you mean quay.io? Otherwise leave it"),
    (registry("docker.io", "p.com/hub upstream"), "namespace-differs", 5, "leave it where the proxy at p.com/hub calls docker.io so"),
    (registry("*.quay.io", "p.com quay.io", location=None), "namespace-differs", 4, "every host that prefix *.quay.io matches is asked for with ns=quay.io"),
    (QUAY + registry("proxy.example.com", more="blocked = true"), "endpoint-is-source", 5, "prefix proxy.example.com, at r.conf:8."),
    (registry("*.example.com", "proxy.example.com *", location=None), "endpoint-is-source", 4, "never for prefix *.example.com"),
    (registry("a.com", "p.com a.com") + registry("b.com", "p.com b.com"), "ambiguous-location", 5, "it stands for a.com, b.com (the second at r.conf:12)"),
    (registry("a.com", "p.com/a").replace("p.com/a\"", "p.com/a\"\ninsecure = true") + registry("b.com", "P.com/b"), "insecure-disputed", 5, "p.com:443 is insecure here and not at r.conf:12"),
]  # fmt: skip


def check(text: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    (directory / "r.conf").write_text(text)
    monkeypatch.chdir(directory)
    configuration = load(Sources(Path("r.conf")))
    return findings(configuration, RouteIndex(configuration.registries))


@pytest.mark.parametrize(("text", "code", "line", "words"), ROWS, ids=[f"{row[1]}-{row[3]}" for row in ROWS])
def test_what_is_odd_is_told_with_its_line(
    text: str, code: str, line: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [f for f in check(text, tmp_path, monkeypatch) if f.problem.code == code]
    assert [finding.problem.line for finding in found] == [line]
    assert words in str(found[0])
    assert code in CODES


@pytest.mark.parametrize(
    "text",
    [
        "",
        QUAY,
        registry("quay.io"),
        registry("docker.io", "p.com index.docker.io"),
        registry("docker.io", "p.com registry-1.docker.io"),
        registry("quay.io/coreos/etcd:v1", location="pinned.example.com/etcd:v2"),
        registry("quay.io", location="p.com/quay", more='namespace-proxy = "quay.io"'),
        registry("*", "p.com *", location=None) + registry("internal.example.net"),
        registry("*.quay.io", "p.com *", location=None),
        registry("localhost:5000/a"),
        registry("[::1]:5000"),
        registry("bad.example.com", more="blocked = true"),
        registry("quay.io/old", location="quay.io/new"),
        # The source first, then a proxy: asked again at the end, but in an order of its own.
        registry("quay.io", "quay.io", "p.com/quay quay.io"),
        # Not the same endpoint twice: one serves digests, the other tags.
        registry("quay.io", 'p.com quay.io pull-from-mirror="digest-only"', 'p.com quay.io pull-from-mirror="tag-only"'),
        '[[registry]]\nlocation = "a.com"\nsomething-of-podmans = 1\n',
    ],
)  # fmt: skip
def test_what_is_right_has_no_warning(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [str(finding) for finding in check(text, tmp_path, monkeypatch)] == []


def test_the_configurations_that_come_along_are_ambiguous_where_they_say_so_and_nothing_else() -> None:
    for path in CONFIG.glob("*.conf"):
        configuration = load(Sources(path))
        found = findings(configuration, RouteIndex(configuration.registries))
        assert {finding.problem.code for finding in found} <= {"ambiguous-location"}
        assert all(finding.problem.line is not None for finding in found)


# -- the command -------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("check", *arguments))


@pytest.fixture
def doubled(tmp_path: Path) -> str:
    path = tmp_path / "doubled.conf"
    path.write_text(TWICE)
    return str(path)


def test_a_good_configuration_is_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "good.conf"
    path.write_text(QUAY + registry("c.com"))
    result = run(str(path), "--strict")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}: 2 registries, 0 warnings\n", "")


def test_a_warning_is_a_line_that_editors_parse_and_fails_under_strict(doubled: str) -> None:
    result = run(doubled)
    assert result.stdout == f"{doubled}: 1 registry, 1 warning\n"
    assert result.stderr == (
        f"{doubled}:8: warning: mirror 2 is mirror 1 again (p.com/a); remove one of them [shadowed]\n"
    )
    assert result.exit_code == 0
    assert run(doubled, "--strict").exit_code == 1


def test_what_is_meant_so_can_be_left_out(doubled: str) -> None:
    result = run(doubled, "--strict", "--ignore", "shadowed")
    assert (result.exit_code, result.stderr) == (0, "")
    assert run(doubled, "--ignore", "bogus").exit_code == 2


def test_json_has_one_object_per_problem(doubled: str) -> None:
    result = run(doubled, "--json")
    assert json.loads(result.stdout) == {
        "file": doubled,
        "line": 8,
        "severity": "warning",
        "code": "shadowed",
        "message": "mirror 2 is mirror 1 again (p.com/a)",
        "hint": "remove one of them",
    }
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("text", "code", "line"), [("[[registry]]\n", "invalid", 1), ("a = \n", "not-toml", 1), (None, "unreadable", None)]
)
def test_what_does_not_load_is_an_error_and_exits_with_2(
    text: str | None, code: str, line: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "broken.conf"
    if text is not None:
        path.write_text(text)
    result = run(str(path), "--json")
    answer = json.loads(result.stdout)
    assert (answer["severity"], answer["code"], answer["line"]) == ("error", code, line)
    assert result.exit_code == 2
    place = f"{path}:{line}" if line is not None else str(path)
    assert run(str(path)).stderr.startswith(f"{place}: error: ")


def test_what_a_drop_in_replaces_is_a_note_and_no_warning(tmp_path: Path) -> None:
    main_file, drop_ins = tmp_path / "registries.conf", tmp_path / "d"
    main_file.write_text(QUAY)
    drop_ins.mkdir()
    (drop_ins / "1.conf").write_text(registry("quay.io", "other.example.com quay.io") + registry("c.com"))
    result = run(str(main_file), "--registries-conf-d", str(drop_ins), "--strict")
    assert result.stderr == (
        f"{main_file}:1: note: prefix quay.io is replaced by {drop_ins}/1.conf:1; this table has no effect [replaced]\n"
    )
    assert result.stdout == f"{main_file}, {drop_ins}/1.conf: 2 registries, 0 warnings, 1 note\n"
    assert result.exit_code == 0


def test_a_terminal_gets_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, color_system=None, width=60, record=True)
    show_findings(console, check(TWICE, tmp_path, monkeypatch))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert any(line.split() == ["where", "code", "what"] for line in lines)
    assert any(line.split()[:4] == ["r.conf:8", "shadowed", "mirror", "2"] for line in lines)
