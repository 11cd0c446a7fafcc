"""Knows the mirrors: nginx servers with the same content, strict about `ns`, that cost as little as a server can.

A registry proxy with a real registry behind it would take most of the machine for itself.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

from lab.process import free_port, listens, wait_until
from tests.bench.upstream import filled, nginx

from .content import INDEX_TYPE, MANIFEST_TYPE, Content

_CONFIG: Final = """
daemon off;
master_process off;
worker_processes 1;
user root;
pid @dir@/nginx.pid;
error_log @dir@/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  sendfile on;
  types { }
  client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
  uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
  map_hash_bucket_size 256;
  map_hash_max_size 4096;
  map $arg_ns $is_known {
    default 0;
@namespaces@
  }
  map $uri $document_digest {
    default "";
@digests@
  }
  server {
    listen 127.0.0.1:@port@ backlog=1024;
    root @root@;
    add_header OCI-Namespace $arg_ns;
    location = /v2/ { default_type application/json; return 200 '{}'; }
    location / { return 404; }
    location ~ ^/v2/.*/tags/list$ {
      if ($is_known = 0) { return 404; }
      default_type application/json;
    }
    location ~ ^/v2/.*/blobs/ {
      if ($is_known = 0) { return 404; }
      default_type application/octet-stream;
    }
    location ~ ^/v2/.*/manifests/ {
      if ($is_known = 0) { return 404; }
      default_type @manifest_type@;
      add_header OCI-Namespace $arg_ns;
      add_header Docker-Content-Digest $document_digest;
    }
@indexes@
  }
}
"""

_INDEX: Final = """
    location = @path@ {
      if ($is_known = 0) { return 404; }
      default_type @type@;
      add_header OCI-Namespace $arg_ns;
      add_header Docker-Content-Digest $document_digest;
    }
"""


class Mirror:
    """One mirror, which can be ended and started again by the thread that started it first."""

    def __init__(self, name: str, directory: Path, content: Content, namespaces: tuple[str, ...]) -> None:
        self.name = name
        directory.mkdir(parents=True)
        self.port = free_port()
        self.authority = f"127.0.0.1:{self.port}"
        indexes = [each for each in content.documents if each.media_type == INDEX_TYPE]
        values = {
            "dir": str(directory),
            "root": str(content.root),
            "port": str(self.port),
            "namespaces": "\n".join(f'    "{each}" 1;' for each in namespaces),
            "digests": "\n".join(f'    "{each.path}" "{each.digest}";' for each in content.documents),
            "manifest_type": MANIFEST_TYPE,
            "indexes": "".join(filled(_INDEX, {"path": each.path, "type": INDEX_TYPE}) for each in indexes),
        }
        self._daemon = nginx(f"mirror {name}", directory, filled(_CONFIG, values), self.port)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._daemon.start()

    def end(self, *, kill: bool) -> None:
        """End it: as an administrator does, or all at once. Connections break either way."""
        if kill:
            os.kill(self._daemon.pid, signal.SIGKILL)
            wait_until(lambda: not self._daemon.alive(), f"mirror {self.name} is killed")
        self._daemon.stop()
        assert not listens(self.port, "127.0.0.1")
