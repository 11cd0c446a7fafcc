"""TLS towards endpoints: verified, unless one is insecure; certs.d gives a host its CA and a client certificate.

Endpoints of one registry.example.com, each nginx in front of the same registry, with certificates of every kind.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from lab.certificates import CertificateAuthority
from lab.clients import Surroundings
from lab.corporate_proxy import CorporateProxy
from lab.fixtures import CurlFactory, MitmdumpFactory, SkopeoFactory
from lab.network import PrivateNetwork
from lab.process import Daemon, clean_env, free_port, listens, require
from lab.registries import Pushed, Registry

SOURCE = "registry.example.com"
REPOSITORY = "team/app"
ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
ENDPOINT = "endpoint.example.com"
ENDPOINT_ADDRESS = "198.51.100.40"

CONFIG = """
daemon off;
master_process off;
pid @dir@/nginx.pid;
error_log @dir@/error.log info;
events {}
http {
  access_log @dir@/access.log;
  client_body_temp_path @dir@/body; proxy_temp_path @dir@/proxy; fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi; scgi_temp_path @dir@/scgi;
@servers@
}
"""
SERVER = """
  server {
    listen @address@:@port@ ssl;
    ssl_certificate @chain@; ssl_certificate_key @key@;
    @more@
    location / { proxy_pass http://@backend@; proxy_set_header Host $http_host; }
  }
"""


class Endpoints:
    """One host, and a port for each kind of certificate."""

    def __init__(self, directory: Path, backend: Registry, known: CertificateAuthority) -> None:
        self.unknown = trustme.CA()
        self.clients = trustme.CA()
        self.unknown_pem = directory / "unknown.pem"
        self.clients_pem = directory / "clients.pem"
        self.unknown.cert_pem.write_to_path(str(self.unknown_pem))
        self.clients.cert_pem.write_to_path(str(self.clients_pem))
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        pairs = {
            "good": known.issue(ENDPOINT),
            "of an unknown CA": self._written(directory / "unknown", self.unknown.issue_cert(ENDPOINT)),
            "for another name": known.issue("another.example.com"),
            "expired": self._written(directory / "expired", known.authority.issue_cert(ENDPOINT, not_after=past)),
            "asking for one": known.issue(ENDPOINT),
        }
        self.ports = {kind: free_port() for kind in pairs}
        servers = ""
        for kind, (chain, key) in pairs.items():
            more = (
                f"ssl_verify_client on; ssl_client_certificate {self.clients_pem};" if kind == "asking for one" else ""
            )
            values = {"address": ENDPOINT_ADDRESS, "port": self.ports[kind], "chain": chain, "key": key, "more": more}
            servers += _filled(SERVER, values | {"backend": backend.authority})
        config = directory / "nginx.conf"
        config.write_text(_filled(CONFIG, {"servers": servers, "dir": directory}))
        self.daemon = Daemon(
            "endpoints",
            [require("nginx"), "-p", directory, "-e", directory / "error.log", "-c", config],
            log=directory / "nginx.log",
            ready=lambda: all(listens(port, ENDPOINT_ADDRESS) for port in self.ports.values()),
            env=clean_env(directory),
        )

    @staticmethod
    def _written(base: Path, certificate: trustme.LeafCert) -> tuple[Path, Path]:
        chain, key = base.with_suffix(".crt"), base.with_suffix(".key")
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        return chain, key

    def authority(self, kind: str) -> str:
        return f"{ENDPOINT}:{self.ports[kind]}"


def _filled(template: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    return template


@pytest.fixture(scope="module")
def registry(lab_directory: Path, network: PrivateNetwork) -> Iterator[Registry]:
    network.add_address(ENDPOINT_ADDRESS)
    network.add_host(ENDPOINT, ENDPOINT_ADDRESS)
    with Registry("behind-tls", lab_directory) as registry:
        yield registry


@pytest.fixture(scope="module")
def image(registry: Registry) -> Pushed:
    return registry.push(REPOSITORY, "v1", "behind TLS")


@pytest.fixture(scope="module")
def endpoints(
    lab_directory: Path, registry: Registry, image: Pushed, lab_ca: CertificateAuthority
) -> Iterator[Endpoints]:
    assert image
    directory = lab_directory / "endpoints"
    directory.mkdir()
    endpoints = Endpoints(directory, registry, lab_ca)
    with endpoints.daemon:
        yield endpoints


def configured(directory: Path, *mirrors: str, more: str = "") -> Path:
    path = directory / "registries.conf"
    lines = ["[[registry]]", f'prefix = "{SOURCE}"', f'location = "{mirrors[-1]}"']
    lines += [more] if more and len(mirrors) == 1 else []
    for mirror in mirrors[:-1]:
        lines += ["[[registry.mirror]]", f'location = "{mirror}"', more]
    path.write_text("\n".join([*lines, ""]))
    return path


def assert_pulls(curl_factory: CurlFactory, surroundings: Surroundings, image: Pushed) -> None:
    curl = curl_factory(surroundings)
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    assert (got.status, got.headers.get("docker-content-digest")) == (200, image.digest), got
    # Blobs travel on mitmproxy's own connections.
    (layer,) = image.layers
    assert curl(f"https://{SOURCE}/v2/{REPOSITORY}/blobs/{layer}").status == 200


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("of an unknown CA", "its certificate is not trusted: unable to get local issuer certificate"),
        ("for another name", "its certificate is not trusted: Hostname mismatch"),
        ("expired", "its certificate is not trusted: certificate has expired"),
    ],
)
def test_an_endpoint_with_a_bad_certificate_is_refused_with_its_name_and_the_reason(
    kind: str,
    reason: str,
    endpoints: Endpoints,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    bad = endpoints.authority(kind)
    mitmdump = mitmdump_factory(conf=configured(tmp_path, bad, f"127.0.0.1:{free_port()}"))
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    (error,) = got.json()["errors"]
    assert got.status == 502
    assert f"{bad}: {reason}" in error["message"]
    assert f"{bad}: {reason}" in mitmdump.log()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("of an unknown CA", "unable to get local issuer certificate"),
        ("for another name", "hostname mismatch"),
        ("expired", "certificate has expired"),
    ],
)
def test_a_push_to_an_endpoint_with_a_bad_certificate_is_refused_with_its_name_and_the_reason(
    kind: str,
    reason: str,
    endpoints: Endpoints,
    registry: Registry,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    before = registry.log().count("/blobs/uploads/")
    bad = endpoints.authority(kind)
    mitmdump = mitmdump_factory(conf=configured(tmp_path, bad))
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    # Pushes travel on mitmproxy's own connections.
    assert curl(f"https://{bad}/v2/{REPOSITORY}/blobs/uploads/", method="POST", body=b"").status == 502
    assert f"{bad}: its certificate is not trusted: {reason}" in mitmdump.log()
    assert registry.log().count("/blobs/uploads/") == before


def test_authorities_that_are_not_there_are_named(
    endpoints: Endpoints, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    missing, good = tmp_path / "missing.pem", endpoints.authority("good")
    mitmdump = mitmdump_factory(
        conf=configured(tmp_path, good), options={"ssl_verify_upstream_trusted_ca": str(missing)}
    )
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    assert got.status == 502
    assert f"{missing}: holds no certificates that can be trusted" in got.json()["errors"][0]["message"]


@pytest.mark.parametrize("kind", ["of an unknown CA", "for another name", "expired"])
@pytest.mark.parametrize("only", [True, False])
def test_an_insecure_endpoint_serves_whatever_its_certificate(
    kind: str,
    only: bool,
    endpoints: Endpoints,
    image: Pushed,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    lax = endpoints.authority(kind)
    mirrors = [lax] if only else [lax, f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configured(tmp_path, *mirrors, more="insecure = true"))
    assert_pulls(curl_factory, Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem), image)


def test_verification_is_off_for_the_insecure_endpoint_alone(
    endpoints: Endpoints, image: Pushed, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    lax, strict = endpoints.authority("expired"), endpoints.authority("of an unknown CA")
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "{SOURCE}"\nlocation = "{lax}"\ninsecure = true\n'
        f'[[registry]]\nprefix = "quay.io"\nlocation = "{strict}"\n'
    )
    mitmdump = mitmdump_factory(conf=conf)
    surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
    assert_pulls(curl_factory, surroundings, image)
    got = curl_factory(surroundings)(f"https://quay.io/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    assert got.status == 502
    assert f"{strict}: its certificate is not trusted" in got.json()["errors"][0]["message"]


@pytest.mark.parametrize("only", [True, False])
def test_an_insecure_endpoint_that_does_not_speak_tls_gets_http(
    only: bool,
    registry: Registry,
    image: Pushed,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    mirrors = [registry.authority] if only else [registry.authority, f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configured(tmp_path, *mirrors, more="insecure = true"))
    assert_pulls(curl_factory, Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem), image)


def test_http_is_not_spoken_to_an_endpoint_that_is_not_insecure(
    registry: Registry, tmp_path: Path, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory
) -> None:
    before = registry.log().count("GET /v2/")
    mitmdump = mitmdump_factory(conf=configured(tmp_path, registry.authority))
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    assert got.status == 502
    assert "the TLS handshake" in got.json()["errors"][0]["message"]
    assert registry.log().count("GET /v2/") == before


@pytest.fixture
def certs_d(tmp_path: Path) -> Path:
    return tmp_path / "certs.d"


def write_client_certificate(endpoints: Endpoints, directory: Path) -> None:
    certificate = endpoints.clients.issue_cert("ns-inject@example.com")
    (directory / "client.key").write_bytes(certificate.private_key_pem.bytes())
    (directory / "client.cert").write_bytes(certificate.cert_chain_pems[0].bytes())


def host_directory(certs_d: Path, authority: str) -> Path:
    directory = certs_d / authority
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("only", [True, False])
def test_a_ca_in_certs_d_is_trusted_for_its_host(
    only: bool,
    endpoints: Endpoints,
    image: Pushed,
    certs_d: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    private = endpoints.authority("of an unknown CA")
    host_directory(certs_d, private).joinpath("ca.crt").write_bytes(endpoints.unknown_pem.read_bytes())
    mirrors = [private] if only else [private, f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configured(tmp_path, *mirrors), options={"ns_certs_d": str(certs_d)})
    assert_pulls(curl_factory, Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem), image)


@pytest.mark.parametrize("only", [True, False])
def test_mitmproxys_own_client_certificate_is_presented_to_endpoints(
    only: bool,
    endpoints: Endpoints,
    image: Pushed,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    certificate = endpoints.clients.issue_cert("mitmproxy@example.com")
    pem = tmp_path / "client.pem"
    pem.write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
    asking = endpoints.authority("asking for one")
    mirrors = [asking] if only else [asking, f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configured(tmp_path, *mirrors), options={"client_certs": str(pem)})
    assert_pulls(curl_factory, Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem), image)


@pytest.mark.parametrize("only", [True, False])
def test_a_client_certificate_in_certs_d_is_presented_and_renewed_without_a_restart(
    only: bool,
    endpoints: Endpoints,
    image: Pushed,
    certs_d: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    asking = endpoints.authority("asking for one")
    directory = host_directory(certs_d, asking)
    mirrors = [asking] if only else [asking, f"127.0.0.1:{free_port()}"]
    mitmdump = mitmdump_factory(conf=configured(tmp_path, *mirrors), options={"ns_certs_d": str(certs_d)})
    surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
    refused = curl_factory(surroundings)(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    # nginx lets the handshake pass and answers the request.
    assert (refused.status, b"No required SSL certificate" in refused.body) == (400, True)
    write_client_certificate(endpoints, directory)
    assert_pulls(curl_factory, surroundings, image)


@pytest.mark.parametrize("kind", ["expired", "of an unknown CA", "asking for one"])
def test_an_endpoint_is_told_by_its_own_address_behind_a_corporate_proxy(
    kind: str,
    endpoints: Endpoints,
    image: Pushed,
    certs_d: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    authority = endpoints.authority(kind)
    directory = host_directory(certs_d, authority)
    if kind == "of an unknown CA":
        directory.joinpath("ca.crt").write_bytes(endpoints.unknown_pem.read_bytes())
    if kind == "asking for one":
        write_client_certificate(endpoints, directory)
    conf = configured(tmp_path, authority, more="insecure = true" if kind == "expired" else "")
    corporate = CorporateProxy(tmp_path / "corporate")
    with corporate.daemon:
        options = {"ns_certs_d": str(certs_d)}
        mitmdump = mitmdump_factory(conf=conf, modes=[f"upstream:{corporate.url}"], options=options)
        assert_pulls(curl_factory, Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem), image)
    asked = corporate.requests()
    assert asked
    assert all(authority in request for request in asked), asked


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca.crt": b"nothing"}, "ca.crt: holds no certificate that can be used"),
        ({"client.cert": b"nothing"}, "client.cert: its key client.key is missing"),
        ({"client.key": b"nothing"}, "client.key: its certificate client.cert is missing"),
        ({"client.key": b"nothing", "client.cert": b"nothing"}, "client.cert: cannot be used with its key client.key"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    files: dict[str, bytes],
    message: str,
    endpoints: Endpoints,
    certs_d: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
) -> None:
    good = endpoints.authority("good")
    directory = host_directory(certs_d, good)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    mitmdump = mitmdump_factory(conf=configured(tmp_path, good), options={"ns_certs_d": str(certs_d)})
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    got = curl(f"https://{SOURCE}/v2/{REPOSITORY}/manifests/v1", headers=ACCEPT)
    assert (got.status, got.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    assert message in got.json()["errors"][0]["message"]
    assert f"{directory}/{message}" in mitmdump.log()


def test_skopeo_pulls_from_an_endpoint_with_its_own_ca(
    endpoints: Endpoints,
    image: Pushed,
    certs_d: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    skopeo_factory: SkopeoFactory,
) -> None:
    private = endpoints.authority("of an unknown CA")
    host_directory(certs_d, private).joinpath("ca.crt").write_bytes(endpoints.unknown_pem.read_bytes())
    mitmdump = mitmdump_factory(conf=configured(tmp_path, private), options={"ns_certs_d": str(certs_d)})
    skopeo = skopeo_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    assert skopeo.copy(f"docker://{SOURCE}/{REPOSITORY}:v1", f"oci:{tmp_path / 'copy'}:v1") == image.digest


def test_skopeo_pulls_from_an_insecure_endpoint(
    endpoints: Endpoints,
    image: Pushed,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    skopeo_factory: SkopeoFactory,
) -> None:
    mitmdump = mitmdump_factory(conf=configured(tmp_path, endpoints.authority("expired"), more="insecure = true"))
    skopeo = skopeo_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    assert skopeo.copy(f"docker://{SOURCE}/{REPOSITORY}:v1", f"oci:{tmp_path / 'copy'}:v1") == image.digest
