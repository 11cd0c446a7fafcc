"""Knows the peers: what stands between client and upstream, and how each is started so that all do the same.

Every peer but `direct` and `bare mitmdump` does the rewrite of `target`; `same` sees to it that they really do.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from lab.mitmdump import ADDON, Mitmdump
from lab.process import Daemon, clean_env, free_port, listens, require

from .bench import Bench
from .runners import QuietMitmdump, QuietServe
from .target import NAMESPACE, asked, registries_conf, wanted
from .upstream import CERTIFICATE_NAME, certificate, filled, nginx


class Kind(enum.StrEnum):
    """The peers, by the name they have in tables."""

    DIRECT = "direct"
    BARE = "bare mitmdump"
    STOCK = "mitmdump with the addon"
    STOCK_REDIRECT = "mitmdump with the addon, ns_blobs=redirect"
    MAP_REMOTE = "mitmdump --map-remote"
    SERVE = "ns-inject serve"
    SERVE_WORKERS = "ns-inject serve --workers 2"
    NGINX = "nginx"
    HAPROXY = "HAProxy"


_WORKERS: Final = {Kind.SERVE: 1, Kind.SERVE_WORKERS: 2}


class _Running(Protocol):
    @property
    def pid(self) -> int: ...

    @property
    def argv(self) -> list[str]: ...


@dataclass(frozen=True)
class Peer:
    """A peer that runs; `direct` is none at all."""

    kind: Kind
    url: str
    """Scheme, host and port where a client asks."""
    upstream: str
    """Host and port of what it asks."""
    daemon: _Running | None = None

    @property
    def name(self) -> str:
        """Its name in tables."""
        return str(self.kind)

    @property
    def authority(self) -> str:
        """Host and port where a client asks."""
        return self.url.partition("://")[2]

    def asked(self, rest: str) -> str:
        """The URL at which a client finds `rest` (a repository and what is below it)."""
        return self.url + (wanted(rest) if self.kind is Kind.DIRECT else asked(rest))

    def arriving(self, rest: str) -> str:
        """The request target that has to arrive upstream then."""
        return asked(rest) if self.kind is Kind.BARE else wanted(rest)

    def image(self, repository: str) -> str:
        """What a registry client calls a repository here."""
        return f"{self.authority}/{repository if self.kind is Kind.DIRECT else f'{NAMESPACE}/{repository}'}"

    @property
    def pid(self) -> int:
        """The process id of a peer that has a process."""
        assert self.daemon is not None
        return self.daemon.pid

    @property
    def command(self) -> str:
        """How it was started."""
        return "" if self.daemon is None else shlex.join(self.daemon.argv)


def start(
    bench: Bench,
    stack: ExitStack,
    kinds: Sequence[Kind],
    upstream: str,
    *,
    tls: bool = False,
    scripts: Sequence[Path] = (),
) -> list[Peer]:
    """Start these peers in front of `upstream` (host and port), with TLS on both sides or on none.

    `scripts` are further ones for mitmproxy.

    They end with `stack`.
    """
    return [_started(bench, stack, kind, upstream, tls, scripts) for kind in kinds]


def _started(bench: Bench, stack: ExitStack, kind: Kind, upstream: str, tls: bool, scripts: Sequence[Path]) -> Peer:
    bench.say(f"starting {kind}")
    scheme = "https" if tls else "http"
    if kind is Kind.DIRECT:
        return Peer(kind, f"{scheme}://{upstream}", upstream)
    directory = bench.new_directory(kind.name.lower())
    daemon: Mitmdump | Daemon
    if kind in (Kind.NGINX, Kind.HAPROXY):
        port = free_port()
        make = _nginx if kind is Kind.NGINX else _haproxy
        daemon = make(bench, directory, upstream, port, tls)
    else:
        daemon = _mitmproxy(bench, directory, kind, upstream, tls, scripts)
        port = daemon.port
    stack.enter_context(daemon)
    return Peer(kind, f"{scheme}://127.0.0.1:{port}", upstream, daemon)


def _mitmproxy(
    bench: Bench, directory: Path, kind: Kind, upstream: str, tls: bool, scripts: Sequence[Path]
) -> Mitmdump:
    conf = directory / "registries.conf"
    conf.write_text(registries_conf(upstream, plain=not tls))
    trusted = bench.authority.pem if tls else None
    modes = [f"reverse:{'https' if tls else 'http'}://{upstream}"]
    options: dict[str, str] = {}
    if kind is Kind.MAP_REMOTE:
        options["map_remote"] = rf"|/v2/{NAMESPACE.replace('.', '[.]')}/([^?]*)$|/v2/\1?ns={NAMESPACE}"
    if kind is Kind.STOCK_REDIRECT:
        options["ns_blobs"] = "redirect"
    if kind in _WORKERS:
        workers = _WORKERS[kind]
        return QuietServe(
            directory, workers=workers, conf=conf, modes=modes, options=options, scripts=scripts, trusted_ca=trusted
        )
    if kind in (Kind.STOCK, Kind.STOCK_REDIRECT):
        return QuietMitmdump(
            directory, conf=conf, modes=modes, options=options, scripts=(ADDON, *scripts), trusted_ca=trusted
        )
    return QuietMitmdump(directory, modes=modes, options=options, scripts=scripts, trusted_ca=trusted)


_NGINX: Final = """
daemon off;
master_process off;
worker_processes 1;
pid @dir@/nginx.pid;
error_log @dir@/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
  uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
  upstream endpoint { server @upstream@; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:@port@ @tls@ backlog=1024;
    @certificate@
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host @upstream@;
    proxy_max_temp_file_size 0;
    @verify@
    location /v2/@namespace@/ {
      rewrite ^/v2/@pattern@/(.*)$ /v2/$1?ns=@namespace@ break;
      proxy_pass @scheme@://endpoint;
    }
    location / { return 404; }
  }
}
"""


def _nginx(bench: Bench, directory: Path, upstream: str, port: int, tls: bool) -> Daemon:
    trust = f"proxy_ssl_verify on; proxy_ssl_name {CERTIFICATE_NAME}; "
    trust += f"proxy_ssl_trusted_certificate {bench.authority.pem};"
    values = {
        "dir": str(directory),
        "upstream": upstream,
        "port": str(port),
        "tls": "ssl" if tls else "",
        "certificate": certificate(bench) if tls else "",
        "verify": trust if tls else "",
        "namespace": NAMESPACE,
        "pattern": NAMESPACE.replace(".", r"\."),
        "scheme": "https" if tls else "http",
    }
    return nginx("nginx", directory, filled(_NGINX, values), port)


_HAPROXY: Final = r"""
global
  nbthread 1
  maxconn 4096
  ssl-server-verify required
defaults
  mode http
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  http-reuse always
frontend clients
  bind 127.0.0.1:@port@ @tls@
  default_backend endpoint
backend endpoint
  http-request set-header Host @upstream@
  http-request set-query ns=@namespace@ if { path_beg /v2/@namespace@/ }
  http-request replace-path /v2/@pattern@/(.*) /v2/\1
  server endpoint @upstream@ @verify@
"""


def _haproxy(bench: Bench, directory: Path, upstream: str, port: int, tls: bool) -> Daemon:
    pem = directory / "server.pem"
    if tls:
        chain, key = bench.authority.issue("127.0.0.1", CERTIFICATE_NAME)
        pem.write_text(key.read_text() + chain.read_text())
    values = {
        "port": str(port),
        "upstream": upstream,
        "namespace": NAMESPACE,
        "pattern": NAMESPACE.replace(".", r"\."),
        "tls": f"ssl crt {pem}" if tls else "",
        "verify": f"ssl ca-file {bench.authority.pem} verifyhost {CERTIFICATE_NAME}" if tls else "",
    }
    config = directory / "haproxy.cfg"
    config.write_text(filled(_HAPROXY, values))
    return Daemon(
        "haproxy",
        [require("haproxy"), "-db", "-f", config],
        log=directory / "haproxy.log",
        ready=lambda: listens(port, "127.0.0.1"),
        env=clean_env(directory),
        cwd=directory,
    )


def commands(peers: Sequence[Peer]) -> Mapping[str, str]:
    """How each was started."""
    return {peer.name: peer.command for peer in peers if peer.command}
