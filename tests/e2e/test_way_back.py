"""The way back: pushing, paging, mounting and deleting through a reverse-mode listener, the location having a path.

The registry proxy keeps the repositories of docker.io below `team/`. A client names them below the listener's address,
as `docker.io/…` or as `team/…`, and never sees the registry proxy's own name, nor `ns`. One registry behind it answers
with absolute references, one with relative ones (lists of tags come in pages, which distribution 2.8 itself cannot do),
one wants a token from a service at the registry proxy's own name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urljoin

import pytest

from lab.clients import Response
from lab.fixtures import CurlFactory, DockerdFactory, Images, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.images import Layout
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.paging import Paging
from lab.process import Daemon, clean_env, free_port, listens, require
from lab.registries import Registry
from lab.token_service import ISSUER, PATH, TokenService

HOST = "team-proxy.example.com"
ADDRESS = "198.51.100.60"
USER, PASSWORD = "robot", "correct-horse"

CONFIG = """
daemon off;
master_process off;
pid @dir@/nginx.pid;
error_log @dir@/error.log info;
events {}
http {
  log_format requests '$request_method $host:$server_port $request_uri $status';
  access_log @dir@/access.log requests;
  client_body_temp_path @dir@/body; proxy_temp_path @dir@/proxy; fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi; scgi_temp_path @dir@/scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
@servers@
}
"""
SERVER = """
  server {
    listen @address@:@port@;
    location = /v2/ { proxy_pass http://@backend@; }
    location /v2/ {
      if ($arg_ns != "docker.io") { return 404; }
      proxy_pass http://@backend@;
    }
    location ~ ^/v2/.*/tags/list$ {
      if ($arg_ns != "docker.io") { return 404; }
      proxy_pass http://@paging@;
    }
    location @token_path@ { proxy_pass http://@tokens@; }
  }
"""


def filled(template: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    return template


class TokenRegistry(Registry):
    """A registry that wants a token of a service whose address is the registry proxy's own."""

    def __init__(self, name: str, directory: Path, realm: str, tokens: TokenService) -> None:
        self._token = {"realm": realm, "service": "team", "issuer": ISSUER, "rootcertbundle": str(tokens.signer.root)}
        super().__init__(name, directory)

    def _config(self, relative_urls: bool) -> dict[str, object]:
        return super()._config(relative_urls) | {"auth": {"token": self._token}}


class Proxy:
    """The registry proxy, one port for each of the registries behind it."""

    def __init__(
        self, directory: Path, backends: Mapping[str, tuple[str, str]], ports: Mapping[str, int], tokens: str
    ) -> None:
        """`backends` are a registry and where its lists of tags are paged; `tokens` is the token service."""
        directory.mkdir()
        self.ports = ports
        self._log = directory / "access.log"
        servers = ""
        for kind, (registry, paging) in backends.items():
            values = {"address": ADDRESS, "port": ports[kind], "backend": registry, "paging": paging}
            servers += filled(SERVER, values | {"tokens": tokens, "token_path": PATH})
        config = directory / "nginx.conf"
        config.write_text(filled(CONFIG, {"servers": servers, "dir": directory}))
        self.daemon = Daemon(
            "team proxy",
            [require("nginx"), "-p", directory, "-e", directory / "error.log", "-c", config],
            log=directory / "nginx.log",
            ready=lambda: all(listens(port, ADDRESS) for port in ports.values()),
            env=clean_env(directory),
        )

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture(scope="module")
def proxy(lab_directory: Path, network: PrivateNetwork) -> Iterator[Proxy]:
    network.add_address(ADDRESS)
    network.add_host(HOST, ADDRESS)
    ports = {kind: free_port() for kind in ("absolute", "relative", "token")}
    token_port = free_port()
    directory = lab_directory / "team-tokens"
    tokens = TokenService(directory, {USER: PASSWORD}, address="127.0.0.1", port=token_port, push=True)
    with (
        Registry("absolute", lab_directory) as absolute,
        Registry("relative", lab_directory, relative_urls=True) as relative,
        TokenRegistry("asking", lab_directory, f"http://{HOST}:{ports['token']}{PATH}", tokens) as asking,
        tokens,
        Paging(absolute, absolute=True) as absolute_pages,
        Paging(relative, absolute=False) as relative_pages,
    ):
        backends = {
            "absolute": (absolute.authority, absolute_pages.authority),
            "relative": (relative.authority, relative_pages.authority),
            "token": (asking.authority, asking.authority),
        }
        proxy = Proxy(lab_directory / "team-proxy", backends, ports, f"127.0.0.1:{token_port}")
        with proxy.daemon:
            yield proxy


def configuration(directory: Path, authority: str) -> Path:
    path = directory / "registries.conf"
    path.write_text(
        '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
        f'[[registry.mirror]]\nlocation = "{authority}/team"\nnamespace-proxy = "docker.io"\nplain-http = true\n'
    )
    return path


def listening(factory: MitmdumpFactory, directory: Path, authority: str) -> Mitmdump:
    return factory(
        conf=configuration(directory, authority),
        modes=[f"reverse:http://{authority}"],
        options={"ns_default": "docker.io"},
    )


@pytest.fixture(params=["absolute", "relative"])
def listener(
    request: pytest.FixtureRequest, proxy: Proxy, tmp_path: Path, mitmdump_factory: MitmdumpFactory
) -> Mitmdump:
    return listening(mitmdump_factory, tmp_path, f"{HOST}:{proxy.ports[request.param]}")


@pytest.fixture(params=["docker.io/", "team/"])
def prefix(request: pytest.FixtureRequest) -> str:
    """How the client's repositories begin: with the registry in the path, or as the registry proxy has them."""
    return str(request.param)


@pytest.fixture
def repository(prefix: str, request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    return f"{prefix}{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"


class Client:
    """A client that follows what it is told, and remembers every reference."""

    def __init__(self, curl_factory: CurlFactory, listener: Mitmdump) -> None:
        self._curl = curl_factory()
        self.base = listener.url
        self.told: list[str] = []

    def __call__(self, method: str, reference: str, body: bytes | None = None, **headers: str) -> Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        got = self._curl(urljoin(self.base, reference), method=method, body=body, headers=fields)
        self.told += [got.headers[name] for name in ("location", "link") if name in got.headers]
        return got


@pytest.fixture
def client(curl_factory: CurlFactory, listener: Mitmdump) -> Iterator[Client]:
    """At the end, nothing the client was told named the registry proxy or an `ns`."""
    made = Client(curl_factory, listener)
    yield made
    assert made.told
    for reference in made.told:
        assert HOST not in reference
        assert "ns=" not in reference


BLOB = b"a blob of its own " * 1000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
OCTETS = "application/octet-stream"


def push_blob(client: Client, repository: str, blob: bytes = BLOB) -> str:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    begun = client("POST", f"/v2/{repository}/blobs/uploads/")
    assert begun.status == 202
    location = begun.headers["location"]
    separator = "&" if "?" in location else "?"
    done = client("PUT", f"{location}{separator}digest={digest}", blob, Content_Type=OCTETS)
    assert (done.status, done.headers["docker-content-digest"]) == (201, digest)
    return done.headers["location"]


def push_manifest(client: Client, repository: str, tag: str) -> str:
    config = b"{}"
    if client("HEAD", f"/v2/{repository}/blobs/sha256:{hashlib.sha256(config).hexdigest()}").status == 404:
        push_blob(client, repository, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": [],
    }
    media_type = str(manifest["mediaType"])
    got = client("PUT", f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), Content_Type=media_type)
    assert got.status == 201, got
    return got.headers["docker-content-digest"]


def test_a_blob_is_pushed_in_one_piece_and_found_where_its_location_says(client: Client, repository: str) -> None:
    location = push_blob(client, repository)
    assert location.endswith(f"/v2/{repository}/blobs/{DIGEST}")
    assert client("GET", location).body == BLOB


def test_a_blob_is_pushed_in_chunks(client: Client, repository: str) -> None:
    location = client("POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
    half = len(BLOB) // 2
    sent = client("PATCH", location, BLOB[:half], Content_Type=OCTETS, Content_Range=f"0-{half - 1}")
    assert (sent.status, sent.headers["range"]) == (202, f"0-{half - 1}")
    status = client("GET", sent.headers["location"])
    assert (status.status, status.headers["range"]) == (204, f"0-{half - 1}")
    sent = client(
        "PATCH", status.headers["location"], BLOB[half:], Content_Type=OCTETS, Content_Range=f"{half}-{len(BLOB) - 1}"
    )
    assert sent.status == 202
    done = client("PUT", f"{sent.headers['location']}&digest={DIGEST}", b"")
    assert (done.status, done.headers["docker-content-digest"]) == (201, DIGEST)
    assert client("GET", done.headers["location"]).body == BLOB


def test_an_upload_is_cancelled(client: Client, repository: str) -> None:
    location = client("POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
    assert client("DELETE", location).status == 204
    assert client("GET", location).status == 404


def test_a_blob_is_mounted_from_another_repository(client: Client, repository: str, proxy: Proxy) -> None:
    push_blob(client, repository)
    got = client("POST", f"/v2/{repository}-too/blobs/uploads/?mount={DIGEST}&from={repository.replace('/', '%2F')}")
    assert (got.status, got.headers["docker-content-digest"]) == (201, DIGEST)
    assert got.headers["location"].endswith(f"/v2/{repository}-too/blobs/{DIGEST}")
    assert client("GET", got.headers["location"]).body == BLOB
    assert f"from=team%2F{repository.partition('/')[2]}" in proxy.log()


def test_a_mount_from_a_repository_that_is_not_there_begins_an_upload(client: Client, repository: str) -> None:
    got = client("POST", f"/v2/{repository}/blobs/uploads/?mount={DIGEST}&from=elsewhere/app")
    assert got.status == 202
    assert client("DELETE", got.headers["location"]).status == 204


def test_tags_and_catalog_are_paged_through(client: Client, repository: str) -> None:
    tags = [f"v{number:02}" for number in range(25)]
    for tag in tags:
        push_manifest(client, repository, tag)
    client.told.clear()
    found: list[str] = []
    following: str | None = f"/v2/{repository}/tags/list?n=1"
    while following:
        got = client("GET", following)
        assert got.status == 200
        found += got.json()["tags"] or []
        link = got.headers.get("link")
        following = link[1 : link.index(">")] if link else None
    assert found == tags
    assert len(client.told) >= 24

    repositories: list[str] = []
    following = "/v2/_catalog?n=1"
    while following:
        got = client("GET", following)
        assert got.status == 200
        repositories += got.json()["repositories"] or []
        link = got.headers.get("link")
        following = link[1 : link.index(">")] if link else None
    assert f"team/{repository.partition('/')[2]}" in repositories


def test_a_manifest_and_a_blob_are_deleted(client: Client, repository: str) -> None:
    digest = push_manifest(client, repository, "v1")
    location = push_blob(client, repository)
    assert client("DELETE", location).status == 202
    assert client("GET", location).status == 404
    assert client("DELETE", f"/v2/{repository}/manifests/{digest}").status == 202
    assert client("GET", f"/v2/{repository}/manifests/v1").status == 404


def test_skopeo_copies_to_the_listener_and_back(
    listener: Mitmdump, repository: str, skopeo_factory: SkopeoFactory, tmp_path: Path
) -> None:
    skopeo = skopeo_factory()
    layout = Layout(tmp_path / "layout")
    layout.write_image("there and back", ("amd64", "arm64"))
    name = f"docker://127.0.0.1:{listener.port}/{repository}:v1"
    pushed = skopeo.copy(f"oci:{layout.directory}", name, tls_verify=False)
    assert skopeo.copy(name, f"oci:{tmp_path / 'back'}:v1", tls_verify=False) == pushed
    # A second time nothing but mounts and what is there already.
    other = f"docker://127.0.0.1:{listener.port}/{repository}-too:v1"
    assert skopeo.copy(name, other, tls_verify=False) == pushed


def test_docker_and_podman_push_to_the_listener(
    listener: Mitmdump,
    repository: str,
    hub: Registry,
    images: Images,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
) -> None:
    source = f"{hub.authority}/{images.hello.repository}:{images.hello.tag}"
    target = f"127.0.0.1:{listener.port}/{repository}"
    docker = dockerd_factory()
    docker.pull(source)
    docker.tag(source, f"{target}:docker")
    pushed = docker.push(f"{target}:docker")
    docker.remove(f"{target}:docker")
    assert docker.pull(f"{target}:docker") == pushed
    podman = podman_factory()
    podman.pull(source, tls_verify=False)
    podman.push(source, f"{target}:podman", tls_verify=False)
    podman.remove_all()
    assert podman.pull(f"{target}:podman", tls_verify=False)


@pytest.mark.parametrize("kind", ["skopeo", "docker"])
def test_a_client_logs_in_at_a_token_service_that_has_the_proxys_own_name(
    kind: str,
    proxy: Proxy,
    repository: str,
    tmp_path: Path,
    hub: Registry,
    images: Images,
    mitmdump_factory: MitmdumpFactory,
    skopeo_factory: SkopeoFactory,
    dockerd_factory: DockerdFactory,
    curl_factory: CurlFactory,
) -> None:
    listener = listening(mitmdump_factory, tmp_path, f"{HOST}:{proxy.ports['token']}")
    challenged = curl_factory()(f"{listener.url}/v2/")
    assert challenged.status == 401
    assert f'realm="{listener.url}{PATH}"' in challenged.headers["www-authenticate"]
    target = f"127.0.0.1:{listener.port}/{repository}:v1"
    if kind == "skopeo":
        layout = Layout(tmp_path / "layout")
        layout.write_image("with a token", ())
        login = ["--dest-creds", f"{USER}:{PASSWORD}"]
        assert (
            skopeo_factory()
            .copy(f"oci:{layout.directory}", f"docker://{target}", tls_verify=False, options=login)
            .startswith("sha256:")
        )
        return
    docker = dockerd_factory()
    source = f"{hub.authority}/{images.hello.repository}:{images.hello.tag}"
    docker.pull(source)
    docker.docker("login", "--username", USER, "--password", PASSWORD, f"127.0.0.1:{listener.port}")
    docker.tag(source, target)
    assert docker.push(target).startswith("sha256:")
