"""TLS towards endpoints, handshake by handshake: what is trusted and presented, and that mitmproxy's options stay."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mitmproxy import connection, tls
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.addons.upstream_auth import UpstreamAuth
from mitmproxy.net import tls as net_tls
from mitmproxy.proxy import context as proxy_context
from mitmproxy.test import taddons, tflow
from OpenSSL import SSL

from oci_ns.addon import LastWord, NsInject
from oci_ns.certs_d import CertificatesError, certificates_of
from oci_ns.fetch import NoCertificatesError, Outgoing
from oci_ns.network import network_of

HOST, PORT = "proxy.example.com", 5000
CONF = f"""
[[registry]]
prefix = "quay.io"
location = "{HOST}:{PORT}"

[[registry]]
prefix = "registry.example.com"
location = "insecure.example.com"
insecure = true
"""
OLD_SIGNATURES = "@SECLEVEL=0:ALL"


@dataclass(frozen=True)
class Shown:
    """What a server has seen of a client."""

    certificate: str | None
    cipher: str
    version: str | None
    alpn: str | None


def shake_hands(client: SSL.Connection | ssl.SSLContext, server: ssl.SSLContext, name: str = HOST) -> Shown:
    """A handshake in memory. Raises ssl.SSLError or SSL.Error where one side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname=name) if isinstance(client, ssl.SSLContext) else None
    for _ in range(6):
        if ours is not None:
            with contextlib.suppress(ssl.SSLWantReadError):
                ours.do_handshake()
        else:
            assert isinstance(client, SSL.Connection)
            if to_client.pending:
                client.bio_write(to_client.read())
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                to_server.write(client.bio_read(2**16))
        with contextlib.suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
    shown, cipher = theirs.getpeercert(), theirs.cipher()
    assert cipher is not None
    names: Any = shown.get("subjectAltName", ()) if shown else ()
    return Shown(names[0][1] if names else None, cipher[0], theirs.version(), theirs.selected_alpn_protocol())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def clients() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, clients: trustme.CA) -> ssl.SSLContext:
    """The endpoint: it takes any client, and the certificate of one that shows one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "insecure.example.com").configure_cert(context)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def certs_d(tmp_path: Path) -> Path:
    directory = tmp_path / "certs.d"
    directory.mkdir()
    return directory


def host_directory(certs_d: Path, authority: trustme.CA, host: str = f"{HOST}:{PORT}") -> Path:
    directory = certs_d / host
    directory.mkdir()
    authority.cert_pem.write_to_path(str(directory / "ca.crt"))
    return directory


@pytest.fixture
def mitmproxy(tmp_path: Path, certs_d: Path) -> Iterator[taddons.context]:
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    with taddons.context(Proxyserver(), TlsConfig(), UpstreamAuth(), addon := NsInject()) as context:
        context.options.update(confdir=str(tmp_path / "confdir"), ns_registries_conf=str(conf), ns_certs_d=str(certs_d))
        context.master.addons.add(LastWord(addon))
        yield context


def mitmproxys(mitmproxy: taddons.context, host: str = HOST, port: int = PORT) -> SSL.Connection | None:
    """mitmproxy's own connection to a host, as its addons have set it up; None where they have refused to."""
    around = proxy_context.Context(tflow.tclient_conn(), mitmproxy.options)
    around.server = connection.Server(address=(host, port))
    around.server.sni, around.server.alpn_offers = host, (b"http/1.1",)
    data = tls.TlsData(around.server, around)
    for name in ("tlsconfig", "lastword"):
        mitmproxy.master.addons.get(name).tls_start_server(data)
    return data.ssl_conn


def addons(mitmproxy: taddons.context, host: str = HOST, port: int = PORT, *, insecure: bool = False) -> ssl.SSLContext:
    """The settings of the addon's own exchange with a host. Raises NoCertificatesError."""
    index = mitmproxy.master.addons.get("nsinject").table.index
    outgoing = Outgoing("GET", "https", host, port, "/v2/", insecure=insecure)
    return network_of(mitmproxy.options, lambda: index).context_for(outgoing)


Connect = Callable[..., Any]
either = pytest.mark.parametrize("connect", [mitmproxys, addons])


@either
def test_a_ca_of_the_host_is_trusted_by_that_host_alone(
    connect: Connect, mitmproxy: taddons.context, authority: trustme.CA, certs_d: Path, server: ssl.SSLContext
) -> None:
    with pytest.raises((ssl.SSLError, SSL.Error)):
        shake_hands(connect(mitmproxy), server)
    host_directory(certs_d, authority)
    shake_hands(connect(mitmproxy), server)
    with pytest.raises((ssl.SSLError, SSL.Error)):
        shake_hands(connect(mitmproxy, port=PORT + 1), server)


@either
def test_the_name_is_verified_with_a_ca_of_the_host_too(
    connect: Connect, mitmproxy: taddons.context, authority: trustme.CA, certs_d: Path
) -> None:
    host_directory(certs_d, authority)
    another = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another.example.com").configure_cert(another)
    with pytest.raises((ssl.SSLError, SSL.Error)):
        shake_hands(connect(mitmproxy), another)


@either
def test_an_intermediate_authority_is_enough(
    connect: Connect, mitmproxy: taddons.context, authority: trustme.CA, certs_d: Path
) -> None:
    intermediate = authority.create_child_ca()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    intermediate.issue_cert(HOST).configure_cert(server)
    host_directory(certs_d, intermediate)
    shake_hands(connect(mitmproxy), server)


def home_made(directory: Path) -> ssl.SSLContext:
    """A server as `openssl req -x509` and `openssl x509 -req` make it: no key identifiers, no key usage."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("home-made CA", HOST)]
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName(HOST)]),
    ]
    made = [
        x509.CertificateBuilder(names[0], name, key.public_key(), number + 1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(extension, critical=False)
        .sign(keys[0], hashes.SHA256())
        for number, (name, key, extension) in enumerate(zip(names, keys, extensions, strict=True))
    ]
    (directory / "ca.crt").write_bytes(made[0].public_bytes(Encoding.PEM))
    pem = directory.parent / "home-made.pem"
    key = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(key + made[1].public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server


@either
def test_home_made_certificates_do(connect: Connect, mitmproxy: taddons.context, certs_d: Path) -> None:
    directory = certs_d / f"{HOST}:{PORT}"
    directory.mkdir()
    server = home_made(directory)
    shake_hands(connect(mitmproxy), server)


@either
def test_insecure_is_for_its_address_alone(
    connect: Connect, mitmproxy: taddons.context, server: ssl.SSLContext
) -> None:
    shake_hands(connect(mitmproxy, "insecure.example.com", 443), server, "insecure.example.com")
    for other in (444, PORT):
        with pytest.raises((ssl.SSLError, SSL.Error)):
            shake_hands(connect(mitmproxy, "insecure.example.com", other), server, "insecure.example.com")


def test_a_service_that_goes_with_an_insecure_endpoint_need_not_be_trusted_either(
    mitmproxy: taddons.context, server: ssl.SSLContext
) -> None:
    tokens = addons(mitmproxy, "insecure.example.com", 444, insecure=True)
    shake_hands(tokens, server, "insecure.example.com")


def test_no_exchange_is_insecure_where_an_endpoint_is_not(mitmproxy: taddons.context, server: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(addons(mitmproxy, insecure=True), server)


@either
def test_a_proxy_on_the_way_is_verified_though_every_registry_is_insecure(
    connect: Connect, mitmproxy: taddons.context, server: ssl.SSLContext, tmp_path: Path
) -> None:
    conf = tmp_path / "insecure.conf"
    conf.write_text('[[registry]]\nprefix = "*"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.example.com"\n')
    mitmproxy.options.update(ns_registries_conf=str(conf), mode=[f"upstream:https://{HOST}:{PORT}"])
    shake_hands(connect(mitmproxy, HOST, PORT + 1), server)
    with pytest.raises((ssl.SSLError, SSL.Error)):
        shake_hands(connect(mitmproxy), server)


def client_pair(
    clients: trustme.CA, directory: Path, name: str, kinds: tuple[str, str], *, stem: str = "client"
) -> None:
    made = clients.issue_cert(name)
    (directory / f"{stem}{kinds[0]}").write_bytes(made.cert_chain_pems[0].bytes())
    with (directory / f"{stem}{kinds[1]}").open("ab") as file:
        file.write(made.private_key_pem.bytes())


@either
def test_of_several_client_certificates_the_first_by_name_is_presented(
    connect: Connect,
    mitmproxy: taddons.context,
    authority: trustme.CA,
    clients: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
) -> None:
    directory = host_directory(certs_d, authority)
    for stem in ("b", "a", "c"):
        client_pair(clients, directory, f"{stem}.example.com", (".cert", ".key"), stem=stem)
    assert shake_hands(connect(mitmproxy), server).certificate == "a.example.com"


@either
def test_the_hosts_client_certificate_is_presented(
    connect: Connect,
    mitmproxy: taddons.context,
    authority: trustme.CA,
    clients: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
) -> None:
    client_pair(clients, host_directory(certs_d, authority), "of-the-host.example.com", (".cert", ".key"))
    assert shake_hands(connect(mitmproxy), server).certificate == "of-the-host.example.com"


@either
@pytest.mark.parametrize("file", ["client.pem", f"{HOST}.pem"])
@pytest.mark.parametrize("more", [False, True])
def test_mitmproxys_client_certificate_is_presented_unless_the_host_has_one(
    connect: Connect,
    file: str,
    more: bool,
    mitmproxy: taddons.context,
    authority: trustme.CA,
    clients: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    client_pair(clients, own, "mitmproxy.example.com", (".pem", ".pem"))
    (own / "client.pem").rename(own / file)
    mitmproxy.options.update(client_certs=str(own / file if file == "client.pem" else own))
    directory = host_directory(certs_d, authority)
    if more:
        client_pair(clients, directory, "of-the-host.example.com", (".cert", ".key"))
    shown = shake_hands(connect(mitmproxy), server).certificate
    assert shown == ("of-the-host.example.com" if more else "mitmproxy.example.com")


CIPHERS = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
chosen_options = pytest.mark.parametrize(
    ("chosen", "version"),
    [
        ({"ciphers_server": CIPHERS, "tls_version_server_max": "TLS1_2"}, "TLSv1.2"),
        ({"tls_version_server_max": "TLS1_2"}, "TLSv1.2"),
        ({"tls_version_server_min": "TLS1_3"}, "TLSv1.3"),
        ({"tls_version_server_min": "TLS1", "tls_version_server_max": "TLS1_2"}, "TLSv1.2"),
        ({"tls_version_server_min": "TLS1", "tls_version_server_max": "TLS1"}, "TLSv1"),
    ],
)


@chosen_options
def test_mitmproxys_options_stay_in_force_where_a_host_has_certificates(
    chosen: dict[str, str],
    version: str,
    mitmproxy: taddons.context,
    authority: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    everyone = tmp_path / "everyone.pem"
    authority.cert_pem.write_to_path(str(everyone))
    server.minimum_version = ssl.TLSVersion.TLSv1
    server.set_ciphers(OLD_SIGNATURES)
    mitmproxy.options.update(ssl_verify_upstream_trusted_ca=str(everyone), **chosen)
    plain = mitmproxys(mitmproxy)
    host_directory(certs_d, authority)
    amended = mitmproxys(mitmproxy)
    assert plain is not None
    assert amended is not None
    assert amended.get_context() is not plain.get_context()
    assert amended.get_cipher_list() == plain.get_cipher_list()
    shown = shake_hands(amended, server)
    assert shown == shake_hands(plain, server)
    assert (shown.version, shown.alpn) == (version, "http/1.1")


@chosen_options
def test_mitmproxys_options_hold_for_the_addons_own_exchanges(
    chosen: dict[str, str],
    version: str,
    mitmproxy: taddons.context,
    authority: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
) -> None:
    server.minimum_version = ssl.TLSVersion.TLSv1
    server.set_ciphers(OLD_SIGNATURES)
    mitmproxy.options.update(**chosen)
    host_directory(certs_d, authority)
    shown = shake_hands(addons(mitmproxy), server)
    assert shown.version == version
    assert shown.cipher in CIPHERS or "ciphers_server" not in chosen


def test_mitmproxys_log_of_tls_keys_has_those_of_a_host_with_certificates(
    mitmproxy: taddons.context,
    authority: trustme.CA,
    certs_d: Path,
    server: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = []

    def log(_: SSL.Connection, line: bytes) -> None:
        logged.append(line)

    monkeypatch.setattr(net_tls, "log_master_secret", log)
    host_directory(certs_d, authority)
    shake_hands(mitmproxys(mitmproxy) or pytest.fail("refused"), server)
    assert any(line.startswith(b"CLIENT_TRAFFIC_SECRET_0 ") for line in logged)


def test_a_client_certificate_that_cannot_be_used_ends_both_ways_by_its_name(
    mitmproxy: taddons.context, authority: trustme.CA, certs_d: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = host_directory(certs_d, authority)
    for kind in ("cert", "key"):
        (directory / f"client.{kind}").write_text("nothing")
    with pytest.raises(NoCertificatesError, match="client.cert: cannot be used with its key client.key"):
        addons(mitmproxy)
    assert mitmproxys(mitmproxy) is None
    assert f"{HOST}:{PORT}: {directory}/client.cert: cannot be used with its key client.key" in caplog.text


@pytest.fixture
def become_nobody() -> Iterator[Callable[[], None]]:
    """Become a user to whom permissions mean something, until the test is over."""
    user = os.geteuid()

    def become() -> None:
        if user == 0:
            os.seteuid(65534)

    yield become
    os.seteuid(user)


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A directory that nobody can get at, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        for path in directory.iterdir():
            path.chmod(0o755)


def test_a_directory_that_is_another_users_is_passed_over(anybodys: Path, become_nobody: Callable[[], None]) -> None:
    others, ours = anybodys / "others", anybodys / "ours"
    for directory in (others, ours):
        (directory / "a.example.com").mkdir(parents=True)
        (directory / "a.example.com" / "ca.crt").touch()
    others.chmod(0o000)
    become_nobody()
    found = certificates_of((others, ours), "a.example.com", 443)
    assert [version.path for version in found.authorities] == [ours / "a.example.com" / "ca.crt"]


def test_a_hosts_directory_that_cannot_be_listed_is_an_error(anybodys: Path, become_nobody: Callable[[], None]) -> None:
    host = anybodys / "a.example.com"
    host.mkdir(mode=0o000)
    become_nobody()
    with pytest.raises(CertificatesError) as error:
        certificates_of((anybodys,), "a.example.com", 443)
    assert str(error.value) == f"{host}: cannot be listed: Permission denied"


@pytest.mark.parametrize("missing", ["{}/missing", "{}/file", "~nouser/certs.d"])
def test_a_directory_that_is_named_has_to_be_there(
    missing: str, mitmproxy: taddons.context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    named = missing.format(tmp_path)
    mitmproxy.options.update(ns_certs_d=named)
    # During start-up, an error in the log ends mitmproxy.
    (message,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert message == f"ns_certs_d must be a directory within reach, not '{named}'"
