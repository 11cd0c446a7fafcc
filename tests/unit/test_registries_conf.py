"""Broken configurations and the exact message for each; what only warrants a warning; which files are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_ns.conf_files import DEFAULT_CONF, FILE_SIZE_MAX, Sources, find_sources, load, parse_text
from oci_ns.problems import ConfigurationError
from oci_ns.registries_conf import PullFromMirror

CONF = Path("r.conf")
SHA = "sha256:" + "9f" * 32

BROKEN = {
    'a = [\n': "r.conf:2: is not valid TOML: Invalid value",
    f"a = {'1' * 5000}\n": "r.conf: is not valid TOML: a number has too many digits",
    f"[[registry]]\nlocation = 0x{'f' * 5000}\n": (
        "r.conf:2: [[registry]] 1 (this int): location must be a string, not this int"
    ),
    '[aliases]\n"a\\nb\\u001b[31m" = 1\n': "r.conf:1: the alias a\\nb\\x1b[31m must be a string, not 1",
    '[[registry]]\nlocation = "a.com"\n[[registry.Mirror]]\nlocation = 5\n': (
        "r.conf:4: [[registry]] 1 (a.com), mirror 1: location must be a string, not 5"
    ),
    '[[registry]\nlocation = "a.com"\n': (
        "r.conf:1: is not valid TOML: Expected ']]' at the end of an array declaration"
    ),
    '[[registry]]\nlocation = "a.com"\nlocation = "b.com"\n': (
        "r.conf:3: is not valid TOML: Cannot overwrite a value"
    ),
    '\n[[registry]]\nblocked = true\n': (
        "r.conf:2: [[registry]] 1: has neither a location nor a prefix; give it at least a location"
    ),
    '[[registry]]\nprefix = "a.com"\n': (
        "r.conf:2: [[registry]] 1 (a.com): has no location; only the prefixes *.example.com and * may go without one"
    ),
    '[[registry]]\nlocation = "a.com"\n\n[[registry]]\nlocation = "https://b.com"\n': (
        'r.conf:5: [[registry]] 2 (https://b.com): location "https://b.com" has a scheme; '
        "write host[:port][/path], and plain-http = true for http"
    ),
    '[[registry]]\nprefix = "http://a.com"\nlocation = "b.com"\n': (
        'r.conf:2: [[registry]] 1 (http://a.com): prefix "http://a.com" has a scheme; '
        "write host[:port][/path], and plain-http = true for http"
    ),
    '[[registry]]\nprefix = "*.a.com/b"\nlocation = "c.com"\n': (
        'r.conf:2: [[registry]] 1 (*.a.com/b): prefix "*.a.com/b": '
        "behind *. only a host name is allowed, no port, path or tag"
    ),
    '[[registry]]\nprefix = "*.a.com:5000"\nlocation = "c.com"\n': (
        'r.conf:2: [[registry]] 1 (*.a.com:5000): prefix "*.a.com:5000": '
        "behind *. only a host name is allowed, no port, path or tag"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\ninsecure = true\n': (
        "r.conf:3: [[registry]] 1 (a.com), mirror 1: has no location; a mirror needs one"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\npull-from-mirror = "never"\n': (
        'r.conf:5: [[registry]] 1 (a.com), mirror 1: pull-from-mirror "never" is not one of all, digest-only, tag-only'
    ),
    '[[registry]]\nlocation = "a.com"\npull-from-mirror = "all"\n': (
        "r.conf:3: [[registry]] 1 (a.com): pull-from-mirror is for a [[registry.mirror]], not for the registry itself"
    ),
    '[[registry]]\nlocation = "a.com"\nmirror-by-digest-only = true\n'
    '[[registry.mirror]]\nlocation = "b.com"\npull-from-mirror = "all"\n': (
        "r.conf:6: [[registry]] 1 (a.com), mirror 1: "
        "pull-from-mirror cannot be combined with the registry's mirror-by-digest-only"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\nnamespace-proxy = 5\n': (
        "r.conf:5: [[registry]] 1 (a.com), mirror 1: namespace-proxy must be a string, not 5"
    ),
    '[[registry]]\nlocation = "a.com"\nplain-http = "yes"\n': (
        "r.conf:3: [[registry]] 1 (a.com): plain-http must be true or false, not 'yes'"
    ),
    '[registry]\nlocation = "a.com"\n': "r.conf:1: registry must be an array, not {'location': 'a.com'}",
    'registry = ["a.com"]\n': "r.conf:1: registry must be an array of tables, not 'a.com'",
    'registry = [{location = "a.com", blocked = 1}]\n': (
        "r.conf: [[registry]] 1 (a.com): blocked must be true or false, not 1"
    ),
    '[[registry]]\nlocation = "a.com"\nblocked = true\n[[registry]]\nprefix = "b.com"\nlocation = "a.com"\n': (
        'r.conf:4: location "a.com" is blocked here and not at r.conf:1, or the reverse; choose one'
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry]]\nprefix = "b.com"\nlocation = "a.com"\ninsecure = true\n': (
        'r.conf:3: location "a.com" is insecure here and not at r.conf:1, or the reverse; choose one'
    ),
    '[registries.search]\nregistries = ["a.com"]\n': (
        "r.conf:1: [registries.*] is version 1 of this format; write [[registry]] tables (version 2)"
    ),
    '[[registries]]\nlocation = "a.com"\n': "r.conf:1: registries must be a table, not [{'location': 'a.com'}]",
    'unqualified-search-registries = ["a.com/b"]\n': (
        'r.conf:1: unqualified-search-registries: "a.com/b" is not a host[:port]'
    ),
    'credential-helpers = [1]\n': "r.conf:1: credential-helpers must be an array of strings, not 1",
    '[[ registry ]]\nlocation = "a.com"\n[[registry]]\nlocation = "https://b.com"\n': (
        'r.conf:4: [[registry]] 2 (https://b.com): location "https://b.com" has a scheme; '
        "write host[:port][/path], and plain-http = true for http"
    ),
    'unqualified-search-registries = [1]\n': (
        "r.conf:1: unqualified-search-registries must be an array of strings, not 1"
    ),
    'Short-Name-Mode = "perhaps"\n': (
        'r.conf:1: short-name-mode "perhaps" is not one of disabled, enforcing, permissive'
    ),
    'short-name-mode = "maybe"\n': (
        'r.conf:1: short-name-mode "maybe" is not one of disabled, enforcing, permissive'
    ),
    '[aliases]\nnginx = 1\n': "r.conf:1: the alias nginx must be a string, not 1",
    '[aliases]\n"a.com/x" = "b.com/x"\n': "r.conf:1: the alias a.com/x must be a name without registry, tag or digest",
    '[aliases]\n"x:1" = "b.com/x"\n': "r.conf:1: the alias x:1 must be a name without registry, tag or digest",
    f'[aliases]\n"x@{SHA}" = "b.com/x"\n': (
        f"r.conf:1: the alias x@{SHA} must be a name without registry, tag or digest"
    ),
    '[aliases]\nx = "b/x"\n': (
        'r.conf:1: the alias x = "b/x" must name a registry and repository, without tag or digest'
    ),
    '[aliases]\nx = "b/c.d/e"\n': (
        'r.conf:1: the alias x = "b/c.d/e" must name a registry and repository, without tag or digest'
    ),
    '[aliases]\nx = "b.com"\n': (
        'r.conf:1: the alias x = "b.com" must name a registry and repository, without tag or digest'
    ),
    f'[aliases]\nx = "b.com/x@{SHA}"\n': (
        f'r.conf:1: the alias x = "b.com/x@{SHA}" must name a registry and repository, without tag or digest'
    ),
    '[aliases]\nx = "b.com/x:1"\n': (
        'r.conf:1: the alias x = "b.com/x:1" must name a registry and repository, without tag or digest'
    ),
    '[aliases]\nX = "b.com/x"\n': (
        "r.conf:1: the alias X: 'X' is not an image name: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST], in lower case"
    ),
    'registries.block.registries = []\n': (
        "r.conf: [registries.*] is version 1 of this format; write [[registry]] tables (version 2)"
    ),
    '[[registry]]\nlocation = "a.com"\n[registries.insecure]\nregistries = []\n': (
        "r.conf:3: [registries.*] is version 1 of this format; write [[registry]] tables (version 2)"
    ),
    '[[registry]]\nblocked = true\n[[registry]]\ninsecure = true\n': (
        "r.conf:1: [[registry]] 1: has neither a location nor a prefix; give it at least a location "
        "(and 1 more; ns-inject check lists them all)"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_configuration_is_refused_with_file_line_and_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_text(CONF, text.encode())
    assert str(refused.value) == message


def test_what_is_not_utf_8_is_refused_with_the_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^r\.conf:2: is not UTF-8$"):
        parse_text(CONF, b"# fine\n# \xff\n")


def test_toml_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^r\.conf: is not valid TOML: nested too deeply$"):
        parse_text(CONF, b"a = " + b"[" * 100_000)


WARNED = {
    '[[registry]]\nlocation = "a.com"\nnamespace_proxy = "a.com"\n': (
        "r.conf:3: [[registry]] 1 (a.com): unknown key namespace_proxy is ignored; did you mean namespace-proxy?"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\nplain-htpp = true\n': (
        "r.conf:5: [[registry]] 1 (a.com), mirror 1: unknown key plain-htpp is ignored; did you mean plain-http?"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com"\nblocked = true\n': (
        "r.conf:5: [[registry]] 1 (a.com), mirror 1: blocked is ignored here; it belongs to the [[registry]]"
    ),
    'unqualified-search-registry = []\n': (
        "r.conf:1: unknown key unqualified-search-registry is ignored; did you mean unqualified-search-registries?"
    ),
    '[[registry]]\nprefix = "*a.com"\nlocation = "b.com"\n': (
        'r.conf:2: [[registry]] 1 (*a.com): prefix "*a.com" never matches; wildcards are *.example.com and *'
    ),
    '[[registry]]\nlocation = "a.com"\nmirror_by_digest = true\n': (
        "r.conf:3: [[registry]] 1 (a.com): unknown key mirror_by_digest is ignored; "
        "did you mean mirror-by-digest-only?"
    ),
    'registry = [{location = "a.com"}, {location = "a.com"}]\n': (
        "r.conf: prefix a.com is there already, at r.conf, [[registry]] 1; this table has no effect"
    ),
    '[[registry]]\nlocation = "a.com"\n[[registry]]\nlocation = "a.com"\n': (
        "r.conf:3: prefix a.com is there already, at r.conf:1; this table has no effect"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WARNED.items(), ids=range(len(WARNED)))
def test_a_likely_mistake_is_a_warning_with_file_and_line(text: str, message: str) -> None:
    assert [str(warning) for warning in parse_text(CONF, text.encode()).warnings] == [message]


def test_keys_of_the_future_are_ignored_in_silence() -> None:
    text = b'frobnicate = 1\n[[registry]]\nlocation = "a.com"\nlocate = "x"\n'
    assert parse_text(CONF, text).warnings == ()


def test_keys_are_read_without_regard_to_case_as_podman_reads_them() -> None:
    text = b'[[Registry]]\nLocation = "a.com"\n[[Registry.Mirror]]\nlocation = "b.com"\nInsecure = true\n'
    (registry,) = parse_text(CONF, text).registries.values()
    assert registry.prefix == "a.com"
    assert [mirror.insecure for mirror in registry.mirrors] == [True]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", None),
        ("unqualified-search-registries = []", ()),
        ('unqualified-search-registries = ["a.com/", "b.com:5000", "C.MX/"]', ("a.com", "b.com:5000", "C.MX")),
    ],
)
def test_hosts_of_short_names_are_read_with_or_without_a_slash_behind(text: str, hosts: tuple[str, ...] | None) -> None:
    assert parse_text(CONF, text.encode()).unqualified_search_registries == hosts


def test_of_two_spellings_of_the_tables_the_documented_one_counts() -> None:
    text = b'[[Registry]]\nlocation = "b.com"\n[[registry]]\nlocation = "a.com"\n'
    assert list(parse_text(CONF, text).registries) == ["a.com"]


def test_a_file_that_is_read_a_second_time_takes_nothing_from_those_before_it(tmp_path: Path) -> None:
    (tmp_path / "1.conf").write_text('[[registry]]\nlocation = "a.com"\n')
    # Only the whole tells that the first table is one of the array that the others belong to.
    (tmp_path / "2.conf").write_text('[[ registry ]]\nlocation = "b.com"\n[[registry]]\nlocation = "c.com"\n')
    assert [registry.prefix for registry in load(Sources(None, (tmp_path,))).registries] == ["a.com", "b.com", "c.com"]


def test_of_two_spellings_of_a_key_the_documented_one_counts() -> None:
    text = b'[[registry]]\nLocation = "b.com"\nlocation = "a.com"\n'
    assert list(parse_text(CONF, text).registries) == ["a.com"]


@pytest.mark.parametrize("alias", ['x = "b.com/x"', '"a/b.c/x" = "b.com:80/c/x"', 'x = ""', '"" = ""'])
def test_an_alias_for_a_name_without_a_registry_is_nothing_to_complain_about(alias: str) -> None:
    assert parse_text(CONF, f"[aliases]\n{alias}\n".encode()).warnings == ()


def test_every_key_is_read() -> None:
    text = (
        b'[[registry]]\nprefix = "a.com/x/"\nlocation = "b.com/y/"\ninsecure = true\nblocked = true\n'
        b'namespace-proxy = "a.com"\nplain-http = true\nforward-credentials = true\n'
        b'[[registry.mirror]]\nlocation = "C.MX/"\npull-from-mirror = "digest-only"\nnamespace-proxy = "*"\n'
    )
    (registry,) = parse_text(CONF, text).registries.values()
    primary, (mirror,) = registry.primary, registry.mirrors
    assert (registry.prefix, registry.blocked, registry.mirror_by_digest_only) == ("a.com/x", True, False)
    assert (primary.location, primary.insecure, primary.namespace) == ("b.com/y", True, "a.com")
    assert (primary.plain_http, primary.forward_credentials) == (True, True)
    assert (mirror.location, mirror.pull_from_mirror, mirror.namespace) == ("C.MX", PullFromMirror.DIGEST_ONLY, "*")
    assert (mirror.plain_http, mirror.insecure, mirror.forward_credentials) == (False, False, False)


def test_every_problem_of_every_file_is_collected(tmp_path: Path) -> None:
    (tmp_path / "1.conf").write_text("[[registry]]\nblocked = true\n[[registry]]\nblocked = true\n")
    (tmp_path / "2.conf").write_text("x = \n")
    with pytest.raises(ConfigurationError) as refused:
        load(Sources(None, (tmp_path,)))
    assert [problem.line for problem in refused.value.problems] == [1, 3, 1]


def test_a_missing_file_a_directory_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.conf"
    with huge.open("wb") as file:
        file.truncate(FILE_SIZE_MAX + 1)
    for path, reason in ((tmp_path / "no", "No such file"), (tmp_path, "Is a directory"), (huge, "larger than 64 MiB")):
        with pytest.raises(ConfigurationError, match=reason):
            load(Sources(path))


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.conf")
    with pytest.raises(ConfigurationError, match=r"pipe\.conf: is not a regular file$"):
        load(Sources(tmp_path / "pipe.conf"))


def test_a_drop_in_directory_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert load(Sources(None, (tmp_path / "no.d",))).registries == ()


def test_a_drop_in_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be listed"):
        load(Sources(None, (tmp_path / "f",)))


def test_the_default_is_the_configuration_that_comes_along() -> None:
    assert find_sources("", "", {}) == Sources(DEFAULT_CONF.resolve())
    assert DEFAULT_CONF.resolve().parts[-2:] == ("config", "registries.conf")
    assert {registry.prefix for registry in load(find_sources("", "", {})).registries} == {
        "docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "registry.k8s.io",
    }


def test_the_environment_variable_comes_before_the_default(tmp_path: Path) -> None:
    environment = {"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "e.conf")}
    assert find_sources("", "", environment) == Sources(tmp_path / "e.conf")
    assert find_sources("", str(tmp_path), environment) == Sources(tmp_path / "e.conf", (tmp_path,))
    assert find_sources("a.conf", "", environment) == Sources(Path("a.conf"))


def test_the_home_of_nobody_stays_as_it_is_written() -> None:
    assert find_sources("~nouser/a", "~nouser/d", {}) == Sources(Path("~nouser/a"), (Path("~nouser/d"),))
    assert find_sources("system", "~nouser/d", {"XDG_CONFIG_HOME": "~nouser"}).drop_in_directories == (
        Path("~nouser/d"),
    )


def test_system_follows_the_search_path(tmp_path: Path) -> None:
    user = tmp_path / "containers"
    user.mkdir()
    (user / "registries.conf").write_text("")
    drop_ins = (Path("/etc/containers/registries.conf.d"), user / "registries.conf.d")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find_sources("system", "", environment) == Sources(user / "registries.conf", drop_ins)
    environment["CONTAINERS_REGISTRIES_CONF"] = "/e.conf"
    assert find_sources("system", "", environment) == Sources(Path("/e.conf"), drop_ins)
    assert find_sources("system", "/d", environment) == Sources(Path("/e.conf"), (Path("/d"),))
