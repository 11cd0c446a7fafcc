"""Files with logins: what is read from them, which login belongs to which repository, and that they stay secret."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from oci_ns.logins.auth_files import FILE_SIZE_MAX, find_auth_files, load_logins, read_auth_file
from oci_ns.logins.authfile import AuthDocument, Authfile, read_auth_document
from oci_ns.logins.login import Login, Secret
from oci_ns.problems import ConfigurationError

FILE = Path("auth.json")
SECRET = "hunter2-s3cr3t"


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def read(auths: Any, **more: Any) -> AuthDocument:
    return read_auth_document(FILE, json.dumps({"auths": auths, **more}).encode())


def user_of(login: Login | None) -> str | None:
    return None if login is None else login.username.reveal()


def refused(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_auth_document(FILE, data)
    error: BaseException | None = caught.value
    while error is not None:
        # What a traceback or a logger could get hold of.
        assert SECRET not in f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "user", "password", "identity_token"),
    [
        ({"auth": basic("u", "p")}, "u", "p", ""),
        ({"auth": basic("u", "p:q")}, "u", "p:q", ""),
        ({"auth": basic("u", "p\0\0")}, "u", "p", ""),
        ({"auth": basic("ü", "ä€")}, "ü", "ä€", ""),
        ({"auth": basic("user", "p" * 60)[:76] + "\n" + basic("user", "p" * 60)[76:]}, "user", "p" * 60, ""),
        ({"username": "u", "password": "p"}, "u", "p", ""),
        ({"auth": basic("a", "b"), "username": "u", "password": "p"}, "a", "b", ""),
        ({"auth": "", "username": "u", "password": "p"}, "u", "p", ""),
        ({"auth": basic("u", ""), "identitytoken": "t"}, "u", "", "t"),
        ({"identitytoken": "t"}, "", "", "t"),
        ({"auth": basic("u", "p"), "email": "x@example.com", "unknown": [1]}, "u", "p", ""),
    ],
)
def test_a_login_is_read(value: dict[str, str], user: str, password: str, identity_token: str) -> None:
    login = read({"quay.io": value}).logins["quay.io"]
    assert (login.username.reveal(), login.password.reveal(), login.identity_token.reveal()) == (
        user,
        password,
        identity_token,
    )


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("quay.io", "quay.io"),
        ("Quay.IO", "quay.io"),
        ("quay.io/team/app", "quay.io/team/app"),
        ("quay.io/team/", "quay.io/team"),
        ("quay.io:443", "quay.io"),
        ("quay.io:8443/team", "quay.io:8443/team"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://quay.io", "quay.io"),
        ("http://localhost:5000/v2/", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io/team", "docker.io/team"),
    ],
)
def test_a_key_is_known_by_its_normal_form(key: str, entry: str) -> None:
    assert list(read({key: {"auth": basic("u", "p")}}).logins) == [entry]


def test_a_plain_key_wins_over_a_url_of_the_same_registry() -> None:
    auths = {"https://index.docker.io/v1/": {"auth": basic("old", "p")}, "docker.io": {"auth": basic("new", "p")}}
    for order in (auths, dict(reversed(auths.items()))):
        assert user_of(Authfile([read(order)]).login_for("docker.io", "library/hello")) == "new"


@pytest.mark.parametrize(
    ("registry", "path", "user"),
    [
        ("quay.io", "team/app", "app"),
        ("quay.io", "team/app/sub", "app"),
        ("quay.io", "team/apple", "team"),
        ("quay.io", "team", "team"),
        ("quay.io", "teams/app", "host"),
        ("quay.io", "", "host"),
        ("only.example.com", "team/x", "only"),
        ("only.example.com", "other/x", None),
        ("only.example.com", "", None),
        ("quay.io:8443", "team/app", None),
        ("ghcr.io", "team/app", None),
    ],
)
def test_the_most_specific_entry_counts(registry: str, path: str, user: str | None) -> None:
    entries = {
        "quay.io": "host",
        "quay.io/team": "team",
        "quay.io/team/app": "app",
        "only.example.com/team": "only",
    }
    authfile = Authfile([read({key: {"auth": basic(name, "p")} for key, name in entries.items()})])
    assert user_of(authfile.login_for(registry, path)) == user


def test_what_is_of_no_repository_has_the_login_of_the_registry_else_of_a_namespace() -> None:
    entries = {"quay.io/a": "a", "quay.io": "host", "only.example.com/team": "only"}
    authfile = Authfile([read({key: {"auth": basic(name, "p")} for key, name in entries.items()})])
    assert user_of(authfile.login_at("quay.io")) == "host"
    assert user_of(authfile.login_at("only.example.com")) == "only"
    assert authfile.login_at("ghcr.io") is None


def test_the_first_file_that_has_an_entry_counts() -> None:
    first = read({"quay.io": {"auth": basic("first", "p")}})
    second = read({"quay.io/team": {"auth": basic("second", "p")}, "ghcr.io": {"auth": basic("second", "p")}})
    authfile = Authfile([first, second])
    assert user_of(authfile.login_for("quay.io", "team/app")) == "first"
    assert user_of(authfile.login_for("ghcr.io", "x")) == "second"
    assert len(authfile) == 3


@pytest.mark.parametrize("data", [b"", b" \n", b"{}", b'{"auths": {}}', b'{"auths": null}', b'{"HttpHeaders": {}}'])
def test_a_file_may_have_no_logins(data: bytes) -> None:
    assert read_auth_document(FILE, data) == AuthDocument({}, ())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"credsStore": "desktop"}, "auth.json: credsStore is not used: no credential helper is run"),
        ({"credHelpers": {"gcr.io": "gcloud"}}, "auth.json: credHelpers is not used: no credential helper is run"),
    ],
)
def test_a_credential_helper_is_not_run_and_that_is_said(more: dict[str, Any], message: str) -> None:
    document = read({"quay.io": {}}, **more)
    assert not document.logins
    assert [str(warning).partition(";")[0] for warning in document.warnings] == [message]
    assert not read({}, credsStore="", credHelpers={}).warnings


def test_an_entry_with_another_kind_of_login_is_passed_over_and_that_is_said() -> None:
    document = read({"quay.io": {"registrytoken": SECRET}})
    assert not document.logins
    (warning,) = document.warnings
    assert "quay.io" in str(warning)
    assert SECRET not in str(warning)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (f'{{"auths": {{\n"quay.io": {{"auth": "{SECRET}}}}}}}'.encode(), "auth.json:2: is not valid JSON"),
        (f'{{"auths": {{"q": {{"password": "\\{SECRET}"}}}}}}'.encode(), "auth.json:1: is not valid JSON"),
        (f'{{"auths": "{SECRET}\n"}}'.encode(), "auth.json:1: is not valid JSON"),
        (f'{{\n"a": "{SECRET}'.encode() + b'\xff"}', "auth.json:2: is not UTF-8"),
        (f'["{SECRET}"]'.encode(), 'auth.json: is not a JSON object with "auths"'),
        (f'"{SECRET}"'.encode(), "auth.json: is not a JSON object"),
        (b"[" * 100_000, "auth.json: is not valid JSON: nested too deeply"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "auth.json: is not valid JSON: a number is too long"),
        (json.dumps({"auths": [SECRET]}).encode(), "auth.json: auths is not an object"),
        (json.dumps({"auths": {"quay.io": SECRET}}).encode(), "auth.json: auths, quay.io: is not an object"),
        (
            json.dumps({"auths": {"quay.io": {"auth": SECRET}}}).encode(),
            "auth.json: auths, quay.io: auth is not the base64 of user:password",
        ),
        (
            json.dumps({"auths": {"quay.io": {"auth": base64.b64encode(SECRET.encode()).decode()}}}).encode(),
            "auth.json: auths, quay.io: auth is the base64 of something that is not user:password",
        ),
        (
            json.dumps({"auths": {"quay.io": {"auth": base64.b64encode(b"\xff\xfe:x").decode()}}}).encode(),
            "auth.json: auths, quay.io: auth is not the base64 of user:password",
        ),
        (json.dumps({"auths": {"quay.io": {"auth": [SECRET]}}}).encode(), "auth.json: auths, quay.io: auth is not a"),
        (json.dumps({"auths": {"q.io": {"password": SECRET}}}).encode(), "auths, q.io: there is a password and no"),
        (json.dumps({"auths": {"q.io": {"username": f"a:{SECRET}"}}}).encode(), "the user name has a colon in it"),
        (
            json.dumps({"auths": {f"https://user:{SECRET}@quay.io": {}}}).encode(),
            "auth.json: entry 1 of auths: its name is not a host[:port]",
        ),
        (json.dumps({"auths": {f"{SECRET} x": {}}}).encode(), "auth.json: entry 1 of auths: its name is not a host"),
        (json.dumps({"auths": {"quay.io:99999": {}}}).encode(), "entry 1 of auths: its name does not have a valid"),
    ],
)
def test_what_does_not_load_is_named_without_quoting_it(data: bytes, message: str) -> None:
    assert message in refused(data)


def test_all_bad_entries_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({"a.io": {"auth": "?"}, "b.io": 1, "c.io": {"auth": basic("u", "p")}})
    assert [str(problem) for problem in caught.value.problems] == [
        "auth.json: auths, a.io: auth is not the base64 of user:password",
        "auth.json: auths, b.io: is not an object",
    ]


def test_a_login_does_not_show_its_secrets() -> None:
    login = Login("quay.io", Secret("user-x"), Secret(SECRET), Secret(SECRET))
    document = read({"quay.io": {"auth": basic("user-x", SECRET), "identitytoken": SECRET}})
    for shown in (f"{login} {login!r} {login.password} {login.password!r}", f"{document} {document.logins}"):
        assert SECRET not in shown
        assert "user-x" not in shown
        assert "quay.io" in shown
    assert login.basic() == b"Basic " + basic("user-x", SECRET).encode()


# -- files -------------------------------------------------------------------------------------------------------------


def write(path: Path, user: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {f"{user}.example.com": {"auth": basic(user, SECRET)}}}))
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1)])
def test_a_file_that_others_can_read_is_told(tmp_path: Path, mode: int, warnings: int) -> None:
    path = write(tmp_path / "auth.json", "u", mode)
    found = load_logins([path])
    assert len(found.warnings) == warnings
    assert all(str(warning).startswith(f"{path}: its logins can be read by other users") for warning in found.warnings)
    assert user_of(found.authfile.login_for("u.example.com", "x")) == "u"


def test_a_file_without_logins_may_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text('{"auths": {}}')
    path.chmod(0o644)
    assert not read_auth_file(path).warnings


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b" " * (FILE_SIZE_MAX + 1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError) as caught:
        load_logins([tmp_path / "none", tmp_path, large, pipe])
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path / 'none'}: cannot be read: No such file or directory",
        f"{tmp_path}: cannot be read: Is a directory",
        f"{large}: is larger than 4 MiB",
        f"{pipe}: is not a regular file",
    ]


def test_the_option_names_a_file_or_nothing(tmp_path: Path) -> None:
    assert find_auth_files("", {"REGISTRY_AUTH_FILE": "/x"}, 0) == []
    assert find_auth_files(str(tmp_path / "a"), {"REGISTRY_AUTH_FILE": "/x"}, 0) == [tmp_path / "a"]
    assert find_auth_files("~nouser/a", {}, 0) == [Path("~nouser/a")]
    assert find_auth_files("system", {"HOME": "~nouser"}, 0) == []


def test_system_is_the_search_path_of_the_container_tools(tmp_path: Path) -> None:
    session = write(tmp_path / "run" / "containers" / "auth.json", "session")
    home = write(tmp_path / "home" / ".config" / "containers" / "auth.json", "home")
    docker = write(tmp_path / "home" / ".docker" / "config.json", "docker")
    config = write(tmp_path / "config" / "containers" / "auth.json", "config")
    docker_config = write(tmp_path / "dockerdir" / "config.json", "dockerdir")
    environment = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert find_auth_files("system", environment, 0) == [session, home, docker]
    session.unlink()
    assert find_auth_files("system", environment, 0) == [home, docker]
    moved = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "DOCKER_CONFIG": str(tmp_path / "dockerdir")}
    assert find_auth_files("system", environment | moved, 0) == [config, docker_config]
    assert find_auth_files("system", environment | {"REGISTRY_AUTH_FILE": "/none"}, 0) == [Path("/none")]
