"""Knows the server behind the peers: an nginx with a manifest and a blob, much faster than all that is measured.

It writes down the requests that carry `X-Peer`, and no others.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from lab.process import Daemon, clean_env, free_port, listens, require, wait_until
from lab.registries import fetch

from .bench import Bench
from .target import NAMESPACE

_LAYERS: Final = 4
CERTIFICATE_NAME: Final = "localhost"
"""For those who cannot verify an address: nginx and HAProxy."""
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"

_CONFIG: Final = """
daemon off;
master_process off;
worker_processes 1;
pid @dir@/nginx.pid;
error_log @dir@/error.log;
events { worker_connections 4096; }
http {
  log_format seen escape=json
    '{"peer":"$http_x_peer","method":"$request_method","target":"$request_uri","host":"$http_host"}';
  map $http_x_peer $seen { default 1; "" 0; }
  access_log @dir@/seen.log seen if=$seen;
  keepalive_requests 1000000000;
  sendfile on;
  tcp_nopush on;
  types { }
  client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
  uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
  server {
    listen 127.0.0.1:@port@ @tls@ backlog=1024;
    @certificate@
    add_header OCI-Namespace @namespace@;
    location ~ /manifests/ {
      default_type @manifest_type@;
      add_header OCI-Namespace @namespace@;
      add_header Docker-Content-Digest @manifest_digest@;
      return 200 '@manifest@';
    }
    location ~ /blobs/ {
      default_type application/octet-stream;
      root @dir@;
      try_files /blob =404;
    }
    location / { return 404; }
  }
}
"""


class Upstream:
    """The server; to be started and stopped."""

    def __init__(self, bench: Bench, *, tls: bool = False, blob: Path | None = None) -> None:
        """Every path with /manifests/ in it is the manifest, every one with /blobs/ the file `blob`."""
        directory = bench.new_directory("upstream")
        self.tls = tls
        port = free_port()
        self.authority = f"127.0.0.1:{port}"
        self.url = f"{'https' if tls else 'http'}://{self.authority}"
        self._seen = directory / "seen.log"
        manifest = _manifest()
        values = {
            "dir": str(directory),
            "port": str(port),
            "tls": "ssl" if tls else "",
            "certificate": certificate(bench) if tls else "",
            "namespace": NAMESPACE,
            "manifest_type": MANIFEST_TYPE,
            "manifest_digest": f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}",
            "manifest": manifest,
        }
        if blob is not None:
            (directory / "blob").symlink_to(blob)
        self.daemon = nginx("upstream", directory, filled(_CONFIG, values), port)

    def seen_from(self, peer: str, url: str, *, host: str = "") -> tuple[dict[str, Any], bytes]:
        """Ask a peer for `url` (at `host`): the request that arrived here, and the body of the answer."""
        before = len(self._lines(peer))
        answer = fetch(url, {"X-Peer": peer, "Accept": MANIFEST_TYPE} | ({"Host": host} if host else {}))
        assert answer.status == 200, f"{peer} answers {answer.status} for {url}: {answer.body[:500]!r}"
        wait_until(lambda: len(self._lines(peer)) > before, f"a request from {peer} arrives")
        return self._lines(peer)[-1], answer.body

    def _lines(self, peer: str) -> list[dict[str, Any]]:
        lines = self._seen.read_text().split("\n")[:-1]
        return [seen for line in lines if (seen := json.loads(line))["peer"] == peer]


def nginx(name: str, directory: Path, config: str, port: int) -> Daemon:
    """An nginx with this configuration, which listens on `port`."""
    file = directory / "nginx.conf"
    file.write_text(config)
    return Daemon(
        name,
        [require("nginx"), "-p", directory, "-e", directory / "error.log", "-c", file],
        log=directory / "nginx.out",
        ready=lambda: listens(port, "127.0.0.1"),
        env=clean_env(directory),
        cwd=directory,
    )


def certificate(bench: Bench) -> str:
    """nginx's directives for a certificate for 127.0.0.1 and `CERTIFICATE_NAME`."""
    chain, key = bench.authority.issue("127.0.0.1", CERTIFICATE_NAME)
    return f"ssl_certificate {chain}; ssl_certificate_key {key};"


def filled(text: str, values: dict[str, str]) -> str:
    """A template with its `@name@` replaced."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _manifest() -> str:
    def descriptor(kind: str, size: int) -> dict[str, Any]:
        digest = hashlib.sha256(f"{kind}{size}".encode()).hexdigest()
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": size}

    layers = [descriptor("layer.v1.tar+gzip", 10_000_000 + number) for number in range(_LAYERS)]
    config = descriptor("config.v1+json", 2_000)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
    return json.dumps(manifest, separators=(",", ":"))
