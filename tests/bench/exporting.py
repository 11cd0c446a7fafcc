"""Knows the engines that configurations are exported to: how each runs what was exported, and what passes all on.

The plain configuration is what somebody writes by hand for a proxy of one endpoint: connections are kept on both sides,
and bodies are streamed as in the exported one. Either runs with one worker or thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.engines import program, write
from lab.process import Daemon, clean_env, free_port, listens
from oci_ns.conf_files import parse_text
from oci_ns.export.contract import Exported, Listen, Settings
from oci_ns.export.envoy.config import export as export_envoy
from oci_ns.export.haproxy.config import export as export_haproxy
from oci_ns.export.nginx.config import export as export_nginx
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Tabulation
from oci_ns.index import RouteIndex
from oci_ns.routes import RouteTable

from .bench import Bench
from .upstream import filled

_NGINX: Final = """
worker_processes auto;
pid @dir@/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
  uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
  upstream endpoint { server @upstream@; keepalive 64; }
  server {
    listen 127.0.0.1:@port@;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_buffer_size 64k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    location / {
      proxy_pass http://endpoint;
      proxy_set_header Host @upstream@;
      proxy_set_header Connection "";
    }
  }
}
"""

_HAPROXY: Final = """
global
  tune.bufsize 32768
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 30s
  timeout http-keep-alive 300s
  http-reuse safe
  retries 1
  retry-on empty-response
frontend clients
  bind 127.0.0.1:@port@
  default_backend endpoint
backend endpoint
  http-request set-header host @upstream@
  server at @upstream@
"""

_ENVOY: Final = """
static_resources:
  listeners:
  - name: listener
    address: {socket_address: {address: 127.0.0.1, port_value: @port@}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: listener
          generate_request_id: false
          server_header_transformation: PASS_THROUGH
          stream_idle_timeout: 0s
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: endpoint, timeout: 0s, host_rewrite_literal: "@upstream@"}
  clusters:
  - name: endpoint
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: endpoint
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: @host@, port_value: @upstream_port@}}}
"""


def _nginx(directory: Path, main: Path) -> list[str]:
    alone = "daemon off; master_process off;"
    return [program("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(main), "-g", alone]


def _haproxy(_: Path, main: Path) -> list[str]:
    return [program("haproxy"), "-db", "-f", str(main)]


def _envoy(_: Path, main: Path) -> list[str]:
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"]
    return [program("envoy"), "-c", str(main), *options]


def _alone(text: str) -> str:
    """HAProxy's configuration with one thread."""
    return re.sub(r"^global$", "global\n  nbthread 1", text, flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that proxies: its configurations, and how it is started."""

    name: str
    plain: str
    export: Callable[[Tabulation, Settings], Exported]
    command: Callable[[Path, Path], list[str]]
    alone: Callable[[str], str] = field(default=lambda text: text)
    """What a configuration is with one worker, where the command does not say it."""


ENGINES: Final = (
    Engine("nginx", _NGINX, export_nginx, _nginx),
    Engine("HAProxy", _HAPROXY, export_haproxy, _haproxy, _alone),
    Engine("Envoy", _ENVOY, export_envoy, _envoy),
)


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that runs with one configuration."""

    name: str
    url: str
    daemon: Daemon
    arrives: str
    """The registry as `ns` in what it sends; '' for none."""

    def asked(self, rest: str) -> str:
        """The URL at which a client finds `rest` (a repository and what is below it)."""
        return f"{self.url}/v2/{rest}"

    def arriving(self, rest: str) -> str:
        """The request target that has to arrive upstream then."""
        return f"/v2/{rest}?ns={self.arrives}" if self.arrives else f"/v2/{rest}"

    def processor_seconds(self) -> float:
        """The processor time it has taken so far."""
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def host_of(number: int) -> str:
    """The name of a registry of the table."""
    return f"registry-{number}.example.com"


def table_of(registries: int, *endpoints: str) -> str:
    """A registries.conf in which every registry is asked for at these endpoints (host and port) in turn, with `ns`."""
    *mirrors, last = endpoints

    def registry(name: str) -> str:
        more = "".join(
            f'[[registry.mirror]]\nlocation = "{each}"\nnamespace-proxy = "{name}"\nplain-http = true\n'
            for each in mirrors
        )
        own = f'location = "{last}"\nnamespace-proxy = "{name}"\nplain-http = true\n'
        return f'[[registry]]\nprefix = "{name}"\n{own}{more}'

    return "\n".join(registry(host_of(number)) for number in range(registries))


def tabulated(conf: str) -> Tabulation:
    """The table of a registries.conf, for requests by http."""
    document = parse_text(Path("registries.conf"), conf.encode())
    return tabulate(RouteTable(RouteIndex(document.registries.values())), "http")


def plain(bench: Bench, engine: Engine, upstream: str) -> Running:
    """The engine with its plain configuration; to be started."""
    directory, port = bench.new_directory("plain"), free_port()
    host, _, upstream_port = upstream.partition(":")
    values = {"dir": str(directory), "port": str(port), "upstream": upstream, "host": host}
    files = {"plain.yaml": filled(engine.plain, values | {"upstream_port": upstream_port})}
    return _running(engine, f"{engine.name}, plain", directory, files, port, "")


def exported(bench: Bench, engine: Engine, name: str, table: Tabulation, arrives: str) -> Running:
    """The engine with what is exported for it; to be started."""
    directory, port = bench.new_directory("exported"), free_port()
    # The registries themselves are never asked, nor is a name server.
    settings = Settings((Listen("127.0.0.1", port),), resolvers=("127.0.0.1:53",), directory=str(directory))
    return _running(engine, name, directory, engine.export(table, settings).files, port, arrives)


def _running(engine: Engine, name: str, directory: Path, files: Mapping[str, str], port: int, arrives: str) -> Running:
    main = write(directory, files)
    main.write_text(engine.alone(main.read_text()))
    daemon = Daemon(
        engine.name.lower(),
        engine.command(directory, main),
        log=directory / "engine.log",
        ready=lambda: listens(port, "127.0.0.1"),
        env=clean_env(directory),
        cwd=directory,
        # HAProxy looks the registries' names up, one after another, which no name server may know.
        timeout=90,
    )
    return Running(name, f"http://127.0.0.1:{port}", daemon, arrives)
