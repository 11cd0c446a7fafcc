"""What a run writes has no secret in it, whatever it is told to write; keys and files are their owner's alone."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.private_registries import write_authfile
from lab.process import clean_env, free_port, run, wait_until
from lab.recorder import Recorded, Reply, ok, recording, send, statuses
from lab.registries import fetch
from lab.serve import ENV, Serve

SOURCE, PUBLIC = "source.example.net", "public.example.net"
PRIVATE, TOKENS = "private.example.net", "tokens.example.net"
BLOB = f"sha256:{'7c' * 32}"
MARKED = {
    "basic": "s3cret-basic/+=",
    "bearer": "s3cret-bearer",
    "cookie": "s3cret-cookie",
    "password": "s3cret-password/+=",
    "issued": "s3cret-issued",
    "in the realm": "s3cret-realm",
    "in the location": "s3cret-location",
    "in the mirror": "s3cret-mirror",
    "signed": "s3cret-signature",
    "state": "s3cret-state",
    "at the proxy": "s3cret-at-the-proxy",
}
LOGIN = base64.b64encode(f"user:{MARKED['basic']}".encode()).decode()
CONF = f"""
[[registry]]
prefix = "{SOURCE}"
location = "{SOURCE}"
[[registry.mirror]]
location = "user:{MARKED["in the mirror"]}@{PUBLIC}"
namespace-proxy = "{SOURCE}"
[[registry.mirror]]
location = "{PUBLIC}"
plain-http = true
namespace-proxy = "{SOURCE}"

[[registry]]
prefix = "{SOURCE}/private"
location = "{PRIVATE}/private"
plain-http = true
namespace-proxy = "{SOURCE}"

[[registry]]
prefix = "broken.example.net"
location = "user:{MARKED["in the location"]}@broken.example.net"
"""


def forms(secret: str) -> set[bytes]:
    """A secret as it is, percent-encoded, and in base64, alone and at any place in a longer text."""
    found = {secret, quote(secret, safe=""), quote(secret), base64.b64encode(f"user:{secret}".encode()).decode()}
    for before in ("", "x", "xx"):
        # But for the characters that the neighbours have a part in.
        found.add(base64.b64encode(f"{before}{secret}".encode()).decode()[4:-4])
    return {each.encode() for each in found if each}


def says(request: Recorded) -> Reply:
    if b"/redirected/" in request.target:
        return 307, {"Location": f"http://{PUBLIC}/v2/x/data?X-Amz-Signature={MARKED['signed']}"}, b""
    if b"/failing/" in request.target:
        return 503, {}, json.dumps({"errors": [{"code": "UNAVAILABLE", "message": "overloaded"}]}).encode()
    if b"/refused/" in request.target:
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{TOKENS}/?x={MARKED["in the realm"]}"'}, b"{}"
    return ok(request)


def wants_a_login(request: Recorded) -> Reply:
    if not request.all("Authorization") or b"/refused/" in request.target:
        realm = f"http://{TOKENS}/token?x={MARKED['in the realm']}"
        return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="tests"'}, b"{}"
    return ok(request)


def issues(request: Recorded) -> Reply:
    if b"denied" in request.target:
        return 403, {}, f'{{"details": "{MARKED["issued"]}"}}'.encode()
    return 200, {}, json.dumps({"token": MARKED["issued"]}).encode()


def requests() -> Iterator[bytes]:
    for login in (f"Basic {LOGIN}", f"Bearer {MARKED['bearer']}"):
        for name in ("a", "redirected/a", "failing/a", "refused/a", "private/a", "private/denied", "private/refused/a"):
            for reference in ("manifests/latest", f"blobs/{BLOB}", "tags/list"):
                for sent in ([f"Authorization: {login}"], []):
                    url = f"http://{SOURCE}/v2/{name}/{reference}?_state={MARKED['state']}"
                    yield head("GET", url, *sent)
        yield head("GET", f"http://{PUBLIC}/v2/x/data?X-Amz-Signature={MARKED['signed']}", f"Authorization: {login}")
        yield head("PATCH", f"http://{SOURCE}/v2/a/blobs/uploads/1?_state={MARKED['state']}", f"Authorization: {login}")
        yield head("GET", f"http://{SOURCE}/v2/a/tags/list", f"Authorization: {login}\0")
        yield head("GET", f"http://{SOURCE}/v2/a/tags/list", f"Authorization: {login}", f"Host: {MARKED['cookie']}")
        yield head("GET", "http://broken.example.net/v2/a/tags/list", f"Authorization: {login}")


def head(method: str, url: str, *lines: str) -> bytes:
    host = url.partition("://")[2].partition("/")[0]
    secret = [f"Cookie: session={MARKED['cookie']}", f"Proxy-Authorization: Basic {MARKED['at the proxy']}"]
    whole = [f"{method} {url} HTTP/1.1", f"Host: {host}", *lines, *secret, "Connection: close"]
    return ("\r\n".join(whole) + "\r\n\r\n").encode()


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_no_secret_is_in_anything_that_a_run_writes(
    program: type[Mitmdump], network: PrivateNetwork, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    authfile = write_authfile(tmp_path / "logins.json", PRIVATE, password=MARKED["password"])
    metrics, log, flows = free_port(), tmp_path / "log.json", tmp_path / "flows"
    options = {
        "termlog_verbosity": "debug",
        "ns_log_json": str(log),
        "ns_metrics": f"127.0.0.1:{metrics}",
        "ns_authfile": str(authfile),
        "save_stream_file": str(flows),
    }
    if program is Mitmdump:
        # What mitmdump itself prints of a flow is the whole of it; that is not the addon's.
        options["flow_detail"] = "0"
    written: dict[str, bytes] = {}
    with contextlib.ExitStack() as stack:
        for name, reply in ((SOURCE, says), (PUBLIC, says), (PRIVATE, wants_a_login), (TOKENS, issues)):
            stack.enter_context(recording(network, name, reply=reply))
        proxy = stack.enter_context(program(tmp_path, conf=conf, options=options))
        answers = [send(proxy.port, data) for data in requests()]
        written["metrics"] = fetch(f"http://127.0.0.1:{metrics}/metrics", {"Accept": "text/plain"}).body
        proxy.stop()
        written["log"] = proxy.log().encode()
    assert {200, 307, 400, 401, 502} <= {status for answer in answers for status in statuses(answer)}
    assert SOURCE.encode() in written["log"]
    written["log of JSON"] = log.read_bytes()
    assert b'"event": "finding"' in written["log of JSON"]
    errors = [answer for answer in answers if b'"errors"' in answer and statuses(answer) != [503]]
    assert len(errors) > 5
    written["errors"] = b"".join(errors)
    asked = ["--registries-conf", str(conf), f"{SOURCE}/a", f"http://{SOURCE}/v2/a/tags/list"]
    for command in (
        ["check", str(conf)],
        ["check", "--json", str(conf)],
        ["pulls", str(flows)],
        ["pulls", "--json", str(flows)],
        ["pulls", "--timeline", str(flows)],
        ["explain", *asked, "broken.example.net/a"],
        ["explain", "--json", "--trace", *asked],
    ):
        program_line = [sys.executable, "-c", "from oci_ns.cli.main import main; main()", *command]
        ended = run(program_line, env=clean_env(tmp_path, **ENV), check=False)
        assert ended.stdout + ended.stderr
        written[" ".join(command[:2])] = (ended.stdout + ended.stderr).encode()
    for name, secret in MARKED.items():
        for form in forms(secret):
            for where, text in written.items():
                assert form not in text, (name, where, text[max(0, text.find(form) - 300) : text.find(form) + 60])
    # The addon's own login is not in a saved flow; a client's is, for that is what was said.
    saved = flows.read_bytes()
    assert MARKED["bearer"].encode() in saved
    for name in ("password", "issued"):
        assert not any(form in saved for form in forms(MARKED[name]))


@pytest.mark.parametrize("where", ["location", "prefix"])
def test_a_start_that_fails_does_not_print_a_login_of_the_configuration(
    where: str, network: PrivateNetwork, tmp_path: Path
) -> None:
    assert network
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nlocation = "a.io"\n{where} = "https://user:{MARKED["password"]}@a.io/"\n'.replace(
            'location = "a.io"\nlocation', "location"
        )
    )
    proxy = Mitmdump(tmp_path, conf=conf)
    # It may listen for a moment.
    with contextlib.suppress(AssertionError):
        proxy.start()
    wait_until(lambda: not proxy.alive(), "it has ended")
    assert proxy.status() == 1
    assert "has a scheme" in proxy.log()
    assert not any(form.decode() in proxy.log() for form in forms(MARKED["password"]))


# -- files -------------------------------------------------------------------------------------------------------------

KEYS = ("mitmproxy-ca.pem", "mitmproxy-ca.p12")


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o000])
@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_the_key_of_the_ca_is_its_owners_alone_whatever_the_umask(
    program: type[Mitmdump], mask: int, network: PrivateNetwork, tmp_path: Path
) -> None:
    assert network
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    confdir = tmp_path / "confdir"
    confdir.mkdir(mode=0o700)
    with umask(mask), program(tmp_path, conf=conf, confdir=confdir / "new") as proxy:
        # `confdir` is made by the laboratory, in the same way as mitmproxy makes it.
        for name in KEYS:
            assert stat.S_IMODE((confdir / "new" / name).stat().st_mode) == 0o600
        if mask == 0:
            told = "other users of this machine can replace the CA"
            wait_until(lambda: told in proxy.log(), "the directory is told of")
    assert proxy.log().count("other users of this machine") == (1 if mask == 0 else 0)


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_a_key_that_others_can_read_is_a_warning(
    program: type[Mitmdump], network: PrivateNetwork, tmp_path: Path
) -> None:
    assert network
    conf, confdir = tmp_path / "registries.conf", tmp_path / "confdir"
    conf.write_text(CONF)
    with program(tmp_path, conf=conf, confdir=confdir):
        pass
    (confdir / KEYS[0]).chmod(0o644)
    with program(tmp_path, conf=conf, confdir=confdir) as proxy:
        told = f"{confdir / KEYS[0]}: other users of this machine can read the key"
        wait_until(lambda: told in proxy.log(), "the key is told of")


def test_what_workers_share_is_their_owners_alone(network: PrivateNetwork, tmp_path: Path) -> None:
    assert network
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    options = {"ns_metrics": f"127.0.0.1:{free_port()}"}
    with umask(0), Serve(tmp_path, workers=2, conf=conf, options=options):
        (directory,) = tmp_path.glob("ns-inject-*")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert not [path for path in tmp_path.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
    assert not list(tmp_path.glob("ns-inject-*"))


# -- what listens ------------------------------------------------------------------------------------------------------


def listeners(pids: set[int]) -> set[str]:
    """The local addresses of the TCP sockets that these processes listen at, as the kernel writes them."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(link))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1])
    return found


@pytest.mark.parametrize("metrics", [False, True])
@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_nothing_listens_but_the_modes_and_the_metrics_where_they_are_told_to(
    program: type[Mitmdump], metrics: bool, network: PrivateNetwork, tmp_path: Path
) -> None:
    assert network
    conf, port = tmp_path / "registries.conf", free_port()
    conf.write_text(CONF)
    options = {"ns_metrics": f"127.0.0.1:{port}"} if metrics else {}
    mode = free_port()
    with program(tmp_path, conf=conf, modes=[f"regular@127.0.0.1:{mode}"], options=options) as proxy:
        expected = {f"0100007F:{mode:04X}"} | ({f"0100007F:{port:04X}"} if metrics else set())
        # The metrics begin a moment after the modes.
        wait_until(lambda: len(listeners({proxy.pid})) >= len(expected), "all is there that is to be")
        assert listeners({proxy.pid}) == expected
        # Nor is anything of its own served to who asks the proxy itself.
        for path in ("/", "/metrics", "/health", "/debug", "/flows", "/options"):
            answer = send(mode, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{mode}\r\nConnection: close\r\n\r\n".encode())
            assert not {200, 204} & set(statuses(answer)), (path, answer[:300])
