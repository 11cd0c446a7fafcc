"""How HAProxy looks a request up in the maps: which host, which registry, what kind of request, which steps.

Knows HAProxy's rules for the decision (`tabulation` says what they have to do); what a step does to a request is in
`export_haproxy_steps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_ns import presence
from oci_ns.export import Settings
from oci_ns.export_haproxy_maps import KINDS, Maps
from oci_ns.export_haproxy_query import BAD_ESCAPES, NAMED, PARAMETER
from oci_ns.export_haproxy_quick import backend_of, frontend_rules
from oci_ns.export_haproxy_servers import host_field
from oci_ns.export_haproxy_text import argument, inside_json, word
from oci_ns.reference import DEFAULT_PORTS, registry_name
from oci_ns.tabulation import Tabulation

HOP = "x-ns-inject-hop"
"""Header field with which HAProxy hands a request from one of its own frontends to the next."""
HANDED = ("steps", "own", "asks", "named", "source", "base")
"""The variables that it has, separated by bars: what a client may have put in them stands last."""
NOT_MOVABLE = "%2[Ff]|^/(?!v2(?:/|$))"
"""A path whose components cannot be told apart by its slashes, or whose beginning is escaped."""
ESCAPED = "the request is not sent on: the slashes or the beginning of its path are escaped"
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = f"{_LABEL}(?:[.]{_LABEL})*"
_HOST = f"^(?:{_NAME}|[[][0-9a-f:.]+[]])(?::[0-9]+)?$"
_COMPONENT = "[a-z0-9]++(?:(?:[._]|__|-++)[a-z0-9]++)*+"
_REPOSITORY = f"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = "[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_DOCKER = "^(?:index|registry-1)[.]docker[.]io$"
_OPERATIONS = (
    ("^/v2/?$", "r"),
    ("^/v2/_catalog$", "c"),
    (f"^/v2/({_REPOSITORY})/manifests/({_TAG})$", r"t \1 :\2"),
    (f"^/v2/({_REPOSITORY})/manifests/({_DIGEST})$", r"d \1 @\2"),
    (f"^/v2/({_REPOSITORY})/blobs/({_DIGEST})$", r"b \1 @\2"),
    (f"^/v2/({_REPOSITORY})/referrers/({_DIGEST})$", r"f \1 @\2"),
    (f"^/v2/({_REPOSITORY})/tags/list$", r"t \1"),
    (f"^/v2/({_REPOSITORY})/blobs/uploads(?:/[^/]*)?$", r"u \1"),
)
"""A letter for the kind, the repository, and the reference as it stands behind it."""


def field(number: int) -> str:
    """The converter that takes one of the fields between spaces."""
    return f'field({number}," ")'


def answer(status: int, code: str, message: str, detail: str = "") -> str:
    """The action that answers with an error of the distribution-spec."""
    told = f', "detail": "{inside_json(detail)}"' if detail else ""
    body = f'{{"errors": [{{"code": "{code}", "message": "{inside_json(message)}"{told}}}]}}'
    quoted = body.replace("'", "")
    version = "hdr Docker-Distribution-Api-Version registry/2.0"
    return f"http-request return status {status} content-type application/json string '{quoted}' {version}"


def _here() -> str:
    """The action that answers whoever sets up a client."""
    body, asked = presence.answer().decode(), f"{{ method GET }} {{ pathq -m str {presence.PATH} }}"
    return f"http-request return status 200 content-type application/json string '{body}' if {asked}"


class Rules:
    """The rules of the frontend that clients talk to."""

    def __init__(self, table: Tabulation, maps: Maps, settings: Settings) -> None:
        self._table = table
        self._maps = maps
        self._settings = settings

    def map(self, name: str, how: str = "str") -> str:
        """The converter that looks up in a map."""
        return f"map_{how}({argument(f'{self._settings.directory}/{name}.map')})"

    def frontend(self, elsewhere: str) -> Iterator[str]:
        """The section. What is addressed to no host of the table goes to the backend `elsewhere`, if there is one."""
        yield "frontend clients from listening"
        certificate = self._settings.certificate
        tls = f" ssl crt {word(certificate)} alpn h2,http/1.1" if certificate else ""
        for listen in self._settings.listen:
            host = f"[{listen.host}]" if ":" in listen.host else listen.host
            everywhere = "" if host else " v4v6"
            yield f"  bind {host or '::'}:{listen.port}{everywhere}{tls}"
        for title, rules in (
            ("Nobody else may say where a request goes.", [f"http-request del-header {HOP}"]),
            (
                "An ordinary pull: its whole way.",
                frontend_rules(self._maps.quick, self._settings.directory, self._base_url()),
            ),
            ("Every other request: where it came to.", self._base()),
            ("Whether ns-inject is there.", [_here()]),
            ("The addressed host: lower case, without the scheme's own port.", self._addressed()),
            ("The path, decoded to be looked up; what is sent on stays as it is.", self._path()),
            ("The registry that the client's ns names.", self._spoken()),
            ("The ways of the repository: of a reference of it, of itself, of what it lies under.", self._ways()),
            ("The ways of a repository whose first component is a registry.", self._told_by_path()),
            ("The steps of this kind of request, or why it is refused.", self._steps()),
            ("Where it goes first; what has further steps goes through the frontends below.", self._go(elsewhere)),
        ):
            lines = list(rules)
            if lines:
                yield ""
                yield f"  # {title}"
            yield from (f"  {line}" for line in lines)

    def _base(self) -> Iterator[str]:
        yield f"http-request set-var-fmt(txn.base) {self._base_url()}"

    def _base_url(self) -> str:
        return f"{'https' if self._settings.certificate else 'http'}://%[req.fhdr(host)]"

    # -- host ---------------------------------------------------------------------------------------------------------

    def _addressed(self) -> Iterator[str]:
        port = DEFAULT_PORTS[self._table.scheme]
        other = 80 if port == 443 else 443
        yield "acl known var(txn.host) -m found"
        yield f"acl is_host var(txn.name) -m reg '{_HOST}'"
        yield "acl below_v2 path -m reg '^/(?:v|%76)(?:2|%32)(?:/|%2[Ff]|$)'"
        yield "acl root var(txn.what) -m str r c"
        yield "http-request del-header proxy-authorization if below_v2"
        yield "acl pull method GET HEAD"
        message = "the request is not sent on: its Host has a port that can be read in two ways"
        yield f"{answer(400, 'UNSUPPORTED', message)} if {{ req.fhdr(host) -m reg ':(?:0[0-9]*|{other})$' }}"
        yield (
            f"http-request set-var(txn.named) "
            f'\'req.fhdr(host),lower,regsub("[.](?=:|$)",""),regsub(":(?:{port})?$","")\''
        )
        yield from self._host()
        if self._table.scheme == "https" and self._maps.has_any_host:
            yield f"http-request set-var(txn.own) 'var(txn.host),{field(5)}' if known"
            message = "the request is not sent on: certificates are compared with names, and its Host is an IP address"
            looked_up = "{ var(txn.name) -m beg [ } { var(txn.own) -m str any-https }"
            yield f"{answer(400, 'UNSUPPORTED', message)} if known {looked_up}"
        destination = self._settings.destination
        if destination is None:
            message = "no registry of this name is configured here"
            yield f"{answer(421, 'UNSUPPORTED', message)} unless known"
            return
        host = destination.host if isinstance(destination.host, str) else ""
        name = registry_name(destination.scheme, host, destination.port)
        named = host_field(destination.scheme, host, destination.port)
        yield "http-request set-var(txn.elsewhere) bool(true) unless known"
        not_known = "{ var(txn.elsewhere) -m bool }"
        yield f"http-request set-header host {named} if {not_known}"
        yield f"http-request set-var(txn.named) str({named if name == 'docker.io' else name}) if {not_known}"
        yield from self._host(unless_known=True)

    def _host(self, unless_known: bool = False) -> Iterator[str]:
        """Look the host up by its own name, then by the patterns it matches, the longest first."""
        asked = " unless known" if unless_known else ""
        yield f'http-request set-var(txn.name) \'var(txn.named),regsub("{_DOCKER}","docker.io")\'{asked}'
        yield f"http-request set-var(txn.host) 'var(txn.named),{self.map('hosts')}'{asked}"
        for pattern in self._suffixes("txn.name", self._maps.host_suffixes):
            yield f"http-request set-var(txn.host) '{pattern},{self.map('hosts')}' if !known is_host"
        if self._maps.has_any_host:
            yield f"http-request set-var(txn.host) 'str(*),{self.map('hosts')}' if !known is_host"

    def _suffixes(self, variable: str, lengths: Iterable[int], before: str = "") -> Iterator[str]:
        """Expressions for the patterns that a name may match, the longest first; a name with a port matches none."""
        for length in sorted(lengths, reverse=True):
            yield f'var({variable}),regsub("^[^:]+((?:[.][^.:]+){{{length}}})$","{before}\\1")'

    # -- path ---------------------------------------------------------------------------------------------------------

    def _path(self) -> Iterator[str]:
        yield "http-request set-var(txn.decoded) path"
        yield f"http-request set-var(txn.decoded) 'path,regsub({BAD_ESCAPES}),url_dec' if {{ path -m sub % }}"
        yield "acl odd path -m reg '//|/[.]|%|[\\\\]'"
        yield "acl misleading var(txn.seen) -m reg '(?:^|/)[.][.]?(?:/|$)'"
        yield "acl misleading var(txn.seen) -m reg '^(?!/v2)'"
        yield "acl led_to_v2 var(txn.resolved) -m reg '^/+v2(?:/|$)'"
        yield "acl led_to_v2 var(txn.seen) -m reg '^/v2(?:/|$)'"
        yield 'http-request set-var(txn.seen) \'var(txn.decoded),regsub("[\\x5C]","/",g)\' if odd'
        up = "(/+(?![.][.](?:/|$))[^/]++(?1)*/+[.][.](?=/|$))"
        yield (
            f'http-request set-var(txn.resolved) \'var(txn.seen),regsub("/[.](?=/|$)","",g),regsub("{up}","",g),'
            'regsub("^(?:/+[.][.])+(?=/|$)","")\' if odd misleading'
        )
        message = "the request is not sent on: its path is another than it seems to be"
        yield f"{answer(404, 'NAME_INVALID', message)} if odd misleading led_to_v2"
        message = "the request is not sent on: there is a control character in its path or in its ns"
        control = "%(?:[01]|7[Ff])"
        yield f"{answer(400, 'UNSUPPORTED', message)} if below_v2 {{ path -m reg '{control}' }}"
        yield f"{answer(400, 'UNSUPPORTED', message)} if below_v2 {{ query -m reg '(?:^|&){NAMED}=[^&]*{control}' }}"
        parsed = "".join(f',regsub("{regex}","{put}")' for regex, put in _OPERATIONS[:4])
        yield f"http-request set-var(txn.what) 'var(txn.decoded){parsed}' if below_v2"
        parsed = "".join(f',regsub("{regex}","{put}")' for regex, put in _OPERATIONS[4:])
        yield f"http-request set-var(txn.what) 'var(txn.what){parsed}' if {{ var(txn.what) -m beg / }}"
        yield f"http-request set-var(txn.scope) 'var(txn.what),{field(2)}'"
        yield f"http-request set-var(txn.reference) 'var(txn.what),{field(3)}'"
        other = "{ var(txn.what) -m beg / }"
        yield f'http-request set-var(txn.scope) \'var(txn.decoded),regsub("^/v2/","")\' if {other}'
        yield f"http-request unset-var(txn.reference) if {other}"
        yield "http-request set-var(txn.kind) 'var(txn.what),bytes(0,1)'"
        yield "http-request set-var(txn.asks) str(absence) if pull { var(txn.kind) -m str c f }"
        is_manifest = "{ var(txn.kind) -m str t d } { var(txn.reference),length gt 0 }"
        yield f"http-request set-var(txn.asks) str(manifest) if {is_manifest}"
        yield "http-request set-var(txn.kind) str(r) if { var(txn.kind) -m str c }"
        yield "http-request set-var(txn.kind) str(d) if { var(txn.kind) -m str f }"
        yield f"http-request set-var(txn.kind) str(x) if !pull or {{ var(txn.kind) -m str u }} or {other}"

    # -- ns -----------------------------------------------------------------------------------------------------------

    def _spoken(self) -> Iterator[str]:
        for number, name in enumerate(("number", "plain", "other", "reads", "own"), start=1):
            yield f"http-request set-var(txn.{name}) 'var(txn.host),{field(number)}'"
        yield "http-request set-var(txn.source) var(txn.name)"
        yield "http-request set-var(txn.scopes) var(txn.plain)"
        if not self._table.reads_namespaces:
            return
        yield "acl spoken var(txn.spoken) -m found"
        yield "acl names_host var(txn.source) -m reg '" + _HOST + "'"
        yield "acl settled var(txn.found) -m found"
        yield "http-request set-var-fmt(txn.query) &%[query] if below_v2 { query -m found }"
        yield (
            f'http-request set-var(txn.spoken) \'var(txn.query),regsub("^.*?&{NAMED}=([^&]+).*$","\\1"),'
            f"regsub({BAD_ESCAPES}),url_dec(1)' if {{ var(txn.query) -m reg '&{NAMED}=[^&]' }}"
        )
        message = "the request is not sent on: its ns has a port that can be read in two ways"
        yield f"{answer(400, 'UNSUPPORTED', message)} if spoken {{ var(txn.spoken) -m reg ':0[0-9]*$' }}"
        yield "http-request set-var(txn.source) var(txn.spoken),lower if spoken"
        yield f"http-request set-var(txn.source) 'var(txn.source),{_normal()}' if spoken " + (
            "{ var(txn.source) -m reg '" + _HOST.replace("(?::[0-9]+)?", "[.]?(?::[0-9]*)?") + "' }"
        )
        yield "http-request set-var(txn.scopes) var(txn.other) if spoken"
        yield "http-request set-var-fmt(txn.key) %[var(txn.number)]| if spoken"
        namespaces, open_ = self.map("namespaces"), "spoken names_host !settled"
        itself = "{ var(txn.source),strcmp(txn.name) eq 0 }"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if spoken {itself}"
        yield "http-request set-var(txn.escaped) var(txn.source),url_enc if spoken !settled"
        yield "http-request set-var-fmt(txn.key) %[var(txn.number)]|%[var(txn.escaped)] if spoken !settled"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if spoken !settled"
        for pattern in self._suffixes("txn.source", self._maps.namespace_suffixes):
            yield f"http-request set-var(txn.suffix) '{pattern}' if {open_}"
            yield f"http-request set-var-fmt(txn.key) %[var(txn.number)]|%[var(txn.suffix)] if {open_}"
            yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if {open_}"
        yield f"http-request set-var-fmt(txn.key) %[var(txn.number)]|* if {open_}"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if {open_}"
        yield "http-request set-var(txn.scopes) var(txn.found) if settled"

    # -- repository ---------------------------------------------------------------------------------------------------

    def _ways(self) -> Iterator[str]:
        found = "!{ var(txn.ways) -m found }"
        yield f"http-request set-var(txn.ways) 'var(txn.scopes),{self.map('roots')},{field(1)}' if root"
        yield "http-request set-var-fmt(txn.key) %[var(txn.scopes)]/%[var(txn.scope)]%[var(txn.reference)] if !root"
        exactly = self.map("exactly")
        yield f"http-request set-var(txn.ways) 'var(txn.key),{exactly}' if !root {{ var(txn.reference) -m found }}"
        yield "http-request set-var-fmt(txn.key) %[var(txn.scopes)]/%[var(txn.scope)] if !root"
        yield f"http-request set-var(txn.ways) 'var(txn.key),{exactly}' if !root {found}"
        yield f"http-request set-var(txn.ways) 'var(txn.key),{self.map('below', 'beg')}' if !root {found}"

    def _told_by_path(self) -> Iterator[str]:
        maps = self._maps
        missing = "!{ var(txn.ways) -m found }"
        if not (maps.paths.is_empty and maps.paths_below.is_empty and maps.path_patterns.is_empty):
            spoken = "!spoken " if self._table.reads_namespaces else ""
            yield "acl reads_path var(txn.registry) -m found"
            yield "acl told var(txn.told) -m found"
            yield (
                f"http-request set-var(txn.registry) 'var(txn.scope),field(1,/)' if below_v2 !root {spoken}{missing} "
                "{ var(txn.reads) -m str p } { var(txn.scope) -m reg '^(?:[^/]*[.:][^/]*|localhost)/.' }"
            )
            message = "the request is not sent on: the registry in its path has a port that can be read in two ways"
            port = "{ var(txn.registry) -m reg ':(?:80|443|0[0-9]*)$' }"
            yield f"{answer(400, 'UNSUPPORTED', message)} if reads_path {port}"
            yield "http-request set-var-fmt(txn.key) %[var(txn.scope)]%[var(txn.reference)] if reads_path"
            paths = self.map("paths")
            yield f"http-request set-var(txn.told) 'var(txn.key),{paths}' if reads_path"
            yield f"http-request set-var(txn.told) 'var(txn.scope),{paths}' if reads_path !told"
            under = self.map("paths-below", "beg")
            yield f"http-request set-var(txn.told) 'var(txn.scope),{under}' if reads_path !told"
            yield f"http-request set-var(txn.registry) 'var(txn.registry),lower,{_normal()}' if reads_path"
            patterns = self.map("path-patterns")
            for pattern in self._suffixes("txn.registry", maps.path_suffixes):
                yield f"http-request set-var(txn.suffix) '{pattern}' if reads_path !told"
                yield from self._path_pattern(patterns, "%[var(txn.suffix)]")
            yield from self._path_pattern(patterns, "*")
            yield "http-request set-var(txn.source) var(txn.registry) if told"
            yield "http-request set-var(txn.subject) 'var(txn.scope),field(2,/,0)' if told"
            yield "http-request set-var(txn.ways) var(txn.told) if told !{ var(txn.told) -m str -- - }"
        yield f"http-request set-var(txn.ways) 'var(txn.scopes),{self.map('roots')},{field(2)}' if !root {missing}"

    def _path_pattern(self, patterns: str, suffix: str) -> Iterator[str]:
        for host in ("%[var(txn.number)]", ""):
            yield f"http-request set-var-fmt(txn.key) {host}|{suffix} if reads_path !told"
            yield f"http-request set-var(txn.told) 'var(txn.key),{patterns}' if reads_path !told"

    # -- steps --------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[str]:
        yield "acl decided var(txn.steps) -m found"
        yield f"http-request set-var(txn.way) 'var(txn.ways),{self.map('ways')}' if below_v2"
        for number, letter in enumerate(KINDS.values(), start=1):
            is_it = f"below_v2 {{ var(txn.kind) -m str {letter} }}"
            yield f"http-request set-var(txn.steps) 'var(txn.way),field({number},|)' if {is_it}"
        yield "http-request unset-var(txn.steps) if { var(txn.steps) -m str -- - }"
        message = "the request is not sent on: nothing is configured for what it asks"
        yield f"{answer(400, 'UNSUPPORTED', message)} if known below_v2 !decided"
        if self._maps.statuses:
            yield from self._refused()
        yield "# The body of a pull is sent once."
        yield (
            f"http-request set-var(txn.steps) 'var(txn.steps),{field(1)}' if decided "
            "{ req.hdr_cnt(transfer-encoding) gt 0 } or decided { req.hdr_val(content-length) gt 0 }"
        )

    def _refused(self) -> Iterator[str]:
        yield "acl refused var(txn.refusal) -m found"
        yield (
            f'http-request set-var(txn.refusal) \'var(txn.steps),regsub("^!",""),{self.map("refusals")}\' '
            "if { var(txn.steps) -m beg ! }"
        )
        yield "http-request set-var(txn.status) 'var(txn.refusal),field(1,|)' if refused"
        greeted = "{ var(txn.what) -m str r } { var(txn.status) -m str 403 } { var(txn.reads) -m str -- - }"
        spoken = " !spoken" if self._table.reads_namespaces else ""
        yield "# Clients show nothing of a ping that fails: they get it, and then the error to what it is about."
        yield f"http-request set-var(txn.status) str(200) if refused pull {greeted}{spoken}"
        yield "http-request set-var(txn.subject) var(txn.scope) if refused !{ var(txn.subject) -m found }"
        yield "http-request set-var-fmt(txn.I) %[var(txn.source)] if refused"
        yield (
            "http-request set-var-fmt(txn.I) %[var(txn.source)]/%[var(txn.subject)]%[var(txn.reference)] "
            "if refused !root"
        )
        yield "http-request set-var-fmt(txn.N) ns=%[var(txn.spoken)] if refused"
        body = ""
        for number in range(self._maps.message_parts):
            piece = f"txn.p{number}"
            yield f"http-request set-var({piece}) 'var(txn.refusal),field({number + 2},|)' if refused"
            if number % 2:
                values = (("S", "txn.source"), ("A", "txn.name"), ("N", "txn.N"), ("P", "path"), ("I", "txn.I"))
                for letter, value in values:
                    given = value if value == "path" else f"var({value})"
                    yield (
                        f"http-request set-var(txn.given) {given},json(utf8s) "
                        f"if refused {{ var({piece}) -m str {letter} }}"
                    )
                yield f"http-request set-var({piece}) var(txn.given) if refused {{ var({piece}) -m found }}"
            body += f"%[var({piece})]"
        version = "hdr Docker-Distribution-Api-Version registry/2.0"
        for status in sorted({*self._maps.statuses, 200}):
            yield (
                f"http-request return status {status} content-type application/json lf-string {body} {version} "
                f"if refused {{ var(txn.status) -m str {status} }}"
            )

    def _go(self, elsewhere: str) -> Iterator[str]:
        yield "acl several var(txn.steps) -m sub ' '"
        yield from step_of("var(txn.steps)", self.map("steps"), "if decided !several")
        yield "http-request set-var(txn.backend) var(txn.own) if known !decided"
        if self._maps.most_steps > 1:
            handed = "|".join(f"%[var(txn.{name})]" for name in HANDED)
            if self._table.reads_namespaces:
                yield "http-request set-var(txn.source) str(-) if several !names_host"
            # A later step might have to move the repository, and would refuse what an earlier one was sent.
            yield f"{answer(400, 'UNSUPPORTED', ESCAPED)} if several {{ path -m reg '{NOT_MOVABLE}' }}"
            yield f"http-request set-header {HOP} {handed} if several"
            yield "use_backend try1 if several"
        yield from backend_of(self._maps.quick)
        if elsewhere:
            yield f"use_backend {elsewhere} unless known"
        yield "use_backend %[var(txn.backend)]"


def _normal() -> str:
    """Converters for the normal form of a registry's name in lower case."""
    return f'regsub("[.](?=:|$)",""),regsub(":(?:80|443)?$",""),regsub("{_DOCKER}","docker.io")'


def step_of(steps: str, found: str, condition: str) -> Iterator[str]:
    """Rules that read a step, and where it goes."""
    yield f"http-request set-var(txn.token) {steps} {condition}"
    yield f"http-request set-var(txn.step) 'var(txn.token),{found}' {condition}"
    yield f"http-request set-var(txn.backend) 'var(txn.step),{field(1)}' {condition}"
    yield "http-request set-var(txn.backend) var(txn.own) if { var(txn.backend) -m str = }"


__all__ = ["HOP", "PARAMETER", "Rules", "answer", "field", "step_of"]
