"""A table of decisions as the configuration of nginx: one file, for `nginx -c`.

Knows what the file consists of, and in which order. Written for nginx 1.18 and later; no module is needed but those
that every distribution builds in (http_ssl, http_map, http_geo, http_rewrite, http_proxy, upstream_keepalive).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oci_ns import presence
from oci_ns.export.contract import Exported, NotCarried, NotCarriedError, Settings
from oci_ns.export.nginx.answers import answer_maps, challenge_maps
from oci_ns.export.nginx.hops import NAMES_ONLY, NEEDS_RESOLVERS, Hops
from oci_ns.export.nginx.locations import Place, hop_maps, location, quick_inside, quick_location, quick_maps
from oci_ns.export.nginx.maps import host_map, maps
from oci_ns.export.nginx.request import NAMESPACES_MAX, hub_names, request_maps
from oci_ns.export.nginx.table import Tables
from oci_ns.export.nginx.text import Map, Sizes, comment, expressions, literal, quoted, words
from oci_ns.export.nginx.upstreams import Upstreams, authority, is_address
from oci_ns.export.tabulation import Tabulation
from oci_ns.reference import registry_name

FILE = "nginx.conf"
_DESTINATION = "d"
"""The number of a destination that the table does not know."""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def export(tabulation: Tabulation, settings: Settings) -> Exported:
    """The configuration. Raises NotCarriedError where nginx cannot do all of it, and `allow_partial` is not set."""
    return _Export(tabulation, settings).exported()


class _Export:
    def __init__(self, table: Tabulation, settings: Settings) -> None:
        self._settings = settings
        self._table = table
        self._upstreams = Upstreams(settings)
        self._hops = Hops(settings, table.scheme, self._upstreams)
        self._tables = Tables(table, self._hops)
        self._sizes = Sizes()

    def exported(self) -> Exported:
        maps = list(self._maps())
        problems = (*self._settings.without_form, *self._hops.problems)
        if problems and not self._settings.allow_partial:
            raise NotCarriedError(problems)
        blocks = [line for each in maps for line in (*each.text(self._sizes), "")]
        return Exported({FILE: "\n".join(self._lines(blocks, problems)) + "\n"}, problems)

    # -- look-ups -----------------------------------------------------------------------------------------------------

    def _maps(self) -> Iterator[Map]:
        hops, tables = self._hops, self._tables
        yield from request_maps(self._table.scheme)
        yield host_map(tables)
        yield from self._addressed()
        yield from maps(tables)
        yield from self._way()
        attempts = any(place.mode.startswith("attempt") for place in hops.places)
        for hop in range(1, max(place.hop for place in hops.places) + 1):
            yield from hop_maps(hop, strips=hops.strips, has_references=hops.has_references, attempts=attempts)
            yield from answer_maps(hop, cuts=bool(hops.strips - {0}))
            if self._settings.destination is not None:
                yield from challenge_maps(hop, self._settings.destination.scheme)
        if not tables.quick.is_empty:
            yield from tables.quick.maps(self._destination())
            yield from quick_maps(challenges=self._settings.destination is not None)
            if tables.quick.places():
                starts = words(("", "$oci_go_1"))
                yield Map("$oci_quick_place", "oci_start", starts, default="$oci_quick_place")

    def _destination(self) -> str:
        """The host of the table that stands for those it does not know, if one stands for all of them."""
        to = self._settings.destination
        if to is None or not isinstance(to.host, str) or self._tables.has_pattern_hosts():
            return ""
        return registry_name(self._table.scheme, to.host, to.port)

    def _addressed(self) -> Iterator[Map]:
        """The host that a request addresses: its Host, or the destination."""
        to, scheme = self._settings.destination, self._table.scheme
        number = name = told = ""
        if to is not None:
            if to.scheme != scheme or not isinstance(to.host, str):
                self._hops.note("the destination", f"the table is of requests that come by {scheme}: so must this")
            name, told = registry_name(scheme, str(to.host), to.port), authority(to.scheme, str(to.host), to.port)
            number = self._tables.number_of(name) or _DESTINATION
        yield Map("$http_host", "oci_listener", words(("", "$server_addr:$server_port")), default="$http_host")
        yield Map("$oci_known", "oci_host", words(("", literal(number))), default="$oci_known")
        yield Map("$oci_known", "oci_addressed", words(("", literal(told))), default="$oci_authority")
        yield Map("$oci_known", "oci_addressed_name", words(("", literal(name))), default="$oci_name")
        yield hub_names("oci_addressed_source", "oci_addressed_name")
        yield from self._own(name)

    def _own(self, destination: str) -> Iterator[Map]:
        """Where the addressed host itself is."""
        scheme, tables = self._table.scheme, self._tables
        names = dict.fromkeys(name for name in (*tables.own_hosts(), destination) if name)
        rows = []
        for name in names:
            address = tables.address(name)
            if scheme == "https" and is_address(str(address.host)) and name not in tables.own_unverified:
                self._hops.note("https at an IP address", f"{name}: {NAMES_ONLY}")
            rows.append((name, self._upstreams.resolved(self._upstreams.base(address, name in tables.own_unverified))))
        has_patterns = tables.has_pattern_hosts()
        if has_patterns and not self._settings.resolvers:
            self._hops.note("what is not below /v2 at a host of a pattern", NEEDS_RESOLVERS)
        looked_up = f"{scheme}://$oci_addressed_name" if self._settings.resolvers else ""
        yield Map(
            "$oci_addressed_name", "oci_own", words(*rows), default=looked_up, about="The addressed hosts themselves."
        )
        unverified = words(*((name, "unverified") for name in sorted(tables.own_unverified)))
        if unverified:
            self._hops.places.add(Place(1, "unverified-patient-kept", ""))
        yield Map("$oci_addressed_name", "oci_own_mode", unverified, default="verified")

    def _way(self) -> Iterator[Map]:
        """The way in words, or the refusal, in the order in which these are looked for."""
        refuse = self._hops.refused
        several = f"more than {NAMESPACES_MAX} ns parameters are not read"
        passed = "$oci_own_mode-patient-kept $oci_own $oci_addressed 0 - - leave - %"
        unknown = refuse(421, "UNSUPPORTED", "this host is not in the configuration")
        plainly = "write the host without its port where that is the default, and names in lower case"
        cannot = self._hops.cannot_look_up()
        yield Map("$oci_own", "oci_pass", words(("", cannot)), default=passed)
        moved = expressions(
            (r"^mount \S+ \S+ \S+ (?!0 - )", refuse(400, "UNSUPPORTED", "a blob is not mounted here: upload it"))
        )
        mount = r"[?&](?:f|%66)(?:r|%72)(?:o|%6[Ff])(?:m|%6[Dd])="
        uploads = expressions((rf"^upload .*{mount}", "mount"))
        yield Map("$oci_parsed $oci_query", "oci_mount", expressions=uploads)
        yield Map(
            "$oci_mount $oci_listed",
            "oci_mounted",
            default="$oci_listed",
            expressions=moved if self._hops.strips else [],
        )
        unsure = refuse(400, "NAME_INVALID", f"this name could be read in two ways: {plainly}")
        yield Map("$oci_listed", "oci_sure", words(("!", unsure)), default="$oci_mounted")
        spelt = refuse(400, "UNSUPPORTED", "write ns without needless escapes, and the registry in it in lower case")
        yield Map("$oci_spoken_name", "oci_way_4", words(("!", spelt)), default="$oci_sure")
        yield Map(
            "$oci_namespaces", "oci_way_3", words(("many", refuse(400, "UNSUPPORTED", several))), default="$oci_way_4"
        )
        escaped = refuse(400, "NAME_INVALID", "write the path without percent-escapes")
        yield Map("$oci_parsed", "oci_way_2", words(("pass", "$oci_pass"), ("escaped", escaped)), default="$oci_way_3")
        hosts = words(("", unknown), ("!", refuse(400, "UNSUPPORTED", plainly)), (_DESTINATION, "$oci_pass"))
        yield Map("$oci_host", "oci_way_1", hosts, default="$oci_way_2")
        misleading = refuse(404, "NAME_INVALID", "the request is not sent on: its path is another than it seems to be")
        yield Map("$oci_misleading", "oci_way_0", words(("!", misleading)), default="$oci_way_1")
        absolute = refuse(400, "UNSUPPORTED", "this is no forward proxy: send the path alone, and the host as Host")
        yield Map("$oci_form", "oci_way_form", words(("!", absolute)), default="$oci_way_0")
        self._hops.statuses.add(200)
        yield Map(
            "$oci_form$request_method $request_uri",
            "oci_way",
            expressions=expressions(
                (f"^GET {re.escape(presence.PATH)}$", f"!200 {literal(presence.answer().decode())}")
            ),
            default="$oci_way_form",
            about="What becomes of the request.",
        )
        status = expressions((r"^ping !\S+-greeting ", "200"), (r"^\S+ !(?<oci_status_>[0-9]{3})", "$oci_status_"))
        yield Map("$oci_parsed $oci_way", "oci_status", expressions=status)
        yield Map("$oci_way", "oci_answer", expressions=expressions((r"^!\S+ (?<oci_answer_>.*)$", "$oci_answer_")))

    # -- the file -----------------------------------------------------------------------------------------------------

    def _lines(self, maps: list[str], problems: tuple[NotCarried, ...]) -> Iterator[str]:
        yield "# Made by ns-inject from registries.conf: change that, and export again."
        yield f"# For requests that come by {self._table.scheme}. Names of endpoints are resolved when nginx starts."
        for problem in problems:
            yield f"# LEFT OUT: {comment(str(problem))}"
        yield "worker_processes auto;"
        yield f"pid {self._path('nginx.pid')};"
        yield "error_log stderr warn;"
        yield "pcre_jit on;"
        yield "events { worker_connections 4096; }"
        yield "http {"
        for line in (*self._general(), *maps, *self._upstreams.blocks(), *self._server()):
            yield f"    {line}" if line else ""
        yield "}"

    def _path(self, name: str) -> str:
        # Unlike certificates, which may be named by variables, these stand to the letter.
        return quoted(f"{self._settings.directory.rstrip('/') or ''}/{name}")

    def _general(self) -> Iterator[str]:
        yield "access_log off;"
        yield "server_tokens off;"
        yield from (f"{each}_temp_path {self._path(f'{each}_temp')};" for each in _TEMPORARY)
        yield from self._sizes.directives()
        yield "types { }"
        yield "default_type application/json;"
        yield 'geo $oci_dollar { default "$"; }'
        if self._settings.resolvers:
            yield f"resolver {' '.join(map(quoted, self._settings.resolvers))};"
        yield ""

    def _server(self) -> Iterator[str]:
        settings = self._settings
        yield ""
        yield "server {"
        secure = " ssl" if settings.certificate else ""
        for listen in settings.listen:
            for host in (listen.host,) if listen.host else ("*", "::"):
                named = f"[{host}]" if ":" in host else host
                yield f"    listen {quoted(f'{named}:{listen.port}')}{secure};"
        if settings.certificate:
            yield f"    ssl_certificate {quoted(literal(settings.certificate))};"
            yield f"    ssl_certificate_key {quoted(literal(settings.key or settings.certificate))};"
            yield "    ssl_protocols TLSv1.2 TLSv1.3;"
        yield from (f"    {line}" for line in _SERVER)
        yield f"    proxy_ssl_trusted_certificate {quoted(settings.authorities)};"
        yield f"    proxy_connect_timeout {settings.connect_seconds}s;"
        yield f"    proxy_read_timeout {settings.response_seconds}s;"
        yield f"    proxy_send_timeout {settings.response_seconds}s;"
        yield ""
        yield from (f"    {line}" for line in self._entrance())
        challenges = self._settings.destination is not None
        for place in sorted(self._hops.places):
            yield from (f"    {line}" for line in location(place, challenges=challenges))
        for place in sorted(self._tables.quick.places()):
            yield from (f"    {line}" for line in quick_location(place, challenges=challenges))
        yield "}"

    def _entrance(self) -> Iterator[str]:
        bad = self._hops.refused(400, "UNSUPPORTED", "nginx cannot read this request").partition(" ")[2]
        failed = self._hops.refused(502, "UNAVAILABLE", "no endpoint serves this").partition(" ")[2]
        yield "error_page 400 414 494 495 496 497 /.ns-inject-cannot-read-this;"
        yield f"location = /.ns-inject-cannot-read-this {{ return 400 {quoted(bad)}; }}"
        yield f"location @oci-unavailable {{ return 502 {quoted(failed)}; }}"
        yield "location / {"
        start = "$oci_go_1"
        if not self._tables.quick.is_empty:
            yield "    if ($oci_quick_url) { proxy_pass $oci_quick_url; break; }"
            yield from quick_inside(self._tables.quick.inline, challenges=self._settings.destination is not None)
            if self._tables.quick.places():
                start = "$oci_start"
                yield f"    error_page 418 = {start};"
                yield "    if ($oci_quick_place) { return 418; }"
        statuses = sorted({*self._hops.statuses, *((200,) if 403 in self._hops.statuses else ())})
        yield from (f"    if ($oci_status = {status}) {{ return {status} $oci_answer; }}" for status in statuses)
        if start == "$oci_go_1":
            yield f"    error_page 418 = {start};"
        yield "    return 418;"
        yield "}"


_SERVER = (
    # For `$uri` alone, which tells what others may take a path for.
    "merge_slashes on;",
    "absolute_redirect off;",
    "underscores_in_headers on;",
    "large_client_header_buffers 8 64k;",
    "client_max_body_size 0;",
    "client_body_timeout 300s;",
    "send_timeout 300s;",
    "recursive_error_pages on;",
    "proxy_http_version 1.1;",
    "proxy_buffering off;",
    "proxy_request_buffering off;",
    "proxy_buffer_size 64k;",
    "proxy_buffers 8 64k;",
    "proxy_busy_buffers_size 128k;",
    "proxy_redirect off;",
    "proxy_pass_header Server;",
    "proxy_pass_header Date;",
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;",
    "proxy_ssl_server_name on;",
    "proxy_ssl_protocols TLSv1.2 TLSv1.3;",
    "proxy_ssl_verify_depth 9;",
)
