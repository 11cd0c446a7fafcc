"""Knows registries that want to know who pulls, and how to see from outside whether they were told.

Behind one nginx, which logs for each request whether there was an ``Authorization``, are two registries with the
content of another one: ``password.example.com`` wants user name and password (htpasswd), ``token.example.com`` a token
of the token service ``auth.example.com``. The nginx answers on ports 443 (HTTPS) and 80.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .certificates import CertificateAuthority
from .network import PrivateNetwork
from .process import Daemon, clean_env, free_port, listens, require, run
from .registries import Registry, fetch
from .token_service import ISSUER, PATH, TokenService

ADDRESS = "198.51.100.50"
PASSWORD_REGISTRY = "password.example.com"
TOKEN_REGISTRY = "token.example.com"
TOKEN_SERVICE = "auth.example.com"
TOKEN_SERVICE_PORT = 8443
SERVICE = "the private registry"

USER = "robot"
PASSWORD = "correct-horse-battery-staple"

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
  log_format requests escape=json '{"method":"$request_method","target":"$request_uri","host":"$host",'
    '"scheme":"$scheme","status":"$status","authorization":"$kind"}';
  map $http_authorization $kind { default "other"; "" "none"; "~*^basic " "basic"; "~*^bearer " "bearer"; }
  map $host $backend {
    default "";
@backends@
  }
  access_log @dir@/access.log requests;
  client_body_temp_path @dir@/body;
  proxy_temp_path @dir@/proxy;
  fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi;
  scgi_temp_path @dir@/scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {
    listen @address@:80;
    listen @address@:443 ssl http2;
    ssl_certificate @chain@;
    ssl_certificate_key @key@;
    location / {
      if ($backend = "") { return 404; }
      proxy_pass http://$backend;
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
    """One request a private registry answered, as it arrived there."""

    method: str
    target: str
    host: str
    scheme: str
    status: int
    authorization: str
    """``none``, ``basic``, ``bearer`` or ``other``."""


class _Behind(Registry):
    """A registry with the content of another one, for those who can say who they are."""

    def __init__(self, name: str, directory: Path, content: Registry, auth: Mapping[str, Any]) -> None:
        self._content = content
        self._auth = dict(auth)
        super().__init__(name, directory)

    def _config(self, relative_urls: bool) -> dict[str, Any]:
        config = super()._config(relative_urls)
        config["storage"] |= {"filesystem": {"rootdirectory": str(self._content.storage)}}
        return config | {"auth": self._auth}


class PrivateRegistries:
    """Both registries, the token service, and the nginx before them."""

    def __init__(
        self, directory: Path, network: PrivateNetwork, authority: CertificateAuthority, content: Registry
    ) -> None:
        """``content`` is the registry that has what can be pulled, for everybody."""
        directory.mkdir(parents=True)
        network.add_address(ADDRESS)
        for name in (PASSWORD_REGISTRY, TOKEN_REGISTRY, TOKEN_SERVICE):
            network.add_host(name, ADDRESS)
        certificate = authority.issue(PASSWORD_REGISTRY, TOKEN_REGISTRY, TOKEN_SERVICE)
        self.tokens = TokenService(
            directory, {USER: PASSWORD}, address=ADDRESS, port=TOKEN_SERVICE_PORT, certificate=certificate
        )
        self._registries = {
            PASSWORD_REGISTRY: _Behind("password", directory, content, _htpasswd(directory)),
            TOKEN_REGISTRY: _Behind("token", directory, content, _token_auth(self.tokens)),
        }
        self._access_log = directory / "access.log"
        self._flush_port = free_port()
        self._mark = 0
        backends = (f'    "{name}" "{each.authority}";' for name, each in self._registries.items())
        replacements = {
            "dir": str(directory),
            "backends": "\n".join(backends),
            "address": ADDRESS,
            "chain": str(certificate[0]),
            "key": str(certificate[1]),
            "flush_port": str(self._flush_port),
        }
        text = _CONFIG
        for name, value in replacements.items():
            text = text.replace(f"@{name}@", value)
        config = directory / "nginx.conf"
        config.write_text(text)
        self._daemon = Daemon(
            "private registries",
            [require("nginx"), "-p", directory, "-e", directory / "error.log", "-c", config],
            log=directory / "nginx.log",
            ready=lambda: listens(443, ADDRESS) and listens(self._flush_port, "127.0.0.1"),
            env=clean_env(directory),
            cwd=directory,
        )

    def mark(self) -> None:
        """Let ``requests``, and those of the token service, begin here."""
        self._mark = len(self._lines())
        self.tokens.clear()

    def requests(self) -> list[Request]:
        """The requests answered since the last mark."""
        parsed = [json.loads(line) for line in self._lines()[self._mark :]]
        return [Request(**{**fields, "status": int(fields["status"])}) for fields in parsed]

    def _lines(self) -> list[str]:
        # A client has its answer a moment before the line is in the log. What comes after that moment is one more
        # request to the same process.
        flushed = fetch(f"http://127.0.0.1:{self._flush_port}/")
        assert flushed.status == 204, flushed
        return self._access_log.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]

    def start(self) -> Self:
        """Start all of it."""
        self.tokens.start()
        for registry in self._registries.values():
            registry.start()
        self._daemon.start()
        return self

    def stop(self) -> None:
        """Stop all of it."""
        self._daemon.stop()
        for registry in self._registries.values():
            registry.stop()
        self.tokens.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _htpasswd(directory: Path) -> dict[str, Any]:
    path = directory / "htpasswd"
    # The least costly of bcrypt's, for a registry that checks every single request.
    line = run([require("htpasswd"), "-nbB", "-C", "4", USER, PASSWORD]).stdout
    path.write_text(line)
    return {"htpasswd": {"realm": "the password registry", "path": str(path)}}


def _token_auth(tokens: TokenService) -> dict[str, Any]:
    realm = f"https://{TOKEN_SERVICE}:{TOKEN_SERVICE_PORT}{PATH}"
    return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(tokens.signer.root)}}


def write_authfile(path: Path, *registries: str, user: str = USER, password: str = PASSWORD) -> Path:
    """A containers-auth.json(5), and a Docker config.json, with a login for these registries."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": {registry: {"auth": auth} for registry in registries}}))
    return path


@contextlib.contextmanager
def stalling() -> Iterator[tuple[str, list[str]]]:
    """A registry that wants a password, and once it has it does not answer; its authority, and what it was sent."""
    sent: list[str] = []
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "Authorization" in self.headers:
                sent.append(self.headers["Authorization"])
                end.wait()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="stalling"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", sent
        finally:
            end.set()
            server.shutdown()
            thread.join()
