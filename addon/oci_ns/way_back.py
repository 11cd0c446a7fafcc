"""The way back: references in an answer that mean "come back here", as the client can follow them.

Knows URLs, `Link` and the realm of a challenge; not which request an answer belongs to. What names another host (a CDN)
is nobody's to change. Sources: distribution-spec, "Pushing Blobs" (Location), "Listing Tags" (Link); RFC 9110, 10.2.2
(Location) and 11.6.1 (WWW-Authenticate); RFC 8288 (Link).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from oci_ns.decision import url_of
from oci_ns.distribution import Moved, join, with_namespace, without_namespace
from oci_ns.reference import DEFAULT_PORTS, canonical_registry, registry_name, split_host

# One that does not end goes to the end: to look behind each quotation mark in it would take hours.
_QUOTED = r'"(?:[^"\\]|\\.)*+"?'
_LINK_TARGET = re.compile(rf"{_QUOTED}|<(?P<reference>[^<>]*)>")
_REALM = re.compile(r'(?P<before>\brealm\s*=\s*)"(?P<url>[^"\\]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where a request went, and what the client addressed instead.

    `scheme`, `host` and `port` are the endpoint's. `moved` is None where the repository kept its name. `namespaced`
    says that the `ns` was added on the way; `client_namespace` is the one the client sent itself, if any. `rerouted`
    says that the client addressed another host, to which relative references lead; `listening` that it addressed a
    listener whose name the endpoint does not know, so that no reference may name the endpoint.
    """

    scheme: str
    host: str
    port: int
    moved: Moved | None = None
    namespaced: bool = False
    client_namespace: str | None = None
    rerouted: bool = False
    listening: bool = False

    def reference(self, text: str) -> str:
        """A URL or relative reference as the client can follow it; unchanged where it leads elsewhere. Never raises."""
        try:
            parts = urlsplit(text)
        except ValueError:
            return text
        absolute = bool(parts.netloc)
        if (absolute and not self._is_endpoint(parts.scheme or self.scheme, parts.netloc)) or parts.fragment:
            return text
        path, query = parts.path, parts.query if "?" in text else None
        if not absolute and (parts.scheme or not path.startswith("/")):
            # A relative path is relative to what the client asked for, as it is.
            return text if parts.scheme else join(path, self._mapped_query(query))
        if not (path == "/v2" or path.startswith("/v2/")):
            if self.rerouted:
                return text if absolute else url_of(self.scheme, self.host, self.port, text)
            return join(path or "/", query) if absolute and self.listening else text
        mapped = self._mapped(path)
        if mapped is None:
            # Relative to another host than the endpoint's it would mean something else.
            return url_of(self.scheme, self.host, self.port, join(path, query)) if self.rerouted else text
        target = join(mapped, self._mapped_query(query))
        unchanged = target == join(path, query)
        if unchanged and not self.rerouted and not (absolute and self.listening):
            return text
        return target

    def link(self, text: str) -> str:
        """The value of a Link field: its targets as the client can follow them, all else as it stands."""

        def mapped(match: re.Match[str]) -> str:
            reference = match["reference"]
            return match[0] if reference is None else f"<{self.reference(reference)}>"

        return _LINK_TARGET.sub(mapped, text)

    def challenge(self, text: str, base: str) -> str:
        """The value of a WWW-Authenticate field: a realm that is a URL at the endpoint begins with `base` instead.

        `base` is scheme and authority of the listener that the client addressed.
        """

        def mapped(match: re.Match[str]) -> str:
            try:
                parts = urlsplit(match["url"])
                named = bool(parts.netloc) and self._is_endpoint(parts.scheme, parts.netloc)
                # What shall go by https is not to leave here by http.
                named = named and (parts.scheme.lower() == self.scheme or self.scheme == "https")
            except ValueError:
                return match[0]
            rest = match["url"].partition("://")[2]
            return f'{match["before"]}"{base}{rest[len(parts.netloc) :]}"' if named else match[0]

        return _REALM.sub(mapped, text)

    def _is_endpoint(self, scheme: str, authority: str) -> bool:
        if scheme.lower() not in DEFAULT_PORTS:
            return False
        try:
            host, port = split_host(authority)
        except ValueError:
            return False
        # Behind a proxy that ends TLS, a registry calls itself http: each without its own default port is the same.
        named = registry_name(scheme.lower(), host, port)
        return named == registry_name(self.scheme, self.host, self.port) or canonical_registry(authority) == (
            registry_name(self.scheme, self.host, self.port)
        )

    def _mapped(self, path: str) -> str | None:
        """The path as the client has it; None where it is not where the endpoint has the client's repositories."""
        moved = self.moved
        below = path[len("/v2/") :]
        if moved is None or not below or below == "_catalog":
            return path
        if moved.endpoint:
            if not below.startswith(f"{moved.endpoint}/"):
                return None
            below = below[len(moved.endpoint) + 1 :]
        return f"/v2/{moved.client}/{below}" if moved.client else f"/v2/{below}"

    def _mapped_query(self, query: str | None) -> str | None:
        if not self.namespaced:
            return query
        if self.client_namespace:
            return with_namespace(query, self.client_namespace)
        return without_namespace(query)
