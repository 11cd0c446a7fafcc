"""Setting up a client: what each recipe comes to, what is merged with, and what is refused."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from oci_ns import presence
from oci_ns.cli.main import main
from oci_ns.clients.address import parse_proxy
from oci_ns.clients.ca import ca_certificates
from oci_ns.clients.containerd import with_config_path
from oci_ns.clients.env import exports
from oci_ns.clients.files import Root
from oci_ns.clients.hosts_file import with_names
from oci_ns.clients.plan import MARK, File, Plan, SetupError
from oci_ns.clients.probe import probes, unreachable, wrong_ping, wrong_presence
from oci_ns.clients.recipes import PROXIES, RECIPES, Setup, check_address, check_recipe, covered, plan
from oci_ns.clients.registries import ClientRegistries, registries_of
from oci_ns.conf_files import parse_text
from oci_ns.fetch import Answer, FetchError, NoTlsError, NotTrustedError, UnreachableError
from oci_ns.index import RouteIndex

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TWO = ClientRegistries(("docker.io", "quay.io"))


class Machine(dict[str, str]):
    """Files in memory."""

    def text(self, path: str) -> str | None:
        return self.get(path)

    def names(self, directory: str) -> list[str]:
        below = (path.removeprefix(f"{directory}/") for path in self if path.startswith(f"{directory}/"))
        return sorted({path.partition("/")[0] for path in below})

    def exists(self, path: str) -> bool:
        return any(each == path or each.startswith(f"{path}/") for each in self)


def setup_of(client: str, recipe: str, registries: ClientRegistries = TWO, **more: Any) -> Setup:
    proxy = parse_proxy(PROXIES.get(recipe, PROXIES["mirror"]))
    return Setup(client, recipe, registries, proxy, certificates=CA, **more)


def planned(client: str, recipe: str, files: Machine | None = None, **more: Any) -> Plan:
    return plan(setup_of(client, recipe, **more), files if files is not None else Machine())


LISTENERS = {"quay.io": parse_proxy("http://127.0.0.1:8082")}
HOSTS = "/etc/hosts"
DOCKER_DROP_IN = "/etc/systemd/system/docker.service.d/ns-inject.conf"
STORE = "/usr/local/share/ca-certificates/ns-inject.crt"
REGISTRIES = "/etc/containers/registries.conf.d/ns-inject.conf"
ENGINE = "/etc/containers/containers.conf.d/ns-inject.conf"
CONFIG = "/etc/containerd/config.toml"
DAEMON = "/etc/docker/daemon.json"
HOSTS_BLOCK = "# ns-inject client: begin\n10.0.0.7 quay.io\n# ns-inject client: end\n"


def certs(directory: str) -> list[str]:
    return [f"{directory}/certs.d/{host}/ns-inject.crt" for host in TWO.hosts]


PLANS = [
    ("docker", "mirror", ["/etc/docker/daemon.json"], ["systemctl reload docker"]),
    ("docker", "https-proxy", [DOCKER_DROP_IN, STORE], ["update-ca-certificates", "systemctl daemon-reload"]),
    ("docker", "dns", [HOSTS, STORE], ["update-ca-certificates", "systemctl restart docker"]),
    ("podman", "mirror", [REGISTRIES], []),
    ("podman", "https-proxy", [ENGINE, *certs("/etc/containers")], []),
    ("podman", "dns", [HOSTS, *certs("/etc/containers")], []),
    ("containerd", "mirror", [*(f"/etc/containerd/certs.d/{host}/hosts.toml" for host in TWO.hosts), CONFIG], []),
    ("containerd", "dns", [HOSTS, *certs("/etc/containerd"), CONFIG], ["systemctl restart containerd"]),
    ("cri-o", "mirror", [REGISTRIES], ["systemctl restart crio"]),
    ("cri-o", "https-proxy", ["/etc/systemd/system/crio.service.d/ns-inject.conf", *certs("/etc/containers")], []),
]


@pytest.mark.parametrize(("client", "recipe", "paths", "commands"), PLANS)
def test_a_recipe_needs_these_files_and_commands(
    client: str, recipe: str, paths: list[str], commands: list[str]
) -> None:
    made = planned(client, recipe)
    assert [file.path for file in made.files] == paths
    assert set(commands) <= set(made.commands)


@pytest.mark.parametrize(("client", "recipe"), [(client, recipe) for client, recipe, *_ in PLANS])
def test_a_recipe_that_was_written_has_nothing_to_write(client: str, recipe: str) -> None:
    machine = Machine()
    machine |= {file.path: file.after or "" for file in planned(client, recipe, machine).files}
    assert {file.state for file in planned(client, recipe, machine).files} == {"unchanged"}


def test_a_recipe_takes_back_what_another_wrote_and_nothing_else() -> None:
    machine = Machine({"/etc/containers/registries.conf.d/other.conf": ""})
    machine |= {file.path: file.after or "" for file in planned("podman", "mirror", machine).files}
    removed = [file.path for file in planned("podman", "https-proxy", machine).files if file.state == "removed"]
    assert removed == [REGISTRIES]


BOTH = ["podman", "cri-o"]


def written(machine: Machine, client: str, recipe: str, **more: Any) -> Plan:
    """The plan, after it was carried out."""
    made = planned(client, recipe, machine, **more)
    for file in made.files:
        machine.pop(file.path, None)
        machine |= {file.path: file.after} if file.after is not None else {}
    return made


@pytest.mark.parametrize(("client", "other"), [BOTH, BOTH[::-1]])
@pytest.mark.parametrize("recipe", ["https-proxy", "dns"])
def test_the_mirrors_of_a_client_stay_where_another_takes_back_its_own(client: str, other: str, recipe: str) -> None:
    machine = Machine()
    written(machine, other, "mirror")
    before = machine[REGISTRIES]
    told = f"{REGISTRIES} is left for {other}: {client} reads it, too, and asks its mirrors first"
    assert told in written(machine, client, recipe).notes
    assert machine[REGISTRIES] == before
    # Nor where it was for both.
    written(machine, client, "mirror")
    assert {file.state for file in planned(other, "mirror", machine).files} == {"unchanged"}
    assert told in written(machine, client, recipe).notes
    assert machine[REGISTRIES] == before
    assert {file.state for file in planned(other, "mirror", machine).files} == {"unchanged"}
    written(machine, other, recipe)
    assert REGISTRIES not in machine


@pytest.mark.parametrize(("client", "other"), [BOTH, BOTH[::-1]])
def test_mirrors_that_change_for_another_client_too_are_said(client: str, other: str) -> None:
    machine = Machine()
    written(machine, other, "mirror")
    assert written(machine, client, "mirror").notes == ()
    (note,) = written(machine, client, "mirror", registries=ClientRegistries(("quay.io",))).notes
    assert note == f"{REGISTRIES} is for {other}, too, which goes by what is new in it once it is started anew"


def test_mirrors_that_name_no_client_are_left() -> None:
    machine = Machine({REGISTRIES: f"{MARK}\n"})
    assert f"{REGISTRIES} is left for whom it is:" in " ".join(written(machine, "podman", "https-proxy").notes)
    assert machine[REGISTRIES] == f"{MARK}\n"


def test_cri_o_is_started_anew_where_it_has_no_mirrors_any_more() -> None:
    machine = Machine()
    written(machine, "cri-o", "mirror")
    assert written(machine, "cri-o", "dns").commands == ("systemctl restart crio",)
    assert written(machine, "cri-o", "dns").commands == ()


@pytest.mark.parametrize(("client", "recipe"), [("docker", "dns"), ("containerd", "dns"), ("cri-o", "mirror")])
def test_a_service_is_started_anew_after_all_that_it_starts_with(client: str, recipe: str) -> None:
    machine = Machine()
    machine |= {file.path: file.after or "" for file in planned(client, "https-proxy", machine).files}
    *others, reload, restart = planned(client, recipe, machine).commands
    assert (reload, restart.split()[1]) == ("systemctl daemon-reload", "restart")
    assert all("systemctl" not in each for each in others)


@pytest.mark.parametrize(
    ("client", "recipe", "there", "note"),
    [
        (
            "docker",
            "https-proxy",
            {DAEMON: '{"registry-mirrors": ["http://x"]}'},
            "which docker.io is pulled from first",
        ),
        ("docker", "mirror", {STORE: CA}, f"trusted yet, and maybe by other clients, too: {STORE}: take out"),
        (
            "podman",
            "mirror",
            dict.fromkeys(certs("/etc/containers"), CA),
            f"too: {', '.join(certs('/etc/containers'))}:",
        ),
        ("podman", "mirror", {HOSTS: HOSTS_BLOCK}, "has names of the recipe dns yet"),
    ],
)
def test_what_another_recipe_left_among_other_things_is_said(
    client: str, recipe: str, there: dict[str, str], note: str
) -> None:
    assert any(note in each for each in planned(client, recipe, Machine(there)).notes)
    assert not any(note in each for each in planned(client, recipe).notes)


@pytest.mark.parametrize(
    ("client", "recipe", "registries", "note"),
    [
        ("docker", "mirror", TWO, "not through ns-inject: quay.io (https-proxy has all of them)"),
        ("podman", "mirror", ClientRegistries(("quay.io",), ("*",)), "not through ns-inject: * (https-proxy has all"),
        ("cri-o", "mirror", ClientRegistries(("a.com:5000", "quay.io")), "not through ns-inject: a.com:5000 (https-pr"),
        (
            "containerd",
            "mirror",
            replace(TWO, blocked=("quay.io/a",)),
            "blocked, but containerd goes on to the registry",
        ),
    ],
)
def test_what_a_recipe_does_not_do_is_said(client: str, recipe: str, registries: ClientRegistries, note: str) -> None:
    assert planned(client, recipe, registries=registries).notes[0].startswith(note)


def test_podman_gets_a_mirror_for_each_registry_and_what_is_blocked() -> None:
    made = planned("podman", "mirror", registries=ClientRegistries(("quay.io",), blocked=("quay.io/bad",)))
    assert tomllib.loads(made.files[0].after or "")["registry"] == [
        {
            "prefix": "quay.io",
            "location": "quay.io",
            "mirror": [{"location": "127.0.0.1:8081/quay.io", "insecure": True}],
        },
        {"prefix": "quay.io/bad", "location": "quay.io/bad", "blocked": True},
    ]


def test_podman_gets_the_listener_of_a_registry_as_its_mirror() -> None:
    made = planned("podman", "listener", listeners=LISTENERS)
    (registry,) = tomllib.loads(made.files[0].after or "")["registry"]
    assert registry["mirror"] == [{"location": "127.0.0.1:8082", "insecure": True}]


@pytest.mark.parametrize(("client", "host"), [("podman", "10.0.0.7"), ("docker", "10.0.0.7:443")])
def test_the_ca_of_a_mirror_is_where_the_client_looks_for_it(client: str, host: str) -> None:
    made = plan(replace(setup_of(client, "mirror"), proxy=parse_proxy("https://10.0.0.7")), Machine())
    directory = {"podman": "/etc/containers", "docker": "/etc/docker"}[client]
    assert made.files[1].path == f"{directory}/certs.d/{host}/ns-inject.crt"
    assert "insecure" not in (made.files[0].after or "")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://10.0.0.7:80", "10.0.0.7/quay.io"),
        ("http://localhost", "localhost/quay.io"),
        ("http://proxy", "proxy:80/quay.io"),
        ("https://proxy", "proxy:443/quay.io"),
    ],
)
def test_a_mirror_is_an_image_name_to_podman(url: str, location: str) -> None:
    # `proxy/quay.io` would be none: without dot and port it is a repository of Docker Hub.
    made = plan(replace(setup_of("podman", "mirror"), proxy=parse_proxy(url)), Machine())
    assert f'location = "{location}"' in (made.files[0].after or "")


@pytest.mark.parametrize("client", ["podman", "cri-o"])
def test_a_mirror_that_is_no_image_name_is_refused(client: str) -> None:
    with pytest.raises(SetupError, match="give a name"):
        plan(replace(setup_of(client, "mirror"), proxy=parse_proxy("http://[::1]:8081")), Machine())


def test_containers_of_podman_are_not_told_of_the_proxy() -> None:
    settings = tomllib.loads(planned("podman", "https-proxy").files[0].after or "")
    assert settings["engine"]["env"][0] == "HTTPS_PROXY=http://127.0.0.1:8080"
    assert settings["containers"] == {"http_proxy": False}


def test_containerd_asks_a_wildcards_registries_by_default_there() -> None:
    made = planned("containerd", "mirror", registries=ClientRegistries(("docker.io",), ("*.quay.io",)))
    hub, default = (tomllib.loads(file.after or "") for file in made.files[:2])
    mirror = {"http://127.0.0.1:8081": {"capabilities": ["pull", "resolve"]}}
    assert hub == {"server": "https://registry-1.docker.io", "host": mirror}
    assert default == {"host": mirror}


def test_a_certs_d_of_docker_that_podman_reads_is_not_hidden_from_it() -> None:
    machine = Machine({"/etc/docker/certs.d/quay.io/client.cert": "x"})
    paths = [file.path for file in planned("podman", "https-proxy", machine).files[1:]]
    assert paths == [certs("/etc/containers")[0], certs("/etc/docker")[1]]


@pytest.mark.parametrize("anchors", ["etc/pki/ca-trust/source/anchors", "usr/local/share/ca-certificates"])
@pytest.mark.parametrize("client", ["docker", "podman"])
def test_of_an_earlier_ca_nothing_stays(client: str, anchors: str, tmp_path: Path) -> None:
    (tmp_path / anchors).mkdir(parents=True)
    for certificates in ("an earlier one", CA):
        setup = replace(setup_of(client, "https-proxy"), certificates=certificates)
        Root(tmp_path).write(plan(setup, Root(tmp_path)).files, NOW)
    cas = [path for path in tmp_path.rglob("ns-inject.*") if not path.name.endswith(".conf")]
    assert {path.read_text() for path in cas} == {CA}
    assert {path.suffix for path in cas} <= {".crt", ".pem"}


@pytest.mark.parametrize(
    ("there", "path", "command"),
    [
        (
            "/etc/pki/ca-trust/source/anchors/README",
            "/etc/pki/ca-trust/source/anchors/ns-inject.pem",
            "update-ca-trust",
        ),
        ("/etc/pki/trust/anchors/README", "/etc/pki/trust/anchors/ns-inject.pem", "update-ca-certificates"),
        ("/usr/local/share/ca-certificates/x", STORE, "update-ca-certificates"),
    ],
)
def test_the_store_is_that_of_the_distribution(there: str, path: str, command: str) -> None:
    made = planned("docker", "https-proxy", Machine({there: ""}))
    assert path in [file.path for file in made.files]
    assert made.commands[0].startswith(command)


# -- what is there already ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, '{\n  "registry-mirrors": [\n    "URL"\n  ]\n}\n'),
        ("", '{\n  "registry-mirrors": [\n    "URL"\n  ]\n}\n'),
        ('{"registry-mirrors": ["URL/"], "a":1}', '{"registry-mirrors": ["URL/"], "a":1}'),
        (
            '{\n\t"z": "ä",\n\t"registry-mirrors": ["http://x", "URL"],\n\t"a": 1\n}',
            '{\n\t"z": "ä",\n\t"registry-mirrors": [\n\t\t"URL",\n\t\t"http://x"\n\t],\n\t"a": 1\n}\n',
        ),
    ],
)
def test_daemon_json_gets_the_mirror_and_keeps_the_rest(before: str | None, after: str) -> None:
    url = "http://127.0.0.1:8081"
    machine = Machine() if before is None else Machine({"/etc/docker/daemon.json": before.replace("URL", url)})
    assert planned("docker", "mirror", machine).files[0].after == after.replace("URL", url)


CRI_2 = '[plugins."io.containerd.grpc.v1.cri".registry]'
CRI_3 = "[plugins.'io.containerd.cri.v1.images'.registry]"
SET = 'config_path = "DIR"'


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", f"version = 2\n\n{CRI_2}\n  {SET}\n"),
        ("version = 2\n# mine\n", f"version = 2\n# mine\n\n{CRI_2}\n  {SET}\n"),
        (f"version = 3\n{CRI_3}\n config_path = '' # none\n", f"version = 3\n{CRI_3}\n {SET} # none\n"),
        (
            f"version = 2\n[plugins.a]\nconfig_path = ''\n{CRI_2} # here\n[x]\n",
            f"version = 2\n[plugins.a]\nconfig_path = ''\n{CRI_2} # here\n  {SET}\n[x]\n",
        ),
        ("disabled_plugins = []\n", f'disabled_plugins = []\n\n[plugins."cri".registry]\n  {SET}\n'),
        (
            f'version = 2\n{CRI_2}\nconfig_path = "/a:DIR"\n',
            f'version = 2\n{CRI_2}\nconfig_path = "/a:DIR"\n',
        ),
    ],
)
def test_config_toml_gets_one_line_and_keeps_every_other(before: str, expected: str) -> None:
    directory = "/etc/containerd/certs.d"
    assert with_config_path(before.replace("DIR", directory)) == expected.replace("DIR", directory)


DEEP = "[" * 20_000
NVIDIA = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]\nruntime_type = "x"\n'


@pytest.mark.parametrize(
    ("imports", "imported", "said"),
    [
        ("/etc/containerd/conf.d/*.toml", f"version = 2\n{NVIDIA}", r"conf\.d/a\.toml, which .* replaces that"),
        ("conf.d/a.toml", f'version = 2\n{CRI_2}\nconfig_path = "/other"\n', "replaces that"),
        ("conf.d/*.toml", "version = [", r"conf\.d/a\.toml:1: is not valid TOML"),
        ("conf.d/*.toml", "version = [2]", r"conf\.d/a\.toml has version = \[2\], which is not a whole number"),
        ("conf.d/*.toml", f"version = 2\n{CRI_2}\n{SET}\n", None),
        ("conf.d/*.toml", "version = 2\n[plugins.other]\na = 1\n", ""),
        ("elsewhere/*.toml", f"version = 2\n{NVIDIA}", ""),
    ],
)
def test_a_file_that_config_toml_imports_counts_before_it(imports: str, imported: str, said: str | None) -> None:
    # containerd 1.6 replaces the whole table of a plugin by that of an imported file.
    before = f'version = 2\nimports = ["{imports}"]\n'
    imported = imported.replace("DIR", "/etc/containerd/certs.d")
    machine = Machine({CONFIG: before, "/etc/containerd/conf.d/a.toml": imported})
    if said:
        with pytest.raises(SetupError, match=said):
            planned("containerd", "mirror", machine)
        return
    config = planned("containerd", "mirror", machine).files[2]
    assert (config.path, config.state) == (CONFIG, "unchanged" if said is None else "changed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = [", "is not valid TOML"),
        ("version = 9\n", "version = 9"),
        ("version = [2]\n", r"config\.toml has version = \[2\], which is not a whole number: correct it"),
        (f"version = {DEEP}\n", r"config\.toml: is not valid TOML: nested too deeply"),
        (f"[{'.'.join('a' * 3000)}]\n", "nested too deeply|by hand"),
        (
            "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs]\nx = 1\n",
            "configs has more than a table",
        ),
        ("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfigs = 1\n", "configs has more than a table"),
        ("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.x.tls]\n", "has mirrors or certificates"),
        ("version = 2\nplugins = 1\n", "is not a table"),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/a"\n', "add /etc/containerd"),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors.x]\nendpoint = []\n', "has mirrors"),
        ('version = 2\nplugins = {"io.containerd.grpc.v1.cri" = {a = 1}}\n', "by hand"),
    ],
)
def test_a_config_toml_that_cannot_be_given_it_is_left(text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        with_config_path(text)


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("127.0.0.1 localhost", ["quay.io"], f"127.0.0.1 localhost\n{HOSTS_BLOCK}"),
        (f"a b\n{HOSTS_BLOCK}c d\n", ["quay.io"], f"a b\n{HOSTS_BLOCK}c d\n"),
        (f"a b\n{HOSTS_BLOCK.replace('quay', 'old')}c d\n", ["quay.io"], f"a b\n{HOSTS_BLOCK}c d\n"),
        (f"a b\n{HOSTS_BLOCK}c d\n", [], "a b\nc d\n"),
        ("1.2.3.4 x # quay.io\n", ["quay.io"], f"1.2.3.4 x # quay.io\n{HOSTS_BLOCK}"),
    ],
)
def test_hosts_gets_a_block_of_its_own(before: str, names: list[str], after: str) -> None:
    assert with_names(before, "10.0.0.7", names) == after


DROP_IN_D = "/etc/systemd/system/docker.service.d"
CONFLICTS = [
    ("docker", "mirror", "/etc/docker/daemon.json", '{\n "a": 1,\n}', r"daemon\.json:[23]: is not valid JSON"),
    ("docker", "mirror", "/etc/docker/daemon.json", "[]", "is not a JSON object"),
    ("docker", "mirror", "/etc/docker/daemon.json", f'{{"a": {DEEP}{"]" * len(DEEP)}}}', r"json is nested too deeply"),
    ("docker", "https-proxy", "/etc/docker/daemon.json", DEEP, r"json is nested too deeply"),
    ("docker", "mirror", "/etc/docker/daemon.json", f'{{"a": {"1" * 5_000}}}', r"json: a number has too many digits"),
    ("docker", "mirror", "/etc/docker/daemon.json", '{"a": 1, "a": 2}', '"a" is there twice'),
    ("docker", "mirror", "/etc/docker/daemon.json", '{"registry-mirrors": "x"}', "is not a list"),
    ("docker", "https-proxy", "/etc/docker/daemon.json", '{"proxies": {"https-proxy": "http://x:1"}}', "wins over"),
    ("docker", "https-proxy", f"{DROP_IN_D}/a.conf", 'Environment="HTTPS_PROXY=http://x:1"', "chain ns-inject to it"),
    ("docker", "https-proxy", DOCKER_DROP_IN, "[Service]\n", "not from ns-inject"),
    ("podman", "mirror", REGISTRIES, "", "not from ns-inject"),
    ("podman", "mirror", "/etc/containers/registries.conf.d/z.conf", '[[registry]]\nprefix = "quay.io"', "comes after"),
    ("podman", "mirror", "/etc/containers/registries.conf", "[[", r"registries\.conf:1: is not valid TOML"),
    ("podman", "mirror", "/etc/containers/registries.conf", f"a = {DEEP}", "nested too deeply"),
    ("podman", "mirror", "/etc/containers/registries.conf", f"a = {'1' * 5_000}", "too many digits"),
    (
        "podman",
        "mirror",
        "/etc/containers/registries.conf",
        '[[registry]]\nprefix = ["x"]',
        r"conf has a registry \['x'\]",
    ),
    (
        "podman",
        "mirror",
        "/etc/containers/registries.conf",
        "[[registry]]\nlocation = {a = 1}",
        "which is not a string",
    ),
    ("podman", "https-proxy", "/etc/containers/containers.conf", f"a = {DEEP}", "nested too deeply"),
    ("containerd", "mirror", CONFIG, "imports = [[1]]", r"imports \[1\], which is no path"),
    ("podman", "https-proxy", "/etc/containers/containers.conf", '[engine]\nenv = ["A=b"]', "only one counts"),
    ("containerd", "mirror", "/etc/containerd/certs.d/quay.io/hosts.toml", 'server = "x"', "not from ns-inject"),
    ("containerd", "dns", "/etc/containerd/certs.d/quay.io/hosts.toml", 'server = "x"', "take it out"),
    ("podman", "dns", HOSTS, "1.2.3.4 a Quay.io\n", "has quay.io already"),
    ("podman", "dns", HOSTS, "# ns-inject client: begin\n", "without its end"),
]


@pytest.mark.parametrize(("client", "recipe", "path", "text", "said"), CONFLICTS)
def test_somebody_elses_file_is_refused_with_what_to_do(
    client: str, recipe: str, path: str, text: str, said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        planned(client, recipe, Machine({path: text}))


UNIT = "/usr/lib/systemd/system/docker.service"
DEFAULTS = "/etc/default/docker"
READS_DEFAULTS = {UNIT: f"[Service]\nEnvironmentFile=-{DEFAULTS}\nEnvironmentFile=-/etc/%N\n"}


@pytest.mark.parametrize(
    "there",
    [
        READS_DEFAULTS | {DEFAULTS: "HTTPS_PROXY='http://x:1'\n"},
        {UNIT: "[Service]\nEnvironment=A=b HTTPS_PROXY=http://x:1\n"},
        {f"{DROP_IN_D}/z.conf": 'Environment="A=b" \\\n  "https_proxy=http://x:1"\n'},
        {"/run/systemd/system/docker.service.d/a.conf": "Environment=HTTPS_PROXY=http://x:1\n"},
    ],
)
def test_another_proxy_is_found_wherever_a_service_has_it(there: dict[str, str]) -> None:
    with pytest.raises(SetupError, match=r"sets HTTPS_PROXY=http://x:1: .* chain ns-inject to it"):
        planned("docker", "https-proxy", Machine(there))


@pytest.mark.parametrize(
    ("there", "note"),
    [
        (READS_DEFAULTS | {DEFAULTS: "NO_PROXY=quay.io\n"}, f"{DEFAULTS} sets NO_PROXY=quay.io, which counts instead"),
        ({f"{DROP_IN_D}/z.conf": "Environment=NO_PROXY=quay.io\n"}, "counts instead"),
        ({f"{DROP_IN_D}/a.conf": "Environment=NO_PROXY=quay.io\n"}, "does not count any more: name what shall stay"),
        ({f"{DROP_IN_D}/z.conf": "# Environment=NO_PROXY=quay.io\nEnvironment=OTHER_NO_PROXY=x\n"}, None),
        (READS_DEFAULTS | {DEFAULTS: "# HTTPS_PROXY=http://x:1\nexport HTTPS_PROXY=http://x:1\n"}, None),
        ({DOCKER_DROP_IN: f'{MARK}\nEnvironment="NO_PROXY=old"\n'}, None),
        # The one in /etc hides that of the same name.
        ({f"{DROP_IN_D}/z.conf": "", f"{UNIT}.d/z.conf": "Environment=NO_PROXY=quay.io\n"}, None),
    ],
)
def test_what_counts_instead_of_a_drop_in_is_said(there: dict[str, str], note: str | None) -> None:
    notes = planned("docker", "https-proxy", Machine(there)).notes
    assert notes == () if note is None else note in notes[0]


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("quay.io", ["the entry for quay.io in /etc/containers/registries.conf is replaced by that in"]),
        ("quay.io/coreos", ["the entry for quay.io/coreos in /etc/containers/registries.conf is longer, and counts"]),
        ("quay.io.example.com", []),
        ("*.io", []),
    ],
)
def test_an_entry_that_counts_instead_or_not_any_more_is_said(prefix: str, said: list[str]) -> None:
    machine = Machine({"/etc/containers/registries.conf": f'[[registry]]\nprefix = "{prefix}"\nlocation = "x.io"\n'})
    notes = planned("podman", "mirror", machine).notes
    assert len(notes) == len(said)
    assert all(note.startswith(each) for note, each in zip(notes, said, strict=True))


# -- what is asked for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("HTTP://Proxy.Example.com/", "http://proxy.example.com:80"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_proxy_is_a_scheme_a_host_and_a_port(text: str, url: str) -> None:
    assert parse_proxy(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "127.0.0.1:8080",
            "socks5://x:1",
            "http://",
            "http://:80",
            "http://u:p@x:1",
            "http://x:1/path",
            "http://x?a",
        ),
        *('http://x"y', "http://x\ny", "http://x y", "http://x%41", "http://x:0", "http://x:70000", "http://[::z]:1"),
        *("http://$(id):1", "http://[1.2.3.4]:1", "http://é:1"),
    ],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        parse_proxy(text)


@pytest.mark.parametrize(("client", "recipe"), [("docker", "listener"), ("env", "dns"), ("env", "mirror")])
def test_a_recipe_that_makes_no_sense_names_those_that_do(client: str, recipe: str) -> None:
    with pytest.raises(SetupError, match=f"use {' or '.join(RECIPES[client])}"):
        check_recipe(client, recipe)


@pytest.mark.parametrize(
    ("recipe", "url"),
    [("https-proxy", "https://x:1"), ("dns", "https://x"), ("dns", "https://1.2.3.4:1"), ("dns", "http://1.2.3.4:443")],
)
def test_a_place_where_a_recipe_cannot_find_it_is_refused(recipe: str, url: str) -> None:
    with pytest.raises(SetupError, match=url):
        check_address(recipe, parse_proxy(url))


@pytest.mark.parametrize(
    ("client", "recipe", "registries"),
    [
        ("docker", "mirror", ClientRegistries(("quay.io",))),
        ("podman", "mirror", ClientRegistries((), ("*",))),
        ("podman", "mirror", ClientRegistries(("registry.example.com:5000",))),
        ("cri-o", "mirror", ClientRegistries(("registry.example.com:5000", "[::1]"))),
        ("podman", "dns", ClientRegistries(("registry.example.com:5000",))),
        ("docker", "https-proxy", ClientRegistries()),
    ],
)
def test_no_registry_to_set_up_is_an_error(client: str, recipe: str, registries: ClientRegistries) -> None:
    told = f": https-proxy has {registries.names}" if registries.names and client != "docker" else ""
    with pytest.raises(SetupError, match=f"{re.escape(told)}$"):
        covered(setup_of(client, recipe, registries))


def test_registries_are_whole_hosts_that_the_configuration_says_something_of() -> None:
    conf = """
    [[registry]]
    location = "itself.example.com"
    [[registry]]
    prefix = "quay.io/coreos"
    location = "proxy.example.com"
    [[registry]]
    prefix = "quay.io/bad"
    blocked = true
    location = "quay.io/bad"
    [[registry]]
    prefix = "index.docker.io"
    location = "proxy.example.com/hub"
    [[registry]]
    prefix = "*.example.org"
    [[registry.mirror]]
    location = "proxy.example.com"
    """
    document = parse_text(Path("x"), conf.encode())
    found = registries_of(RouteIndex(document.registries.values()).routes())
    assert found == ClientRegistries(("docker.io", "quay.io"), ("*.example.org",), ("quay.io/bad",))


def test_a_shell_reads_the_exports_whatever_the_file_is_called() -> None:
    text = exports("http://x:1", "a,b", "/it's/a ca.pem")
    assert "SSL_CERT_FILE='/it'\"'\"'s/a ca.pem'" in text
    assert text.startswith("export HTTPS_PROXY=http://x:1 ")


# -- the CA ------------------------------------------------------------------------------------------------------------


def test_of_a_file_only_the_ca_certificates_are_taken() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    assert ca_certificates(f"comment\n{pem}\nmore", "x.pem") == f"{pem.strip()}\n"


def test_a_file_that_is_not_only_a_cas_certificate_is_refused() -> None:
    authority = trustme.CA()
    server = authority.issue_cert("x.example.com")
    rows = {
        "has a private key": authority.cert_pem.bytes() + authority.private_key_pem.bytes(),
        "a server's certificate": server.cert_chain_pems[0].bytes(),
        "has no certificate": b"nothing",
        "is not a certificate": CA.encode(),
    }
    for said, pem in rows.items():
        with pytest.raises(SetupError, match=said):
            ca_certificates(pem.decode(), "x.pem")


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_its_mode_and_a_backup_kept(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "x"
    file.write_text("old")
    file.chmod(0o640)
    (tmp_path / "etc" / "x.bak-20240506070809").write_text("an earlier one")
    (written,) = Root(tmp_path).write([File("/etc/x", "old", "new"), File("/etc/y", "same", "same")], NOW)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert written.backup == tmp_path / "etc" / "x.bak-20240506070809-1"
    assert (written.backup.read_text(), written.backup.stat().st_mode & 0o777) == ("old", 0o640)
    assert (tmp_path / "etc" / "x.bak-20240506070809").read_text() == "an earlier one"
    assert len(list((tmp_path / "etc").iterdir())) == 3


def test_a_new_file_is_for_everybody_to_read(tmp_path: Path) -> None:
    Root(tmp_path).write([File("/etc/a/b/x", None, "new")], NOW)
    modes = [(tmp_path / path).stat().st_mode & 0o777 for path in ("etc", "etc/a/b", "etc/a/b/x")]
    assert modes == [0o755, 0o755, 0o644]


@pytest.mark.parametrize("step", ["shutil.copy2", "os.chown", "oci_ns.clients.files.replace_file"])
def test_of_a_file_that_cannot_be_written_there_is_no_backup(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(step, refuse)
    with pytest.raises(SetupError, match="/x cannot be written: Device or resource busy"):
        Root(tmp_path).write([File("/x", "old", "new")], NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_link_is_followed_within_the_root_and_not_out_of_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "etc").mkdir(parents=True)
    outside.write_text("theirs")
    (root / "etc" / "real").write_text("old")
    (root / "etc" / "link").symlink_to("real")
    (root / "etc" / "out").symlink_to(outside)
    Root(root).write([File("/etc/link", "old", "new")], NOW)
    assert (root / "etc" / "link").is_symlink()
    assert (root / "etc" / "real").read_text() == "new"
    with pytest.raises(SetupError, match="leads out of"):
        Root(root).text("/etc/out")


def test_what_is_not_for_us_to_see_is_an_error_and_no_reason_to_fail_for_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(SetupError, match="/etc/x cannot be read: Permission denied"):
        Root(tmp_path).exists("/etc/x")
    assert plan(setup_of("podman", "mirror"), Root(tmp_path)).notes == ()


def test_a_file_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("newer")
    with pytest.raises(SetupError, match="changed meanwhile: run this again$"):
        Root(tmp_path).write([File("/x", "old", "new")], NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/x", "/x has changed meanwhile: run this again; written before: /a, /b"),
        ("/out", "give the file itself; written before: /a, /b"),
        ("/x/below", "/x/below cannot be read: Not a directory; written before: /a, /b"),
    ],
)
def test_what_was_written_before_one_that_cannot_be_is_said(path: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("newer")
    (tmp_path / "out").symlink_to("/etc/passwd")
    files = [File("/a", None, "1"), File("/b", None, "2"), File(path, "old", "new")]
    with pytest.raises(SetupError, match=f"{said}$"):
        Root(tmp_path).write(files, NOW)


def test_a_file_that_is_removed_is_kept_as_a_backup(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(MARK)
    Root(tmp_path).write([File("/x", MARK, None)], NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["x.bak-20240506070809"]


# -- what is asked, and what the answers mean --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "recipe", "urls"),
    [
        ("docker", "mirror", ["http://127.0.0.1:8081/v2/"]),
        ("podman", "mirror", ["http://127.0.0.1:8081/v2/"]),
        ("cri-o", "mirror", ["http://127.0.0.1:8081/v2/"]),
        ("containerd", "mirror", [f"http://127.0.0.1:8081/v2/?ns={host}" for host in TWO.hosts]),
        ("podman", "listener", ["http://127.0.0.1:8082/v2/"]),
        ("podman", "https-proxy", ["https://registry-1.docker.io/v2/", "https://quay.io/v2/"]),
        ("podman", "dns", ["https://registry-1.docker.io/v2/", "https://quay.io/v2/"]),
    ],
)
def test_ns_inject_is_asked_as_the_client_asks(client: str, recipe: str, urls: list[str]) -> None:
    setup = setup_of(client, recipe, listeners=LISTENERS if recipe == "listener" else {})
    assert [probe.ping.url for probe in probes(setup, covered(setup))] == urls


PROBE = probes(setup_of("podman", "https-proxy"), ("quay.io",))[0]


@pytest.mark.parametrize(
    ("error", "unverified", "said"),
    [
        (
            UnreachableError("the upstream proxy 127.0.0.1:8080: refused"),
            None,
            "http://127.0.0.1:8080: refused: start ns-inj",
        ),
        (
            UnreachableError("the upstream proxy 127.0.0.1:8080 answers 400 Bad"),
            None,
            "8080 answers 400 Bad, asked to let",
        ),
        (NotTrustedError("not trusted"), True, "another CA's certificate"),
        (NotTrustedError("not trusted"), False, "quay.io: is that in the configuration"),
        (NoTlsError("closed"), None, "quay.io: is that in the configuration"),
        (FetchError("no answer within 35 s"), None, "quay.io by http://127.0.0.1:8080: no answer within 35 s"),
    ],
)
def test_no_answer_is_told_with_what_to_do(error: FetchError, unverified: bool | None, said: str) -> None:
    assert said in unreachable(PROBE, error, unverified=unverified)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"{}", None),
        (401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', None),
        (200, b'{"errors": [{"code": "UNAVAILABLE", "message": "no endpoint"}]}', "answers UNAVAILABLE: no endpoint:"),
        (
            502,
            b'{"errors": [{"code": "UNAVAILABLE", "message": "no endpoint"}]}',
            "answers 502 UNAVAILABLE: no endpoint:",
        ),
        (404, b"<html>", "answers 404 Some Reason:"),
    ],
)
def test_an_answer_to_the_ping_is_judged(status: int, body: bytes, said: str | None) -> None:
    wrong = wrong_ping(PROBE, Answer(status, "Some Reason", (), body))
    assert wrong is None if said is None else said in (wrong or "")


AT_LISTENER = probes(setup_of("podman", "mirror"), ("quay.io",))[0]


def test_a_listener_that_is_none_is_told() -> None:
    assert "is it http://127.0.0.1:8081?" in unreachable(AT_LISTENER, NoTlsError("closed"), unverified=None)
    assert "--mode reverse:URL" in (wrong_ping(AT_LISTENER, Answer(502, "Bad Gateway", (), b"")) or "")
    assert "--mode" not in (wrong_ping(PROBE, Answer(502, "Bad Gateway", (), b"")) or "")


@pytest.mark.parametrize(
    ("status", "body", "there"),
    [
        (200, presence.answer(), True),
        (404, presence.answer(), False),
        (200, b"{}", False),
        (200, b"[", False),
        (200, b"3", False),
    ],
)
def test_only_ns_inject_says_that_it_is_there(status: int, body: bytes, there: bool) -> None:
    assert (wrong_presence(PROBE, Answer(status, "", (), body)) is None) == there


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def conf(tmp_path: Path) -> str:
    file = tmp_path / "r.conf"
    file.write_text('[[registry]]\nprefix = "quay.io"\nlocation = "proxy.example.com"\nnamespace-proxy = "quay.io"\n')
    return f"--registries-conf={file}"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["client", *arguments], prog_name="ns-inject")
    return result.exit_code, result.stdout, result.stderr


def test_the_files_are_printed_and_not_written(tmp_path: Path, conf: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    status, out, _ = run("podman", conf, f"--root={root}")
    assert status == 0
    assert out.startswith(
        "==> /etc/containers/registries.conf.d/ns-inject.conf (new) <==\n# Written by ns-inject client"
    )
    assert list(root.iterdir()) == []


def test_a_ca_that_the_system_has_not_taken_up_is_told(tmp_path: Path, conf: str) -> None:
    (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    docker = ["docker", conf, f"--root={tmp_path}", f"--ca={tmp_path / 'ca.pem'}", "--proxy=http://127.0.0.1:1"]
    conf_text = (tmp_path / "r.conf").read_text()
    (tmp_path / "r.conf").write_text(conf_text.replace("quay.io", "docker.io"))
    assert run(*docker, "--write")[0] == 0
    said = f"{STORE} is not in /etc/ssl/certs/ca-certificates.crt: run update-ca-certificates\n"
    assert said in run(*docker, "--check")[2]
    bundle = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(f"# others\n{(tmp_path / STORE[1:]).read_text()}")
    assert said not in run(*docker, "--check")[2]


def test_nothing_is_written_where_one_file_cannot_be_merged(tmp_path: Path, conf: str) -> None:
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text(json.dumps({"proxies": {"https-proxy": "http://x:1"}}))
    (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run("docker", conf, f"--root={tmp_path}", f"--ca={tmp_path / 'ca.pem'}", "--write")
    assert (status, err.startswith("Error: /etc/docker/daemon.json: ")) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("docker", "--recipe=listener"), "use https-proxy or mirror or dns"),
        (("podman", "--proxy=http://x/y"), "more than scheme, host and port"),
        (("podman", "--recipe=listener"), "needs --listener REGISTRY=URL"),
        (("podman", "--listener=quay.io"), "is not REGISTRY=URL"),
        (("podman", "--recipe=dns", "--listener=quay.io=http://x:1"), "is for the recipe listener"),
        (("docker", "--no-proxy=a b"), "is not a list of hosts"),
        (("docker", "--ca=~nouser/ca.pem"), "~nouser/ca.pem cannot be read: No such file or directory"),
        (("podman", "--registries-conf=~nouser/x"), "~nouser/x: cannot be read: No such file or directory"),
        (("docker", "--ca=/nowhere/ca.pem"), "/nowhere/ca.pem cannot be read: No such file or directory"),
        (("env", "--write"), "do not go together"),
        (("podman", "--write", "--check"), "do not go together"),
        (("podman", "--registries-conf=system"), "asks itself"),
        (("podman", "--registries-conf=/nowhere"), "/nowhere"),
        (("rkt",), "is not one of 'docker', 'podman', 'containerd', 'cri-o', 'env'"),
    ],
)
def test_a_slip_is_told_and_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    status, _, err = run(*arguments)
    assert (status, said in " ".join(err.split())) == (2, True), err
