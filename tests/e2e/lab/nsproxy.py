"""Knows the registry proxy: an nginx that chooses a registry by the request's ``ns`` parameter, and what it was asked.

It is what the addon is supposed to talk to, and deliberately strict: apart from the ping ``/v2/`` it refuses every
request without a namespace it serves. It answers as ``proxy.example.com`` on ports 80 and 5000 (HTTP) and 443 (HTTPS,
HTTP/2).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from .certificates import CertificateAuthority
from .network import PROXY_ADDRESS, PROXY_NAME
from .process import Daemon, clean_env, free_port, listens, require
from .registries import fetch

PLAIN_PORTS = (80, 5000)
TLS_PORT = 443

# A location below the root of the registry proxy: proxy.example.com/quay/<repository> is <repository> of quay.io.
PREFIX, PREFIX_NAMESPACE = "quay", "quay.io"

_PING_PATHS = ("/v2", "/v2/")

_CONFIG = """
daemon off;
# In one process, requests are logged in the order in which they end, which `requests` relies on.
master_process off;
worker_processes 1;
user root;
pid @dir@/nginx.pid;
error_log @dir@/error.log info;
events { worker_connections 256; }
http {
  log_format requests escape=json '{"method":"$request_method","target":"$request_uri","host":"$http_host",'
    '"scheme":"$scheme","protocol":"$server_protocol","port":"$server_port","status":"$status","ns":"$arg_ns",'
    '"user_agent":"$http_user_agent","authorized":"$authorized","peer":"$remote_addr","via":"$http_via"}';
  access_log @dir@/access.log requests;
  map $http_authorization $authorized { default "yes"; "" ""; }
  map $arg_ns $backend {
    default "";
@backends@
  }
  map $http_host $authority { default $http_host; "" $host; }

  client_body_temp_path @dir@/body;
  proxy_temp_path @dir@/proxy;
  fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi;
  scgi_temp_path @dir@/scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_request_buffering off;
  chunked_transfer_encoding on;
  proxy_set_header Host $authority;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-For $remote_addr;
  server_tokens off;
  absolute_redirect off;
  default_type application/json;

  server {
@listen@
    listen @address@:@tls_port@ ssl http2;
    server_name @names@;
    ssl_certificate @chain@;
    ssl_certificate_key @key@;

    add_header OCI-Namespace $arg_ns always;
    error_page 404 = @unknown;

    location = /v2 { try_files /nowhere @ping; }
    location = /v2/ { try_files /nowhere @ping; }
    location @ping {
      add_header OCI-Namespace $arg_ns always;
      add_header Docker-Distribution-Api-Version registry/2.0 always;
      return 200 '{}';
    }
    location /v2/ {
      if ($backend = "") { return 404; }
      proxy_pass http://$backend;
    }
    location /v2/@prefix@/ {
      if ($backend = "") { return 404; }
      if ($arg_ns != "@prefix_namespace@") { return 404; }
      rewrite ^/v2/@prefix@/(.*)$ /v2/$1 break;
      proxy_pass http://$backend;
    }
    location / { return 404; }
    location @unknown {
      add_header OCI-Namespace $arg_ns always;
      return 404 '{"errors":[{"code":"NAME_UNKNOWN","message":"no registry for this namespace","detail":"$arg_ns"}]}';
    }
  }
  server {
    listen 127.0.0.1:@flush_port@;
    access_log off;
    return 204;
  }
}
"""


@dataclass(frozen=True)
class Request:
    """One request the registry proxy answered, as it arrived there."""

    method: str
    target: str
    """Path and query, exactly as they were sent."""
    host: str
    scheme: str
    protocol: str
    port: int
    status: int
    user_agent: str
    authorized: bool
    """Whether there were credentials."""
    peer: str
    via: str

    @property
    def path(self) -> str:
        """The target without the query."""
        return urlsplit(self.target).path

    @property
    def namespaces(self) -> list[str]:
        """Every ``ns`` of the query, in order."""
        query = urlsplit(self.target).query
        return [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "ns"]

    @property
    def is_ping(self) -> bool:
        """Whether this only asks if there is a registry, which belongs to no repository and so to no namespace."""
        return self.path in _PING_PATHS


class NamespaceProxy:
    """The registry proxy, with the backend of each namespace."""

    def __init__(
        self,
        directory: Path,
        authority: CertificateAuthority,
        backends: Mapping[str, str],
        *,
        address: str = PROXY_ADDRESS,
        names: Iterable[str] = (PROXY_NAME,),
    ) -> None:
        """``backends`` are host and port of the registry (with plain HTTP) for each namespace."""
        directory.mkdir(parents=True, exist_ok=True)
        self._address = address
        self._access_log = directory / "access.log"
        self._error_log = directory / "error.log"
        self._flush_port = free_port()
        self._mark = 0
        names = list(names)
        chain, key = authority.issue(*names, address)
        replacements = {
            "dir": str(directory),
            "backends": "\n".join(f'    "{namespace}" "{backend}";' for namespace, backend in backends.items()),
            "listen": "\n".join(f"    listen {address}:{port};" for port in PLAIN_PORTS),
            "address": address,
            "tls_port": str(TLS_PORT),
            "names": " ".join(names),
            "chain": str(chain),
            "key": str(key),
            "prefix": PREFIX,
            "prefix_namespace": PREFIX_NAMESPACE,
            "flush_port": str(self._flush_port),
        }
        text = _CONFIG
        for name, value in replacements.items():
            text = text.replace(f"@{name}@", value)
        config = directory / "nginx.conf"
        config.write_text(text)
        self._daemon = Daemon(
            "registry proxy",
            [require("nginx"), "-p", directory, "-e", self._error_log, "-c", config],
            log=directory / "nginx.log",
            ready=lambda: listens(TLS_PORT, address) and listens(self._flush_port, "127.0.0.1"),
            env=clean_env(directory),
            cwd=directory,
        )

    def mark(self) -> None:
        """Let :meth:`requests` begin here."""
        self._mark = len(self._lines())

    def requests(self) -> list[Request]:
        """The requests answered since the last mark."""
        return [_parse(line) for line in self._lines()[self._mark :]]

    def log(self) -> str:
        """What went wrong, in nginx's words."""
        return self._error_log.read_text(errors="replace")

    def start(self) -> Self:
        """Start the registry proxy."""
        self._daemon.start()
        return self

    def stop(self) -> None:
        """Stop the registry proxy."""
        self._daemon.stop()

    def _lines(self) -> list[str]:
        # A client has its answer a moment before the line is in the log. What comes after that moment is one more
        # request to the same process.
        flushed = fetch(f"http://127.0.0.1:{self._flush_port}/")
        assert flushed.status == 204, flushed
        # Targets are logged as they came, whatever their bytes.
        return self._access_log.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _parse(line: str) -> Request:
    fields: dict[str, str] = json.loads(line)
    return Request(
        method=fields["method"],
        target=fields["target"],
        host=fields["host"],
        scheme=fields["scheme"],
        protocol=fields["protocol"],
        port=int(fields["port"]),
        status=int(fields["status"]),
        user_agent=fields["user_agent"],
        authorized=fields["authorized"] == "yes",
        peer=fields["peer"],
        via=fields["via"],
    )


def assert_namespaced(requests: Iterable[Request], expected_ns: str) -> None:
    """Assert that there were requests for content, and that each of them carried exactly this one namespace.

    The ping aside: it is of no repository, so a mirror cannot know which registry it is for.
    """
    content = 0
    for request in requests:
        if request.is_ping:
            assert len(request.namespaces) <= 1, f"wanted at most one ns: {request}"
            continue
        content += 1
        assert request.namespaces == [expected_ns], f"wanted exactly ns={expected_ns}: {request}"
    assert content, "the registry proxy was asked for nothing but pings"
