"""`ns-inject export` with an engine that notes what it is told: streams, exit codes, files, and each mistake."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oci_ns.cli.export import ENGINES
from oci_ns.cli.main import main
from oci_ns.export.contract import Exported, Listen, NotCarried, NotCarriedError, Settings
from oci_ns.export.tabulation import Address, Tabulation

CONF = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "proxy.example.com"
namespace-proxy = "quay.io"
"""
LEFT_OUT = NotCarried("insecure", "it always verifies", "registries.conf:5")


class Engine:
    """Exports what `make` says, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tabulation, Settings]] = []
        self.make: Callable[[Settings], Exported] = lambda settings: Exported({"fake.conf": f"in {settings.directory}"})

    def export(self, tabulation: Tabulation, settings: Settings) -> Exported:
        self.asked.append((tabulation, settings))
        return self.make(settings)

    @property
    def tabulation(self) -> Tabulation:
        return self.asked[-1][0]

    @property
    def settings(self) -> Settings:
        return self.asked[-1][1]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setitem(sys.modules, "oci_ns.export.nginx.config", SimpleNamespace(export=found.export))
    return found


@pytest.fixture
def run(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    assert engine
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        main, ["export", "nginx", "--registries-conf", str(conf), *arguments], catch_exceptions=False
    )


Run = Callable[..., Result]


def test_a_single_file_goes_to_standard_output(run: Run, tmp_path: Path) -> None:
    result = run()
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"in {tmp_path}", "")


def test_an_engine_that_needs_several_files_says_so(run: Run, engine: Engine) -> None:
    engine.make = lambda _: Exported({"main.conf": "1", "a.map": "2"})
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nginx needs several files (main.conf, a.map): give a directory with --output" in result.stderr


@pytest.mark.parametrize("output", ["new.conf", "old.conf"])
def test_a_single_file_is_written_where_it_is_wanted(output: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.conf").write_text("what was there")
    result = run("-o", output)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"written: {tmp_path / output}\n")
    assert (tmp_path / output).read_text() == f"in {tmp_path}"
    assert sorted(os.listdir(tmp_path)) == sorted({"old.conf", "registries.conf", output})


@pytest.mark.parametrize("output", ["there", "new/", "new/deep/"])
def test_a_directory_gets_every_file(output: str, run: Run, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    engine.make = lambda settings: Exported({"main.conf": f"in {settings.directory}\r\n", "a.map": "caf\udce9"})
    result = run("-o", output)
    directory = tmp_path / output.rstrip("/")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (directory / "main.conf").read_bytes() == f"in {directory}\r\n".encode()
    assert (directory / "a.map").read_bytes() == b"caf\xe9"
    assert (directory / "main.conf").stat().st_mode & 0o777 == 0o644


def test_a_single_file_has_its_own_name_in_a_directory(run: Run, tmp_path: Path) -> None:
    run("-o", "there/")
    assert (tmp_path / "there" / "fake.conf").read_text() == f"in {tmp_path / 'there'}"


def test_a_dash_is_standard_output(run: Run, tmp_path: Path) -> None:
    result = run("-o", "-")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"in {tmp_path}", "")
    assert os.listdir(tmp_path) == ["registries.conf"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    there, link = tmp_path / "there" / "real.conf", tmp_path / "link.conf"
    there.write_text("what was there")
    there.chmod(0o640)
    link.symlink_to("there/real.conf")
    assert run("-o", "link.conf").exit_code == 0
    assert link.is_symlink()
    assert there.read_text() == f"in {tmp_path}"
    assert there.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_written_to_and_stays(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open at both ends, so that nobody waits for the other.
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        assert run("-o", "pipe").exit_code == 0
        assert pipe.is_fifo()
        assert os.read(descriptor, 1000).decode() == f"in {tmp_path}"
    finally:
        os.close(descriptor)


def test_several_files_are_not_written_over_one(run: Run, engine: Engine, tmp_path: Path) -> None:
    engine.make = lambda _: Exported({"main.conf": "1", "a.map": "2"})
    (tmp_path / "file").write_text("what was there")
    result = run("-o", "file")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'file'} cannot be written: File exists\n")
    assert (tmp_path / "file").read_text() == "what was there"


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key", "--ca"])
def test_a_file_that_the_engine_will_miss_is_noted(option: str, run: Run, tmp_path: Path) -> None:
    files = {"--tls-cert": tmp_path / "c.pem", "--tls-key": tmp_path / "k.pem", "--ca": tmp_path / "a.pem"}
    arguments = [str(word) for pair in files.items() for word in pair]
    for other, file in files.items():
        if other != option:
            file.write_text("")
    result = run(*arguments)
    expected = f"note: there is no {files[option]} here: the engine does not start without it\n"
    assert (result.exit_code, result.stderr) == (0, expected)
    files[option].write_text("")
    assert run(*arguments).stderr == ""


def test_where_nothing_can_be_written_that_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("-o", "file/below")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'file'} cannot be written: File exists\n"


# -- what is not carried -----------------------------------------------------------------------------------------------


def refuse(settings: Settings) -> Exported:
    if not settings.allow_partial:
        raise NotCarriedError([LEFT_OUT])
    return Exported({"fake.conf": "# left out"}, (LEFT_OUT,))


def test_what_is_not_carried_is_an_error(run: Run, engine: Engine, tmp_path: Path) -> None:
    engine.make = refuse
    result = run("-o", "out.conf")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: registries.conf:5: insecure: it always verifies\n"
    assert not (tmp_path / "out.conf").exists()


def test_what_is_not_carried_is_a_warning_where_that_is_allowed(run: Run, engine: Engine) -> None:
    engine.make = refuse
    result = run("--allow-partial")
    assert (result.exit_code, result.stdout) == (0, "# left out")
    assert result.stderr == "left out: registries.conf:5: insecure: it always verifies\n"


def test_what_can_never_be_left_out_is_an_error_all_the_same(run: Run, engine: Engine) -> None:
    def always(_: Settings) -> Exported:
        raise NotCarriedError([LEFT_OUT])

    engine.make = always
    result = run("--allow-partial")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "assignment",
    ["ns_blobs=redirect", "ns_authfile=a.json", "ns_certs_d=/etc", "ns_upstream_timeout=9", "ns_remember=9"]
    + ["ns_verify_blobs=true", "ns_log_json=log", "ns_metrics=metrics"],
)
def test_an_option_that_no_engine_has_is_told_to_the_engine(assignment: str, run: Run, engine: Engine) -> None:
    run("--set", assignment)
    (told,) = engine.settings.without_form
    assert told.rule == assignment


@pytest.mark.parametrize("name", ENGINES)
def test_an_option_that_no_engine_has_is_an_error_or_a_comment(name: str, tmp_path: Path) -> None:
    (tmp_path / "registries.conf").write_text(CONF)
    arguments = ["export", name, "--registries-conf", str(tmp_path / "registries.conf"), "--set", "ns_blobs=redirect"]
    refused = CliRunner().invoke(main, [*arguments, "-o", f"{tmp_path}/refused/"])
    assert (refused.exit_code, refused.stderr.partition("=")[0]) == (1, "error: ns_blobs")
    assert not (tmp_path / "refused").exists()
    allowed = CliRunner().invoke(main, [*arguments, "--allow-partial", "-o", f"{tmp_path}/allowed/"])
    assert (allowed.exit_code, allowed.stderr.partition("=")[0]) == (0, "left out: ns_blobs")
    (main_file,) = [each for each in (tmp_path / "allowed").iterdir() if each.suffix in (".conf", ".cfg", ".yaml")]
    (comment,) = [line for line in main_file.read_text().splitlines() if "ns_blobs=redirect" in line]
    assert comment.lower().startswith("# left out: ns_blobs=redirect: ")


@pytest.mark.parametrize("assignment", ["ns_hook_table=false", "ns_blobs=stream", "ns_default=docker.io"])
def test_other_options_are(assignment: str, run: Run) -> None:
    assert run("--set", assignment).exit_code == 0


# -- what the engine is told -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {"listen": (Listen("127.0.0.1", 5000),), "certificate": "", "key": "", "destination": None}),
        (["--listen", "80", "--listen", "[::1]:81"], {"listen": (Listen("", 80), Listen("::1", 81))}),
        (["--listen", "80", "--listen", "80"], {"listen": (Listen("", 80),)}),
        (["--tls-cert", "/c.pem", "--tls-key", "/k.pem"], {"certificate": "/c.pem", "key": "/k.pem"}),
        (["--destination", "http://p.example.com"], {"destination": Address("http", "p.example.com", 80)}),
        (["--destination", "https://[::1]:5000/"], {"destination": Address("https", "::1", 5000)}),
        (["--ca", "/ca.pem"], {"authorities": "/ca.pem"}),
        ([], {"authorities": "/etc/ssl/certs/ca-certificates.crt"}),
        (["--resolver", "10.0.0.53", "--resolver", "[::1]:54"], {"resolvers": ("10.0.0.53:53", "[::1]:54")}),
        (["--set", "ns_connect_timeout=2"], {"connect_seconds": 2, "response_seconds": 30}),
        (["--set", "ns_response_timeout=3"], {"connect_seconds": 5, "response_seconds": 3}),
        (["--allow-partial"], {"allow_partial": True}),
        ([], {"allow_partial": False}),
    ],
)
def test_the_engine_is_told(arguments: list[str], settings: dict[str, Any], run: Run, engine: Engine) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert {name: getattr(engine.settings, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("arguments", "scheme", "hosts"),
    [
        ([], "http", ["quay.io", "proxy.example.com"]),
        (["--tls-cert", "c.pem"], "https", ["quay.io", "proxy.example.com"]),
        (
            ["--destination", "https://nobody.example.net"],
            "https",
            ["quay.io", "proxy.example.com", "nobody.example.net"],
        ),
        (
            ["--tls-cert", "c.pem", "--destination", "http://proxy.example.com"],
            "http",
            ["quay.io", "proxy.example.com"],
        ),
        (["--destination", "https://index.docker.io"], "https", ["quay.io", "proxy.example.com", "docker.io"]),
    ],
)
def test_the_table_is_of_requests_as_they_come(
    arguments: list[str], scheme: str, hosts: list[str], run: Run, engine: Engine
) -> None:
    assert run(*arguments).exit_code == 0
    assert engine.tabulation.scheme == scheme
    assert list(engine.tabulation.hosts) == hosts


def test_the_options_of_the_decision_are_in_the_table(run: Run, engine: Engine) -> None:
    run("--set", "ns_client_namespace=override")
    assert not engine.tabulation.reads_namespaces


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--listen", "x"], "'x' is not [HOST:]PORT"),
        (["--listen", "0"], "'0' is not [HOST:]PORT"),
        (["--listen", "65536"], "'65536' is not [HOST:]PORT"),
        (["--listen", "localhost:80"], "'localhost' is not an IP address"),
        (["--listen", "::1:80"], "'::1' is not an IP address"),
        (["--listen", "[127.0.0.1]:80"], "'[127.0.0.1]' is not an IP address"),
        (["--listen", ":80"], "'' is not an IP address"),
        (["--destination", "proxy.example.com"], "is not an http or https URL"),
        (["--destination", "https://proxy.example.com/v2/"], "has more than scheme, host and port"),
        (["--destination", "https://proxy.example.com/?x"], "has more than scheme, host and port"),
        (["--destination", "https://u:secret@proxy.example.com"], "a user name or password"),
        (["--resolver", "not a host"], "'not a host' is not a host"),
        (["--resolver", "dns.example.com"], "'dns.example.com' is not the IP address of a name server"),
        (["--tls-key", "k.pem"], "give --tls-cert, too"),
        (["--set", "ns_default=a b"], "ns_default"),
        (["--set", "ns_connect_timeout=0"], "ns_connect_timeout"),
        (["--set", "ns_blobs=x"], "ns_blobs"),
        (["--set", "nothing=1"], "is not one of"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], reason: str, run: Run, engine: Engine) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, engine.asked) == (2, "", [])
    assert reason in " ".join(result.stderr.split())
    assert "secret" not in result.stderr


def test_what_the_engine_cannot_write_down_is_a_mistake(run: Run, engine: Engine) -> None:
    def reject(_: Settings) -> Exported:
        raise ValueError("there is no way to write this")

    engine.make = reject
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no way to write this" in result.stderr


def test_an_unknown_engine_is_a_mistake() -> None:
    result = CliRunner().invoke(main, ["export", "apache"])
    assert result.exit_code == 2
    assert "'envoy', 'haproxy', 'nginx'" in result.stderr


def test_a_configuration_that_does_not_load_exits_with_2_and_every_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("[[registry]]\n[[registry]]\n")
    result = CliRunner().invoke(main, ["export", "envoy", "--registries-conf", str(broken)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(" ")[0] for line in result.stderr.splitlines()] == [f"{broken}:1:", f"{broken}:2:"]
