"""The rules of the decision beyond the shared vectors, one row each: configuration, request, outcome."""

# The rows below are a table: one line each reads better than wrapped ones.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from oci_ns.conf_files import parse_text
from oci_ns.distribution import Moved
from oci_ns.explain import decide_url, image_object, url_object
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.routes import RouteTable
from tests.unit.settings import settings

SHA = "sha256:" + "9f" * 32


def registry(prefix: str, *mirrors: str, location: str | None = "", more: str = "") -> str:
    """A [[registry]] table. Mirrors are `location [namespace] [key=value …]`; no `location` argument: the prefix."""
    lines = ["[[registry]]", f'prefix = "{prefix}"']
    if location is not None:
        lines.append(f'location = "{location or prefix}"')
    lines += more.split(";")
    for mirror in mirrors:
        place, *rest = mirror.split()
        lines += ["[[registry.mirror]]", f'location = "{place}"']
        lines += [
            item
            if item.startswith(("insecure=", "plain-http=", "pull-from-mirror="))
            else f'namespace-proxy = "{item}"'
            for item in rest
        ]
    return "\n".join(lines) + "\n"


LONG_PATH = "a/" * 600 + "aa"
"""With a host before it, longer than any name."""
HUB = registry("docker.io", "proxy.example.com docker.io")
QUAY = registry("quay.io", "proxy.example.com/quay quay.io")
COREOS = registry("quay.io/coreos", "proxy.example.com/c quay.io")
CONFIGS = {
    "both": HUB + QUAY,
    "coreos": QUAY + COREOS,
    "two mirrors": registry("quay.io", "one.example.com/a quay.io", "two.example.com/b quay.io"),
    "blocked": registry("bad.example.com", "proxy.example.com/bad bad.example.com", more="blocked = true"),
    "half blocked": registry("docker.io/evil", "proxy.example.com docker.io", more="blocked = true") + HUB,
    "tagged": registry("quay.io/coreos/etcd:v1", location="pinned.example.com/etcd:v2") + QUAY,
    "whole repository": registry("quay.io/coreos/etcd", "etcd.example.com/e quay.io"),
    "no repository": registry("quay.io/coreos/etcd", location="etcd.example.com"),
    "self": registry("internal.example.net") + registry("*", "proxy.example.com *", location=None),
    "self with ns": registry("quay.io", more='namespace-proxy = "quay.io"'),
    "wildcard self": registry("*.example.org", location=None, more='namespace-proxy = "*"'),
    "wildcard by digest": registry(
        "*.example.org", "proxy.example.com *", location=None, more="mirror-by-digest-only = true"
    ),
    "wildcard remap": registry("*.example.org", location="flat.example.com/all"),
    "catch-all": registry("*", "proxy.example.com/any *", location=None),
    "default": registry("quay.io", "proxy.example.com quay.io") + registry("ghcr.io", "proxy.example.com ghcr.io"),
    "plain and ns": registry("quay.io", "proxy.example.com/quay.io") + HUB,
    "digest": registry("quay.io", "proxy.example.com quay.io", more="mirror-by-digest-only = true"),
    "split": registry(
        "quay.io", 'd.example.com quay.io pull-from-mirror="digest-only"', 't.example.com quay.io pull-from-mirror="tag-only"'
    ),
    "docker alias": registry("index.docker.io", "proxy.example.com docker.io"),
    "ports": registry("quay.io", "proxy.example.com:80 quay.io plain-http=true"),
    "443": registry("quay.io", "proxy.example.com:443 quay.io"),
    "plain http": registry("quay.io", "proxy.example.com:5000 quay.io plain-http=true"),
    "broken": registry("quay.io", "not!a!host quay.io", "two.example.com quay.io"),
    "scheme": registry("quay.io", "docker://p.com/a quay.io", "p.com/a?b quay.io", "two.example.com quay.io"),
    "all broken": registry("quay.io", location="not!a!host"),
    "odd ns": registry("quay.io", "proxy.example.com a&b=c#d"),
    "other ns": registry("docker.io", "proxy.example.com/hub upstream-hub"),
    "served whole": registry("quay.io/coreos/etcd", "proxy.example.com quay.io"),
    "shared path": registry("docker.io", "proxy.example.com/all docker.io") + registry("quay.io", "proxy.example.com/all quay.io"),
    "any and wildcard": registry("*", "proxy.example.com *", location=None) + registry("*.example.org", "w.example.net *", location=None),
    "port": registry("quay.io", "proxy.example.com:5000/quay quay.io"),
    "port behind a path": registry("quay.io:5000", "proxy.example.com/quay.io quay.io"),
    "http": registry("quay.io", "m.example.com quay.io plain-http=true"),
    "elsewhere": registry("quay.io", location="proxy.example.com", more='namespace-proxy = "*"'),
    "upper case": registry("quay.io", "Proxy.example.com/a quay.io"),
    "caught port": registry("quay.io", "q.example.com") + registry("*.example.org", location=None)
    + registry("*", "proxy.example.com *", location=None),
    "all blocked": registry("a.com", "proxy.example.com/s same", more="blocked = true")
    + registry("b.com", "proxy.example.com/s same", more="blocked = true"),
    "other host's ns": registry("docker.io", "proxy.example.com hub.example.com"),
    "mirrors of a wildcard": registry("*.example.org", "proxy.example.com/w *", location=None),
    "odd case": registry("docker.io", "Proxy.example.com/a:b docker.io") + registry("quay.io", "Proxy.example.com:443 *"),
    "same host": registry("quay.io/old", location="quay.io/new"),
    "starred": registry("quay.io", "proxy.example.com *") + registry("ghcr.io", "proxy.example.com *"),
    "same path": registry("quay.io/a", "proxy.example.com/a quay.io"),
    "long": registry(f"quay.io/{LONG_PATH}", f"proxy.example.com/{LONG_PATH} quay.io")
    + registry("quay.io/a", "proxy.example.com/a ghcr.io"),
    # OpenSSL since version 4 verifies no host of one letter, so it is spoken to by http.
    "one letter": registry("o", "p o plain-http=true", "p/ghcr ghcr.io plain-http=true") + registry("o/q", location="o/r"),
    "itself by http": registry("quay.io", 'd.example.com quay.io pull-from-mirror="digest-only"', more="plain-http = true"),
}  # fmt: skip

P = "https://proxy.example.com"
Q = "https://quay.io"
LONG = "a" * (255 - len(".example.org")) + ".example.org"
ROWS = [
    # -- which requests -----------------------------------------------------------------------------------------
    ("both", {}, "GET", f"{P}/v2", "rewrite", "docker.io", "location", f"{P}/v2?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v20/", "pass", None, None, f"{P}/v20/"),
    ("both", {}, "OPTIONS", f"{Q}/v2/a/manifests/1", "pass", None, "host", f"{Q}/v2/a/manifests/1"),
    ("both", {}, "HEAD", f"{Q}/v2/a/manifests/1", "rewrite", "quay.io", "host", f"{P}/v2/quay/a/manifests/1?ns=quay.io"),
    # -- names that break the grammar are forwarded -------------------------------------------------------------
    ("both", {}, "GET", f"{Q}/v2/A/manifests/1", "pass", None, "host", f"{Q}/v2/A/manifests/1"),
    ("both", {}, "GET", f"{P}/v2/A/manifests/1", "rewrite", "docker.io", "location", f"{P}/v2/A/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/quay/A/x", "rewrite", "quay.io", "location", f"{P}/v2/quay/A/x?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/%ff/x", "rewrite", "docker.io", "location", f"{P}/v2/%ff/x?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2//", "rewrite", "docker.io", "location", f"{P}/v2//?ns=docker.io"),
    # -- names of hosts -----------------------------------------------------------------------------------------
    ("both", {}, "GET", "https://QUAY.io./v2/a/tags/list", "rewrite", "quay.io", "host", f"{P}/v2/quay/a/tags/list?ns=quay.io"),
    ("both", {}, "GET", "https://quay.io:443/v2/", "rewrite", "quay.io", "host", f"{P}/v2/?ns=quay.io"),
    ("both", {}, "GET", "http://quay.io/v2/", "rewrite", "quay.io", "host", f"{P}/v2/?ns=quay.io"),
    ("both", {}, "GET", "https://quay.io:8443/v2/", "pass", None, None, "https://quay.io:8443/v2/"),
    ("both", {}, "GET", "https://index.docker.io/v2/", "rewrite", "docker.io", "host", f"{P}/v2/?ns=docker.io"),
    ("docker alias", {}, "GET", "https://registry-1.docker.io/v2/", "rewrite", "docker.io", "host", f"{P}/v2/?ns=docker.io"),
    ("ports", {}, "GET", "http://proxy.example.com/v2/", "rewrite", "quay.io", "location", "http://proxy.example.com/v2/?ns=quay.io"),
    ("443", {}, "GET", f"{P}/v2/", "rewrite", "quay.io", "location", f"{P}/v2/?ns=quay.io"),
    ("443", {}, "GET", f"{Q}/v2/", "rewrite", "quay.io", "host", f"{P}/v2/?ns=quay.io"),
    # -- query ---------------------------------------------------------------------------------------------------
    ("both", {}, "GET", f"{Q}/v2/a/manifests/1?ns=quay.io", "rewrite", "quay.io", "query", f"{P}/v2/quay/a/manifests/1?ns=quay.io"),
    ("both", {}, "GET", "https://PROXY.example.com/v2/a/manifests/1?ns=quay.io", "rewrite", "quay.io", "query", "https://PROXY.example.com/v2/quay/a/manifests/1?ns=quay.io"),
    ("ports", {}, "GET", "http://PROXY.example.com/v2/a/manifests/1?ns=quay.io", "pass", "quay.io", "query", "http://PROXY.example.com/v2/a/manifests/1?ns=quay.io"),
    ("both", {}, "PUT", f"{Q}/v2/a/manifests/1?ns=quay.io", "pass", "quay.io", "query", f"{Q}/v2/a/manifests/1?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/quay/a/manifests/1?ns=quay.io", "pass", "quay.io", "query", f"{P}/v2/quay/a/manifests/1?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/quay/a/manifests/1?ns=docker.io", "pass", "docker.io", "query", f"{P}/v2/quay/a/manifests/1?ns=docker.io"),
    ("both", {}, "POST", f"{P}/v2/a/blobs/uploads/?ns=quay.io", "rewrite", "quay.io", "query", f"{P}/v2/quay/a/blobs/uploads/?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/a/manifests/1?ns=x&ns=y", "rewrite", "x", "query", f"{P}/v2/a/manifests/1?ns=x"),
    ("both", {}, "GET", f"{P}/v2/a/manifests/1?ns=&ns=docker.io", "rewrite", "docker.io", "query", f"{P}/v2/a/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/a/manifests/1?ns=Index.Docker.IO", "rewrite", "docker.io", "query", f"{P}/v2/a/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/a/manifests/1?n%73=docker.io", "rewrite", "docker.io", "query", f"{P}/v2/a/manifests/1?ns=docker.io"),
    ("both", {}, "GET", "https://elsewhere.net/v2/?ns=quay.io", "pass", "quay.io", "query", "https://elsewhere.net/v2/?ns=quay.io"),
    ("coreos", {}, "GET", f"{P}/v2/c/etcd/manifests/1?ns=quay.io", "pass", "quay.io", "query", f"{P}/v2/c/etcd/manifests/1?ns=quay.io"),
    ("coreos", {}, "GET", f"{P}/v2/coreos/etcd/manifests/1?ns=quay.io", "rewrite", "quay.io", "query", f"{P}/v2/c/etcd/manifests/1?ns=quay.io"),
    ("two mirrors", {}, "GET", "https://two.example.com/v2/b/x/tags/list?ns=quay.io", "pass", "quay.io", "query", "https://two.example.com/v2/b/x/tags/list?ns=quay.io"),
    ("two mirrors", {}, "GET", "https://two.example.com/v2/x/tags/list?ns=quay.io", "rewrite", "quay.io", "query", "https://one.example.com/v2/a/x/tags/list?ns=quay.io"),
    ("two mirrors", {}, "POST", "https://two.example.com/v2/x/blobs/uploads/?ns=quay.io", "rewrite", "quay.io", "query", "https://two.example.com/v2/b/x/blobs/uploads/?ns=quay.io"),
    ("catch-all", {}, "GET", f"{P}/v2/o/i/manifests/1?ns=ghcr.io", "rewrite", "ghcr.io", "query", f"{P}/v2/any/o/i/manifests/1?ns=ghcr.io"),
    ("catch-all", {}, "GET", f"{P}/v2/o/i/manifests/1?ns=%0d%0a", "pass", "\r\n", "query", f"{P}/v2/o/i/manifests/1?ns=%0d%0a"),
    ("wildcard by digest", {}, "GET", f"{P}/v2/a/manifests/1?ns=a.example.org", "block", None, "query", None),
    ("wildcard by digest", {}, "GET", f"{P}/v2/a/manifests/sha256:{'0' * 64}?ns=*.example.org", "pass", "*.example.org", "query", f"{P}/v2/a/manifests/sha256:{'0' * 64}?ns=*.example.org"),
    ("wildcard by digest", {"ns_client_namespace": "reject"}, "GET", f"{P}/v2/a/manifests/1?ns=evil.com/a.example.org", "block", "evil.com/a.example.org", "query", None),
    ("wildcard by digest", {}, "GET", f"{P}/v2/a/manifests/1?ns=evil.com/a.example.org", "pass", "evil.com/a.example.org", "query", f"{P}/v2/a/manifests/1?ns=evil.com/a.example.org"),
    ("both", {"ns_client_namespace": "reject"}, "GET", f"{P}/v2/a/manifests/1?ns=docker.io", "pass", "docker.io", "query", f"{P}/v2/a/manifests/1?ns=docker.io"),
    ("both", {"ns_client_namespace": "reject"}, "GET", f"{P}/v2/quay/a/manifests/1?ns=quay.io", "pass", "quay.io", "query", f"{P}/v2/quay/a/manifests/1?ns=quay.io"),
    ("both", {"ns_client_namespace": "reject"}, "GET", "https://elsewhere.net/v2/?ns=quay.io", "block", "quay.io", "query", None),
    ("both", {"ns_client_namespace": "reject"}, "PUT", f"{P}/v2/a/manifests/1?ns=evil.example", "block", "evil.example", "query", None),
    ("both", {"ns_client_namespace": "override"}, "GET", f"{Q}/v2/a/manifests/1?ns=x&n=1", "rewrite", "quay.io", "host", f"{P}/v2/quay/a/manifests/1?n=1&ns=quay.io"),
    ("both", {"ns_client_namespace": "override"}, "PUT", f"{Q}/v2/a/manifests/1?ns=x&n=1", "rewrite", None, "host", f"{Q}/v2/a/manifests/1?n=1"),
    ("default", {"ns_client_namespace": "override"}, "GET", f"{P}/v2/a/manifests/1?ns=evil.example", "rewrite", None, None, f"{P}/v2/a/manifests/1"),
    ("both", {"ns_client_namespace": "override"}, "GET", "https://elsewhere.net/v2/?ns=x", "pass", None, None, "https://elsewhere.net/v2/?ns=x"),
    # -- host ----------------------------------------------------------------------------------------------------
    ("self", {}, "GET", "https://internal.example.net/v2/a/manifests/1", "pass", None, None, "https://internal.example.net/v2/a/manifests/1"),
    ("self with ns", {}, "GET", f"{Q}/v2/a/manifests/1", "rewrite", "quay.io", "host", f"{Q}/v2/a/manifests/1?ns=quay.io"),
    ("wildcard self", {}, "GET", "https://a.example.org/v2/x/manifests/1", "rewrite", "a.example.org", "host", "https://a.example.org/v2/x/manifests/1?ns=a.example.org"),
    ("wildcard self", {}, "GET", "https://a.example.org:5000/v2/x/manifests/1", "pass", None, None, "https://a.example.org:5000/v2/x/manifests/1"),
    ("wildcard remap", {}, "GET", "https://a.example.org/v2/x/manifests/1", "rewrite", None, "host", "https://flat.example.com/v2/all/x/manifests/1"),
    ("catch-all", {}, "GET", "https://localhost:5000/v2/x/manifests/1", "rewrite", "localhost:5000", "host", f"{P}/v2/any/x/manifests/1?ns=localhost%3A5000"),
    ("catch-all", {}, "GET", "https://[::1]:5000/v2/", "rewrite", "[::1]:5000", "host", f"{P}/v2/?ns=%5B%3A%3A1%5D%3A5000"),
    ("tagged", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/v1", "rewrite", None, "host", "https://pinned.example.com/v2/etcd/manifests/v2"),
    ("tagged", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/v3", "rewrite", "quay.io", "host", f"{P}/v2/quay/coreos/etcd/manifests/v3?ns=quay.io"),
    ("wildcard remap", {}, "GET", "https://a.example.org/v2/x/tags/list?n=5&ns=", "rewrite", None, "host", "https://flat.example.com/v2/all/x/tags/list?n=5"),
    ("whole repository", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/1", "rewrite", "quay.io", "host", "https://etcd.example.com/v2/e/manifests/1?ns=quay.io"),
    ("whole repository", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/{SHA}", "rewrite", "quay.io", "host", f"https://etcd.example.com/v2/e/manifests/{SHA}?ns=quay.io"),
    ("whole repository", {}, "GET", f"{Q}/v2/coreos/etcd2/manifests/1", "pass", None, None, f"{Q}/v2/coreos/etcd2/manifests/1"),
    ("no repository", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/1", "block", None, "host", None),
    ("no repository", {}, "GET", f"{Q}/v2/coreos/etcd/x/manifests/1", "rewrite", None, "host", "https://etcd.example.com/v2/x/manifests/1"),
    ("same host", {}, "GET", f"{Q}/v2/old/x/manifests/1", "rewrite", None, "host", f"{Q}/v2/new/x/manifests/1"),
    ("same host", {"ns_default": "docker.io"}, "GET", f"{Q}/v2/x/manifests/1", "pass", None, None, f"{Q}/v2/x/manifests/1"),
    ("scheme", {}, "GET", f"{Q}/v2/x/manifests/1", "rewrite", "quay.io", "host", "https://two.example.com/v2/x/manifests/1?ns=quay.io"),
    ("broken", {}, "GET", f"{Q}/v2/x/manifests/1", "rewrite", "quay.io", "host", "https://two.example.com/v2/x/manifests/1?ns=quay.io"),
    ("all broken", {}, "GET", f"{Q}/v2/x/manifests/1", "block", None, "host", None),
    ("odd ns", {}, "GET", f"{Q}/v2/x/tags/list?n=1", "rewrite", "a&b=c#d", "host", f"{P}/v2/x/tags/list?n=1&ns=a%26b%3Dc%23d"),
    ("plain http", {}, "GET", f"{Q}/v2/", "rewrite", "quay.io", "host", "http://proxy.example.com:5000/v2/?ns=quay.io"),
    ("itself by http", {}, "GET", f"{Q}/v2/x/manifests/1", "rewrite", None, "host", "http://quay.io/v2/x/manifests/1"),
    ("itself by http", {}, "GET", "http://quay.io/v2/x/manifests/1", "pass", None, "host", "http://quay.io/v2/x/manifests/1"),
    # -- which mirror admits what ---------------------------------------------------------------------------------
    ("digest", {}, "GET", f"{Q}/v2/a/blobs/{SHA}", "rewrite", "quay.io", "host", f"{P}/v2/a/blobs/{SHA}?ns=quay.io"),
    ("digest", {}, "GET", f"{Q}/v2/a/referrers/{SHA}", "rewrite", "quay.io", "host", f"{P}/v2/a/referrers/{SHA}?ns=quay.io"),
    ("digest", {}, "GET", f"{Q}/v2/a/tags/list", "pass", None, "host", f"{Q}/v2/a/tags/list"),
    ("digest", {}, "GET", f"{Q}/v2/", "rewrite", "quay.io", "host", f"{P}/v2/?ns=quay.io"),
    ("split", {}, "GET", f"{Q}/v2/a/manifests/1", "rewrite", "quay.io", "host", "https://t.example.com/v2/a/manifests/1?ns=quay.io"),
    ("split", {}, "GET", f"{Q}/v2/a/manifests/{SHA}", "rewrite", "quay.io", "host", f"https://d.example.com/v2/a/manifests/{SHA}?ns=quay.io"),
    ("split", {}, "GET", f"{Q}/v2/a/blobs/{SHA}", "rewrite", "quay.io", "host", f"https://d.example.com/v2/a/blobs/{SHA}?ns=quay.io"),
    ("split", {}, "GET", f"{Q}/v2/a/tags/list", "rewrite", "quay.io", "host", "https://t.example.com/v2/a/tags/list?ns=quay.io"),
    # -- what is longer than any name is found as all else is -----------------------------------------------------
    ("long", {}, "GET", f"{P}/v2/{LONG_PATH}/x/manifests/1", "rewrite", "quay.io", "location", f"{P}/v2/{LONG_PATH}/x/manifests/1?ns=quay.io"),
    ("long", {}, "GET", f"{P}/v2/{LONG_PATH}b/manifests/1", "rewrite", "ghcr.io", "location", f"{P}/v2/{LONG_PATH}b/manifests/1?ns=ghcr.io"),
    ("long", {}, "GET", f"{P}/v2/{LONG_PATH[:1101]}/manifests/1", "rewrite", "ghcr.io", "location", f"{P}/v2/{LONG_PATH[:1101]}/manifests/1?ns=ghcr.io"),
    ("long", {}, "GET", f"{Q}/v2/{LONG_PATH}/x/manifests/1", "rewrite", "quay.io", "host", f"{P}/v2/{LONG_PATH}/x/manifests/1?ns=quay.io"),
    ("long", {}, "GET", f"{Q}/v2/{LONG_PATH}/manifests/1", "rewrite", "quay.io", "host", f"{P}/v2/{LONG_PATH}/manifests/1?ns=quay.io"),
    ("long", {}, "GET", f"{Q}/v2/{LONG_PATH}b/manifests/1", "rewrite", "ghcr.io", "host", f"{P}/v2/{LONG_PATH}b/manifests/1?ns=ghcr.io"),
    # -- uploads and other methods --------------------------------------------------------------------------------
    ("both", {}, "GET", f"{Q}/v2/a/blobs/uploads/1", "pass", None, "host", f"{Q}/v2/a/blobs/uploads/1"),
    ("both", {}, "PATCH", f"{P}/v2/quay/a/blobs/uploads/1?_state=x", "rewrite", "quay.io", "location", f"{P}/v2/quay/a/blobs/uploads/1?_state=x&ns=quay.io"),
    ("both", {}, "DELETE", f"{P}/v2/quay.io/a/manifests/1", "rewrite", "quay.io", "path", f"{P}/v2/quay/a/manifests/1?ns=quay.io"),
    ("both", {}, "DELETE", f"{P}/v2/quay.io/a/manifests/1?mount=x&from=quay.io/b", "rewrite", "quay.io", "path", f"{P}/v2/quay/a/manifests/1?mount=x&from=quay.io/b&ns=quay.io"),
    ("both", {}, "POST", f"{P}/v2/quay.io/a/blobs/uploads/?mount=x&from=quay.io/b&_state=?", "rewrite", "quay.io", "path", f"{P}/v2/quay/a/blobs/uploads/?mount=x&from=quay%2Fb&_state=?&ns=quay.io"),
    ("wildcard remap", {}, "POST", "https://flat.example.com/v2/a.example.org/x/blobs/uploads/", "rewrite", None, "path", "https://flat.example.com/v2/all/x/blobs/uploads/"),
    ("two mirrors", {}, "PUT", "https://two.example.com/v2/quay.io/a/manifests/1", "rewrite", "quay.io", "path", "https://two.example.com/v2/b/a/manifests/1?ns=quay.io"),
    # -- location and path ----------------------------------------------------------------------------------------
    ("both", {}, "GET", f"{P}/v2/quay/manifests/1", "rewrite", "quay.io", "location", f"{P}/v2/quay/manifests/1?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/quay/manifests/{SHA}", "rewrite", "quay.io", "location", f"{P}/v2/quay/manifests/{SHA}?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/quay:1", "rewrite", "docker.io", "location", f"{P}/v2/quay:1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/quay@1", "rewrite", "docker.io", "location", f"{P}/v2/quay@1?ns=docker.io"),
    ("one letter", {}, "GET", "http://p/v2/x/manifests/1", "rewrite", "o", "location", "http://p/v2/x/manifests/1?ns=o"),
    ("one letter", {}, "GET", "http://o/v2/x/manifests/1", "rewrite", "o", "host", "http://p/v2/x/manifests/1?ns=o"),
    ("both", {}, "GET", f"{P}/v2/quayx/manifests/1", "rewrite", "docker.io", "location", f"{P}/v2/quayx/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/quay.io/manifests/1", "rewrite", "docker.io", "location", f"{P}/v2/quay.io/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/index.docker.io/a/manifests/1", "rewrite", "docker.io", "path", f"{P}/v2/a/manifests/1?ns=docker.io"),
    ("both", {}, "GET", f"{P}/v2/ghcr.io/a/manifests/1", "rewrite", "docker.io", "location", f"{P}/v2/ghcr.io/a/manifests/1?ns=docker.io"),
    ("two mirrors", {}, "GET", "https://two.example.com/v2/quay.io/x/manifests/1", "rewrite", "quay.io", "path", "https://one.example.com/v2/a/x/manifests/1?ns=quay.io"),
    ("two mirrors", {}, "GET", "https://two.example.com/v2/", "pass", None, None, "https://two.example.com/v2/"),
    ("wildcard remap", {}, "GET", "https://flat.example.com/v2/a.example.org/x/manifests/1", "rewrite", None, "path", "https://flat.example.com/v2/all/x/manifests/1"),
    ("catch-all", {}, "GET", f"{P}/v2/ghcr.io/o/i/manifests/1", "rewrite", "ghcr.io", "path", f"{P}/v2/any/o/i/manifests/1?ns=ghcr.io"),
    ("catch-all", {}, "GET", f"{P}/v2/library/nginx/manifests/1", "pass", None, None, f"{P}/v2/library/nginx/manifests/1"),
    ("plain and ns", {}, "GET", f"{P}/v2/quay.io/a/manifests/1", "pass", None, None, f"{P}/v2/quay.io/a/manifests/1"),
    ("other ns", {}, "GET", f"{P}/v2/hub/library/x/manifests/1", "rewrite", "upstream-hub", "location", f"{P}/v2/hub/library/x/manifests/1?ns=upstream-hub"),
    ("plain http", {}, "GET", "https://proxy.example.com:5000/v2/quay.io/a/manifests/1", "rewrite", "quay.io", "path", "http://proxy.example.com:5000/v2/a/manifests/1?ns=quay.io"),
    ("other host's ns", {}, "GET", f"{P}/v2/a/manifests/1?ns=hub.example.com", "pass", "hub.example.com", "query", f"{P}/v2/a/manifests/1?ns=hub.example.com"),
    ("other host's ns", {}, "GET", f"{P}/v2/a/manifests/1?ns=hub.example.com&ns=x", "rewrite", "hub.example.com", "query", f"{P}/v2/a/manifests/1?ns=hub.example.com"),
    ("mirrors of a wildcard", {}, "GET", f"{P}/v2/w/x/manifests/1?ns=a.b.example.org", "pass", "a.b.example.org", "query", f"{P}/v2/w/x/manifests/1?ns=a.b.example.org"),
    ("mirrors of a wildcard", {}, "GET", f"{P}/v2/w/x/manifests/1?ns=a.b.example.net", "pass", "a.b.example.net", "query", f"{P}/v2/w/x/manifests/1?ns=a.b.example.net"),
    ("mirrors of a wildcard", {}, "GET", f"{P}/v2/w/x/manifests/1?ns={LONG}", "pass", LONG, "query", f"{P}/v2/w/x/manifests/1?ns={LONG}"),
    ("odd case", {}, "GET", f"{P}/v2/x/manifests/1", "rewrite", "quay.io", "location", f"{P}/v2/x/manifests/1?ns=quay.io"),
    ("odd case", {}, "GET", f"{P}/v2/a/manifests/b", "rewrite", "docker.io", "location", f"{P}/v2/a/manifests/b?ns=docker.io"),
    ("odd case", {}, "GET", f"{P}/v2/a/manifests/b?ns=docker.io", "pass", "docker.io", "query", f"{P}/v2/a/manifests/b?ns=docker.io"),
    ("catch-all", {}, "GET", f"{P}/v2/any/x/manifests/1?ns=ghcr.io&n=1", "pass", "ghcr.io", "query", f"{P}/v2/any/x/manifests/1?ns=ghcr.io&n=1"),
    ("catch-all", {}, "PUT", f"{P}/v2/ghcr.io/o/i/manifests/1", "rewrite", "ghcr.io", "path", f"{P}/v2/any/o/i/manifests/1?ns=ghcr.io"),
    ("both", {}, "PUT", f"{Q}/v2/a/manifests/1?ns=quay.io&ns=x", "rewrite", "quay.io", "query", f"{Q}/v2/a/manifests/1?ns=quay.io"),
    ("both", {}, "GET", f"{P}/v2/quay.io/", "rewrite", "docker.io", "location", f"{P}/v2/quay.io/?ns=docker.io"),
    ("tagged", {}, "GET", f"{Q}/v2/coreos/etcd/manifests/v1?ns=quay.io", "rewrite", None, "query", "https://pinned.example.com/v2/etcd/manifests/v2"),
    ("tagged", {}, "GET", "https://pinned.example.com/v2/quay.io/coreos/etcd/manifests/v1", "rewrite", None, "path", "https://pinned.example.com/v2/etcd/manifests/v2"),
    ("tagged", {"ns_default": "quay.io"}, "GET", "https://pinned.example.com/v2/coreos/etcd/manifests/v1", "rewrite", None, "default", "https://pinned.example.com/v2/etcd/manifests/v2"),
    ("coreos", {}, "GET", f"{P}/v2/quay.io/coreos/etcd/manifests/1", "rewrite", "quay.io", "path", f"{P}/v2/c/etcd/manifests/1?ns=quay.io"),
    ("coreos", {"ns_default": "quay.io"}, "GET", f"{P}/v2/coreos/x/manifests/1", "rewrite", "quay.io", "default", f"{P}/v2/c/x/manifests/1?ns=quay.io"),
    ("whole repository", {}, "PUT", "https://etcd.example.com/v2/quay.io/coreos/etcd", "rewrite", "quay.io", "path", "https://etcd.example.com/v2/e?ns=quay.io"),
    ("whole repository", {}, "PUT", "https://etcd.example.com/v2/quay.io/coreos/etcd/", "rewrite", "quay.io", "path", "https://etcd.example.com/v2/e?ns=quay.io"),
    ("no repository", {}, "PUT", "https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1", "pass", None, "path", "https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1"),
    ("no repository", {"ns_client_namespace": "override"}, "PUT", "https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1?ns=x", "rewrite", None, "path", "https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1"),
    ("default", {"ns_default": "other.example.com"}, "GET", f"{P}/v2/_catalog?n=5", "rewrite", "other.example.com", "default", f"{P}/v2/_catalog?n=5&ns=other.example.com"),
    ("port", {}, "POST", "https://proxy.example.com:5000/v2/quay.io/a/blobs/uploads/?mount=x&from=quay.io/b", "rewrite", "quay.io", "path", "https://proxy.example.com:5000/v2/quay/a/blobs/uploads/?mount=x&from=quay%2Fb&ns=quay.io"),
    ("port behind a path", {}, "GET", f"{P}/v2/quay.io:5000/a/manifests/1", "rewrite", "quay.io", "path", f"{P}/v2/quay.io/a/manifests/1?ns=quay.io"),
    ("digest", {}, "GET", f"{P}/v2/quay.io/a/manifests/1", "rewrite", None, "path", f"{Q}/v2/a/manifests/1"),
    ("http", {}, "GET", f"{Q}/v2/a/manifests/1", "rewrite", "quay.io", "host", "http://m.example.com/v2/a/manifests/1?ns=quay.io"),
    ("elsewhere", {}, "GET", f"{P}/v2/a/manifests/1", "rewrite", "quay.io", "location", f"{P}/v2/a/manifests/1?ns=quay.io"),
    ("broken", {}, "GET", "https://two.example.com/v2/x/manifests/1", "rewrite", "quay.io", "location", "https://two.example.com/v2/x/manifests/1?ns=quay.io"),
    ("starred", {}, "GET", f"{P}/v2/x/manifests/1", "pass", None, None, f"{P}/v2/x/manifests/1"),
    ("upper case", {}, "GET", f"{P}/v2/x/manifests/1", "pass", None, None, f"{P}/v2/x/manifests/1"),
    ("upper case", {}, "GET", f"{P}/v2/a/x/manifests/1", "rewrite", "quay.io", "location", f"{P}/v2/a/x/manifests/1?ns=quay.io"),
    ("caught port", {}, "GET", f"{Q}:5000/v2/a/manifests/1", "rewrite", "quay.io:5000", "host", f"{P}/v2/a/manifests/1?ns=quay.io%3A5000"),
    ("all blocked", {}, "GET", f"{P}/v2/s/a/manifests/1", "block", None, "location", None),
    ("default", {}, "GET", f"{Q}/v2%2Fa/manifests/1", "rewrite", "quay.io", "host", f"{P}/v2%2Fa/manifests/1?ns=quay.io"),
    # -- default and unresolved -----------------------------------------------------------------------------------
    ("default", {"ns_default": "ghcr.io"}, "GET", f"{P}/v2/", "rewrite", "ghcr.io", "default", f"{P}/v2/?ns=ghcr.io"),
    ("default", {"ns_default": "other.example.com"}, "GET", f"{P}/v2/a/tags/list", "rewrite", "other.example.com", "default", f"{P}/v2/a/tags/list?ns=other.example.com"),
    ("default", {"ns_default": "ghcr.io"}, "GET", "https://elsewhere.net/v2/", "pass", None, None, "https://elsewhere.net/v2/"),
    ("default", {"ns_unresolved": "reject"}, "GET", "https://elsewhere.net/v2/", "block", None, None, None),
    ("default", {"ns_unresolved": "reject"}, "GET", "https://elsewhere.net/", "pass", None, None, "https://elsewhere.net/"),
    # -- blocked --------------------------------------------------------------------------------------------------
    ("blocked", {}, "GET", "https://bad.example.com/v2/", "block", None, "host", None),
    ("blocked", {}, "PUT", "https://bad.example.com/v2/a/manifests/1", "pass", None, "host", "https://bad.example.com/v2/a/manifests/1"),
    ("blocked", {}, "GET", f"{P}/v2/bad/a/manifests/1", "block", None, "location", None),
    ("blocked", {}, "GET", f"{P}/v2/bad/a/manifests/1?ns=bad.example.com", "block", None, "query", None),
    ("blocked", {}, "GET", f"{P}/v2/bad.example.com/a/manifests/1", "block", None, "path", None),
    ("half blocked", {}, "GET", "https://docker.io/v2/evil/x/manifests/1", "block", None, "host", None),
    ("half blocked", {}, "GET", f"{P}/v2/library/x/manifests/1", "rewrite", "docker.io", "location", f"{P}/v2/library/x/manifests/1?ns=docker.io"),
    # -- one ns leaves, never two, and none to a registry that has none -------------------------------------------
    ("digest", {}, "GET", f"{Q}/v2/a/tags/list?ns=quay.io&n=1&ns=x", "rewrite", None, "query", f"{Q}/v2/a/tags/list?n=1"),
    ("digest", {}, "GET", f"{Q}/v2/a/tags/list?ns=", "rewrite", None, "host", f"{Q}/v2/a/tags/list"),
    ("both", {}, "PUT", f"{Q}/v2/a/manifests/1?ns=&n=1&ns=", "rewrite", None, "host", f"{Q}/v2/a/manifests/1?ns=&n=1"),
    ("default", {}, "GET", f"{P}/v2/?ns&ns=", "rewrite", None, None, f"{P}/v2/?ns"),
    ("served whole", {}, "PUT", f"{P}/v2/coreos/etcd/manifests/1?ns=quay.io&ns=x", "rewrite", "quay.io", "query", f"{P}/v2/coreos/etcd/manifests/1?ns=quay.io"),
    # -- a default does not put a repository below a location twice -----------------------------------------------
    ("shared path", {"ns_default": "docker.io"}, "GET", f"{P}/v2/all/x/manifests/1", "rewrite", "docker.io", "default", f"{P}/v2/all/x/manifests/1?ns=docker.io"),
    ("shared path", {"ns_default": "docker.io"}, "GET", f"{P}/v2/x/manifests/1", "rewrite", "docker.io", "default", f"{P}/v2/all/x/manifests/1?ns=docker.io"),
    ("catch-all", {"ns_default": "ghcr.io"}, "GET", f"{P}/v2/any/x/manifests/1", "rewrite", "ghcr.io", "default", f"{P}/v2/any/x/manifests/1?ns=ghcr.io"),
    ("plain and ns", {"ns_default": "quay.io"}, "GET", f"{P}/v2/quay.io/a/manifests/1", "pass", None, "default", f"{P}/v2/quay.io/a/manifests/1"),
    # -- what a catch-all catches ---------------------------------------------------------------------------------
    ("any and wildcard", {}, "GET", "https://a.example.org:5000/v2/x/manifests/1", "rewrite", "a.example.org:5000", "host", f"{P}/v2/x/manifests/1?ns=a.example.org%3A5000"),
    ("any and wildcard", {}, "GET", f"{P}/v2/x/manifests/1?ns=A%20b", "pass", "A b", "query", f"{P}/v2/x/manifests/1?ns=A%20b"),
    ("any and wildcard", {"ns_client_namespace": "reject"}, "GET", f"{P}/v2/x/manifests/1?ns=proxy.example.com", "block", "proxy.example.com", "query", None),
    # -- percent-escapes stay as they were sent -------------------------------------------------------------------
    ("both", {}, "GET", f"{Q}/v2%2Fa%2Fmanifests%2F1", "rewrite", "quay.io", "host", f"{P}/v2%2Fquay/a%2Fmanifests%2F1?ns=quay.io"),
    ("tagged", {}, "GET", f"{Q}/v2/coreos/etcd/manifests%2Fv1", "rewrite", None, "host", "https://pinned.example.com/v2/etcd/manifests%2Fv2"),
    ("tagged", {}, "GET", f"{Q}/v2/coreos/etcd%2Fmanifests%2Fv1", "rewrite", None, "host", "https://pinned.example.com/v2/etcd%2Fmanifests%2Fv2"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[2]} {row[3]}")
def test_a_request_is_decided(
    row: tuple[str, dict[str, str], str, str, str, str | None, str | None, str | None],
) -> None:
    config, options, method, url, action, namespace, source, upstream = row
    document = parse_text(Path("registries.conf"), CONFIGS[config].encode())
    table = RouteTable(RouteIndex(document.registries.values()), policy_of(settings(**options)))
    assert url_object(table, method, url) == {
        "url": url,
        "method": method,
        "action": action,
        "namespace": namespace,
        "source": source,
        "upstream": upstream,
    }


def index_of(text: str) -> RouteIndex:
    return RouteIndex(parse_text(Path("registries.conf"), text.encode()).registries.values())


def test_a_catch_all_serves_the_images_no_other_prefix_matches() -> None:
    index = index_of(CONFIGS["self"])
    assert image_object(index, "ghcr.io/o/i:1") == {
        "ref": "ghcr.io/o/i:1",
        "registry": "*",
        "blocked": False,
        "sources": [
            {"reference": "proxy.example.com/o/i:1", "insecure": False, "location": "proxy.example.com", "namespace": "ghcr.io"},
            {"reference": "ghcr.io/o/i:1", "insecure": False, "location": "", "namespace": None},
        ],
    }  # fmt: skip
    assert image_object(index, "proxy.example.com/o/i:1") == {"ref": "proxy.example.com/o/i:1", "registry": None}


def test_a_tag_with_a_digest_is_a_pull_by_digest() -> None:
    index = index_of(CONFIGS["split"])
    image = image_object(index, f"quay.io/a:1@{SHA}")
    assert [source["reference"] for source in image["sources"]] == [f"d.example.com/a:1@{SHA}", f"quay.io/a:1@{SHA}"]


def test_a_location_that_leaves_no_repository_is_an_error_for_images() -> None:
    with pytest.raises(ValueError, match="etcd.example.com"):
        image_object(index_of(CONFIGS["no repository"]), "quay.io/coreos/etcd:1")


def test_what_may_be_rewritten_is_intercepted_and_nothing_else() -> None:
    index = index_of(CONFIGS["both"] + registry("internal.example.net") + registry("*.example.org", "p.example.com *"))
    hosts = ("quay.io", "registry-1.docker.io", "proxy.example.com", "a.example.org")
    assert all(index.may_rewrite("https", host, 443) for host in hosts)
    others = ("ghcr.io", "auth.docker.io", "internal.example.net", "example.org", "198.51.100.1")
    assert not any(index.may_rewrite("https", host, 443) for host in others)
    assert not index.may_rewrite("https", "quay.io", 8443)


def test_an_entry_that_maps_hosts_to_themselves_takes_just_these_out_of_the_catch_all() -> None:
    own = registry("*.corp.example", location=None) + registry("own.example") + registry("part.example/team")
    nested = registry("ghcr.corp.example", "proxy.example.com x.example")
    index = index_of(registry("*", "proxy.example.com *", location=None) + own + nested)
    untouched = ("a.corp.example", "own.example")
    assert not any(index.may_rewrite("https", host, 443) for host in untouched)
    # Of part.example, only one part is itself.
    rewritten = ("quay.io", "part.example", "ghcr.corp.example", "proxy.example.com")
    assert all(index.may_rewrite("https", host, 443) for host in rewritten)


@pytest.mark.parametrize(
    ("text", "host", "port", "insecure"),
    [
        (registry("a.example", more="insecure = true"), "a.example", 443, True),
        (registry("a.example", more="insecure = true"), "a.example", 5000, False),
        (registry("a.example:5000", more="insecure = true"), "a.example", 5000, True),
        (registry("a.example", location="M.example", more="insecure = true"), "m.example", 443, True),
        (registry("a.example", location="M.example", more="insecure = true"), "a.example", 443, False),
        (registry("docker.io", more="insecure = true"), "registry-1.docker.io", 443, True),
        (registry("a.example", "m.example", more="insecure = true"), "m.example", 443, False),
        (
            registry("a.example", location="m.example/a", more="insecure = true")
            + registry("b.example", location="M.example/b"),
            "m.example",
            443,
            False,
        ),
        (registry("*.example", "m.test", location=None, more="insecure = true"), "a.example", 443, True),
        (registry("*.example", "m.test", location=None, more="insecure = true"), "a.example", 5000, False),
        (registry("*.example", "m.test", location=None, more="insecure = true"), "a.test", 443, False),
        (registry("*", "m.test", location=None, more="insecure = true"), "a.test", 443, True),
        (registry("*", "m.test", location=None, more="insecure = true"), "m.test", 443, False),
    ],
)
def test_a_certificate_is_verified_unless_every_endpoint_at_the_address_is_insecure(
    text: str, host: str, port: int, insecure: bool
) -> None:
    assert index_of(text).is_insecure(host, port) is insecure


def test_what_is_said_of_certificates_counts_only_where_no_endpoint_is() -> None:
    index = index_of(registry("a.example"))
    assert not index.is_insecure("A.example", 443, otherwise=True)
    assert index.is_insecure("b.example", 443, otherwise=True)


@pytest.mark.parametrize(
    ("named", "addressed"),
    [
        ("quay.io", ("quay.io", 443)),
        ("quay.io:443", ("quay.io", 443)),
        ("unknown.net", ("198.51.100.1", 443)),
        ("quay.io:8443", ("198.51.100.1", 443)),
        ("not a host", ("198.51.100.1", 443)),
        ("", ("198.51.100.1", 443)),
        (None, ("198.51.100.1", 443)),
    ],
)
def test_the_named_host_counts_where_the_table_knows_it(named: str | None, addressed: tuple[str, int]) -> None:
    assert RouteTable(index_of(CONFIGS["both"])).addressed_host("https", named, "198.51.100.1", 443) == addressed


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_has_brackets_in_a_url_however_it_is_given(host: str) -> None:
    assert RouteTable().decide("GET", "https", host, 5000, "/v2/").upstream == "https://[::1]:5000/v2/"


def test_a_lookup_costs_the_same_for_ten_and_for_a_hundred_thousand_registries() -> None:
    """Counted in look-ups, not in time: whatever the table holds, the same keys are asked for."""

    def lookups(registries: int) -> int:
        index = index_of("".join(registry(f"quay.io/a/b/n{i}", f"p{i}.example.com quay.io") for i in range(registries)))
        counted = 0

        class Counting(dict):  # type: ignore[type-arg]
            def get(self, key: object, default: object = None) -> object:
                nonlocal counted
                counted += 1
                return super().get(key, default)

        index._prefixes._exact = Counting(index._prefixes._exact)
        index._locations._locations = Counting(index._locations._locations)
        decision = RouteTable(index).decide("GET", "https", "quay.io", 443, "/v2/a/b/n7/x/y/manifests/1")
        assert decision.upstream == "https://p7.example.com/v2/x/y/manifests/1?ns=quay.io"
        return counted

    assert lookups(10) == lookups(2000) <= 8


GHCR_ORG = registry("ghcr.io/org", "proxy.example.com/gh/x ghcr.io")
TWO_PREFIXES = registry("ghcr.io/a", "proxy.example.com/gh ghcr.io") + registry(
    "ghcr.io/b", "proxy.example.com/gh ghcr.io"
)
SUBJECTS = [
    (QUAY, "GET https://quay.io/v2/coreos/etcd/manifests/v3", "quay.io/coreos/etcd:v3"),
    (QUAY, "PUT https://quay.io/v2/coreos/etcd/manifests/v3", "quay.io/coreos/etcd:v3"),
    (QUAY, "GET https://proxy.example.com/v2/quay/coreos/etcd/manifests/v3", "quay.io/coreos/etcd:v3"),
    (QUAY, "GET https://proxy.example.com/v2/quay/coreos/etcd/manifests/v3?ns=quay.io", "quay.io/coreos/etcd:v3"),
    (QUAY, "GET https://proxy.example.com/v2/coreos/etcd/manifests/v3?ns=quay.io", "quay.io/coreos/etcd:v3"),
    (QUAY, "GET https://proxy.example.com/v2/quay.io/coreos/etcd/manifests/v3", "quay.io/coreos/etcd:v3"),
    (QUAY, "PUT https://proxy.example.com/v2/quay.io/coreos/etcd/manifests/v3", "quay.io/coreos/etcd:v3"),
    (QUAY, "GET https://quay.io/v2/", "quay.io"),
    (QUAY, "GET https://elsewhere.example.net/v2/a/manifests/v1?ns=gcr.io", "gcr.io/a:v1"),
    (QUAY, "GET https://elsewhere.example.net/v2/a/manifests/v1", None),
    (GHCR_ORG, "GET https://ghcr.io/v2/org/a/tags/list", "ghcr.io/org/a"),
    (GHCR_ORG, f"GET https://proxy.example.com/v2/gh/x/a/blobs/{SHA}", f"ghcr.io/org/a@{SHA}"),
    (GHCR_ORG, "GET https://proxy.example.com/v2/gh/x/a/tags/list?ns=ghcr.io", "ghcr.io/org/a"),
    (GHCR_ORG, f"GET https://proxy.example.com/v2/ghcr.io/org/a/blobs/{SHA}", f"ghcr.io/org/a@{SHA}"),
    (TWO_PREFIXES, "GET https://proxy.example.com/v2/gh/c/tags/list", "ghcr.io/c"),
    (QUAY, "PUT https://quay.io/v2/a/manifests/1?ns=quay.io", "quay.io/a:1"),
    (HUB, "GET https://proxy.example.com/v2/library/x/manifests/1", "docker.io/library/x:1"),
    (HUB, "GET https://proxy.example.com/v2/library/x/manifests/1?ns=docker.io", "docker.io/library/x:1"),
    (
        CONFIGS["no repository"],
        "PUT https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1",
        "quay.io/coreos/etcd:1",
    ),
    (
        CONFIGS["other host's ns"],
        "GET https://proxy.example.com/v2/a/tags/list?ns=hub.example.com",
        "hub.example.com/a",
    ),
    (CONFIGS["all broken"], "GET https://quay.io/v2/a/manifests/1", "quay.io/a:1"),
    (
        CONFIGS["no repository"],
        "GET https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1",
        "quay.io/coreos/etcd:1",
    ),
    (CONFIGS["blocked"], "GET https://proxy.example.com/v2/bad.example.com/a/manifests/v1", "bad.example.com/a:v1"),
    (registry("ghcr.io/org", "proxy.example.com/gh"), f"GET {P}/v2/gh/a/tags/list?ns=ghcr.io", "ghcr.io/org/a"),
    (
        registry("ghcr.io/a", "proxy.example.com/gh") + registry("ghcr.io/b", "proxy.example.com/gh"),
        f"GET {P}/v2/gh/a/tags/list?ns=ghcr.io",
        "ghcr.io/a",
    ),
    (
        registry("ghcr.io/org", "proxy.example.com/gh ghcr.io", "proxy.example.com/gh ghcr.io"),
        f"GET {P}/v2/gh/a/tags/list",
        "ghcr.io/org/a",
    ),
    (
        registry("ghcr.io", "proxy.example.com/gh") + registry("ghcr.io/b", "proxy.example.com/gh"),
        f"GET {P}/v2/gh/a/tags/list?ns=ghcr.io",
        "ghcr.io/a",
    ),
    (
        registry("ghcr.io", "proxy.example.com/gh ghcr.io") + registry("ghcr.io/b", "proxy.example.com/gh ghcr.io"),
        f"GET {P}/v2/gh/a/tags/list",
        "ghcr.io/a",
    ),
    (
        registry("quay.io/a", 'm.com quay.io pull-from-mirror="digest-only"') + registry("b.com", "quay.io/b b.com"),
        f"GET {Q}/v2/quay.io/a/x/manifests/1",
        "quay.io/a/x:1",
    ),
    (CONFIGS["blocked"], "GET https://bad.example.com/v2/a/manifests/v1", "bad.example.com/a:v1"),
    (CONFIGS["blocked"], "GET https://proxy.example.com/v2/bad/a/manifests/v1", "bad.example.com/a:v1"),
]


@pytest.mark.parametrize(("text", "request_line", "subject"), SUBJECTS)
def test_a_request_is_about_an_image_as_its_user_named_it(text: str, request_line: str, subject: str | None) -> None:
    table = RouteTable(index_of(text))
    method, _, url = request_line.partition(" ")
    found = decide_url(table, method, url).subject
    assert (str(found) if found is not None else None) == subject


@pytest.mark.parametrize(
    ("options", "query"), [({"ns_client_namespace": "reject"}, "?ns=c.com"), ({"ns_default": "c.com"}, "")]
)
def test_a_request_to_no_entry_is_about_what_its_client_or_the_default_says(
    options: dict[str, str], query: str
) -> None:
    table = RouteTable(index_of(QUAY), policy_of(settings(**options)))
    assert str(decide_url(table, "GET", f"{P}/v2/a/manifests/1{query}").subject) == "c.com/a:1"


TAGGED = registry("a.com", "host.example/p:1 a.com", location="other.example/q:2")


@pytest.mark.parametrize(
    ("request_line", "target"),
    [
        ("GET a.com /v2/x/manifests/latest", "/v2/p/x/manifests/1?ns=a.com"),
        ("GET a.com /v2/x/tags/list", "/v2/p/x/tags/list?ns=a.com"),
        (f"GET a.com /v2/x/blobs/{SHA}", f"/v2/p/x/blobs/{SHA}?ns=a.com"),
        ("GET a.com /v2/X/manifests/1", "/v2/X/manifests/1"),
        ("PUT host.example /v2/P/manifests/1", "/v2/P/manifests/1"),
        ("PUT host.example /v2/a.com/P/manifests/1", "/v2/p/P/manifests/1?ns=a.com"),
    ],
)
def test_a_reference_in_a_location_is_for_manifests_alone(request_line: str, target: str) -> None:
    method, host, path = request_line.split()
    assert RouteTable(index_of(TAGGED)).decide(method, "https", host, 443, path).target == target


@pytest.mark.parametrize(
    ("config", "host", "repository", "there"),
    [
        ("both", "proxy.example.com", "quay.io/a/b", "quay/a/b"),
        ("both", "proxy.example.com", "docker.io/library/x", "library/x"),
        ("both", "proxy.example.com", "quay/a/b", "quay/a/b"),
        ("both", "quay.io", "a/b", "a/b"),
        ("both", "quay.io", "A/b", "A/b"),
        ("both", "quay.io", "%61", "%61"),
        ("both", "proxy.example.com", "quay.io/A", "quay.io/A"),
        ("both", "proxy.example.com", "quay.io/a?b", "quay.io/a?b"),
        ("port", "proxy.example.com:5000", "quay.io/a", "quay/a"),
        ("both", "elsewhere.example.net", "quay.io/a", "quay.io/a"),
        ("no repository", "etcd.example.com", "quay.io/coreos/etcd", "quay.io/coreos/etcd"),
    ],
)
def test_a_repository_is_called_what_the_addressed_host_calls_it(
    config: str, host: str, repository: str, there: str
) -> None:
    document = parse_text(Path("registries.conf"), CONFIGS[config].encode())
    table = RouteTable(RouteIndex(document.registries.values()))
    name, _, port = host.partition(":")
    assert table.moved_repository("https", name, int(port or 443), repository) == there


MIRRORED = registry("quay.io", "one.example.com/a quay.io", "two.example.com quay.io")
REASONS = [
    # configuration, options, request, prefix of the entry, endpoint, whether it is a pull, where else, error
    (MIRRORED, {}, f"GET {Q}/v2/a/manifests/1", "quay.io", "one.example.com/a", True, ["two.example.com", "quay.io"], None),
    (MIRRORED, {}, f"PUT {Q}/v2/a/manifests/1", "quay.io", None, False, [], None),
    (MIRRORED, {}, f"PUT {Q}/v2/a/manifests/1?ns=quay.io", "quay.io", None, False, [], None),
    (MIRRORED, {}, "GET https://one.example.com/v2/a/x/manifests/1?ns=quay.io", None, "one.example.com/a", True, [], None),
    (CONFIGS["other host's ns"], {}, f"GET {P}/v2/a/manifests/1?ns=hub.example.com", None, "proxy.example.com", True, [], None),
    (MIRRORED, {}, "GET https://one.example.com/v2/a/x/manifests/1", None, "one.example.com/a", True, [], None),
    (MIRRORED, {}, "PUT https://one.example.com/v2/a/x/manifests/1", None, None, False, [], None),
    (MIRRORED, {}, "PUT https://one.example.com/v2/quay.io/x/manifests/1", "quay.io", "one.example.com/a", False, [], None),
    (CONFIGS["coreos"], {}, f"GET {Q}/v2/coreos:1", "quay.io", None, False, [], None),
    (CONFIGS["coreos"], {}, f"GET {Q}/v2/coreos@1", "quay.io", None, False, [], None),
    (CONFIGS["digest"], {}, f"GET {Q}/v2/a/tags/list", "quay.io", "quay.io", True, [], None),
    (CONFIGS["no repository"], {}, "PUT https://etcd.example.com/v2/quay.io/coreos/etcd/manifests/1", "quay.io/coreos/etcd",
        None, False, [], None),
    (CONFIGS["blocked"], {}, "GET https://bad.example.com/v2/", "bad.example.com", None, False, [],
        (403, "DENIED", "pulling is blocked by registries.conf: prefix bad.example.com", "r.conf:1")),
    (CONFIGS["blocked"], {}, f"GET {P}/v2/bad/a/manifests/1", None, None, False, [],
        (403, "DENIED", "pulling is blocked by registries.conf: proxy.example.com for bad.example.com", None)),
    (CONFIGS["all broken"], {}, f"GET {Q}/v2/a/manifests/1", "quay.io", None, False, [],
        (404, "NAME_UNKNOWN", "no location of prefix quay.io can serve quay.io/a:1", "r.conf:1")),
    (QUAY, {"ns_client_namespace": "reject"}, f"GET {P}/v2/?ns=c.com", None, None, False, [],
        (403, "DENIED", "ns=c.com is not configured for proxy.example.com (ns_client_namespace=reject)", None)),
    (QUAY, {"ns_unresolved": "reject"}, "GET https://c.com/v2/", None, None, False, [],
        (404, "NAME_UNKNOWN", "no rule tells which registry c.com/v2/ belongs to",
         "ns_unresolved=reject; ns-inject explain shows how a request is decided")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "asked", "prefix", "endpoint", "is_pull", "elsewhere", "error"), REASONS)
def test_a_decision_says_by_which_entry_to_which_endpoint_and_what_else(
    text: str,
    options: dict[str, str],
    asked: str,
    prefix: str | None,
    endpoint: str | None,
    is_pull: bool,
    elsewhere: list[str],
    error: tuple[int, str, str, str | None] | None,
) -> None:
    document = parse_text(Path("r.conf"), text.encode())
    table = RouteTable(RouteIndex(document.registries.values()), policy_of(settings(**options)))
    method, _, url = asked.partition(" ")
    decision = decide_url(table, method, url)
    assert (decision.registry and decision.registry.prefix) == prefix
    assert (decision.endpoint and decision.endpoint.location) == endpoint
    assert decision.pull is is_pull
    assert [other.endpoint and other.endpoint.location for other in decision.alternatives] == elsewhere
    assert not any(other.pull or other.alternatives for other in decision.alternatives)
    assert all(other.source is decision.source for other in decision.alternatives)
    found = decision.error
    assert (found and (found.status, found.code, found.message, found.detail)) == error
    if error is not None:
        assert f"{decision.scheme}://{decision.host}{decision.target}" == url
        assert decision.port == 443


@pytest.mark.parametrize(
    ("config", "asked", "moved"),
    [
        ("both", f"GET {Q}/v2/a/manifests/1", Moved("", "quay")),
        ("both", f"GET {P}/v2/quay.io/a/manifests/1", Moved("quay.io", "quay")),
        ("coreos", f"GET {Q}/v2/coreos/etcd/manifests/1", Moved("coreos", "c")),
        ("coreos", f"GET {Q}/v2/%63oreos/etcd/manifests/1", Moved("%63oreos", "c")),
        ("default", f"GET {P}/v2/quay.io/a/manifests/1", Moved("quay.io", "")),
        ("default", f"GET {Q}/v2/a/manifests/1", None),
        ("both", f"GET {Q}/v2/", None),
        ("same path", f"GET {Q}/v2/a/x/manifests/1", None),
        ("both", f"GET {P}/v2/quay/a/manifests/1", None),
    ],
)
def test_what_a_repository_begins_with_instead_is_told(config: str, asked: str, moved: Moved | None) -> None:
    method, _, url = asked.partition(" ")
    assert decide_url(RouteTable(index_of(CONFIGS[config])), method, url).moved == moved
