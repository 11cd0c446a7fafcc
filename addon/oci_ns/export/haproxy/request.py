"""How HAProxy reads a request: the host that it addresses, what its path asks for, and the registry that its ns names.

Knows the grammar of these in HAProxy's rules, and the variables that have what was read; what follows from it is in
`rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_ns.export.contract import Settings
from oci_ns.export.haproxy.maps import Maps
from oci_ns.export.haproxy.query import BAD_ESCAPES, NAMED
from oci_ns.export.haproxy.refusals import answer
from oci_ns.export.haproxy.servers import host_field
from oci_ns.export.haproxy.text import looked_up, nth
from oci_ns.export.tabulation import Tabulation
from oci_ns.reference import DEFAULT_PORTS, registry_name

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


class Reading:
    """The rules of the frontend by which a request is read, in three sections."""

    def __init__(self, table: Tabulation, maps: Maps, settings: Settings) -> None:
        self._table = table
        self._maps = maps
        self._settings = settings

    # -- host ---------------------------------------------------------------------------------------------------------

    def addressed(self) -> Iterator[str]:
        """The addressed host, and its row."""
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
        message = "the request is not sent on: it has more than one Host"
        yield f"{answer(400, 'UNSUPPORTED', message)} if {{ req.fhdr(host) -m sub , }}"
        yield (
            f"http-request set-var(txn.named) "
            f'\'req.fhdr(host),lower,regsub("[.](?=:|$)",""),regsub(":(?:{port})?$","")\''
        )
        yield from self._host()
        if self._table.scheme == "https" and self._maps.has_any_host:
            yield f"http-request set-var(txn.own) 'var(txn.host),{nth(5)}' if known"
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
        yield f"http-request set-var(txn.host) 'var(txn.named),{self._map('hosts')}'{asked}"
        for pattern in suffixes("txn.name", self._maps.host_suffixes):
            yield f"http-request set-var(txn.host) '{pattern},{self._map('hosts')}' if !known is_host"
        if self._maps.has_any_host:
            yield f"http-request set-var(txn.host) 'str(*),{self._map('hosts')}' if !known is_host"

    # -- path ---------------------------------------------------------------------------------------------------------

    def path(self) -> Iterator[str]:
        """The kind of request, the repository, and the reference."""
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
        yield f"http-request set-var(txn.scope) 'var(txn.what),{nth(2)}'"
        yield f"http-request set-var(txn.reference) 'var(txn.what),{nth(3)}'"
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

    def spoken(self) -> Iterator[str]:
        """The registry that it is about as far as the host and `ns` say, and where its repositories are looked up."""
        for number, name in enumerate(("number", "plain", "other", "reads", "own"), start=1):
            yield f"http-request set-var(txn.{name}) 'var(txn.host),{nth(number)}'"
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
        yield f"http-request set-var(txn.source) 'var(txn.source),{normal_name()}' if spoken " + (
            "{ var(txn.source) -m reg '" + _HOST.replace("(?::[0-9]+)?", "[.]?(?::[0-9]*)?") + "' }"
        )
        yield "http-request set-var(txn.scopes) var(txn.other) if spoken"
        yield "http-request set-var-fmt(txn.key) %[var(txn.number)]| if spoken"
        namespaces, open_ = self._map("namespaces"), "spoken names_host !settled"
        itself = "{ var(txn.source),strcmp(txn.name) eq 0 }"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if spoken {itself}"
        yield "http-request set-var(txn.escaped) var(txn.source),url_enc if spoken !settled"
        yield "http-request set-var-fmt(txn.key) %[var(txn.number)]|%[var(txn.escaped)] if spoken !settled"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if spoken !settled"
        for pattern in suffixes("txn.source", self._maps.namespace_suffixes):
            yield f"http-request set-var(txn.suffix) '{pattern}' if {open_}"
            yield f"http-request set-var-fmt(txn.key) %[var(txn.number)]|%[var(txn.suffix)] if {open_}"
            yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if {open_}"
        yield f"http-request set-var-fmt(txn.key) %[var(txn.number)]|* if {open_}"
        yield f"http-request set-var(txn.found) 'var(txn.key),{namespaces}' if {open_}"
        yield "http-request set-var(txn.scopes) var(txn.found) if settled"

    def _map(self, name: str) -> str:
        return looked_up(self._settings.directory, name)


def suffixes(variable: str, lengths: Iterable[int]) -> Iterator[str]:
    """Expressions for the patterns that a name may match, the longest first; a name with a port matches none."""
    for length in sorted(lengths, reverse=True):
        yield f'var({variable}),regsub("^[^:]+((?:[.][^.:]+){{{length}}})$","\\1")'


def normal_name() -> str:
    """Converters for the normal form of a registry's name in lower case."""
    return f'regsub("[.](?=:|$)",""),regsub(":(?:80|443)?$",""),regsub("{_DOCKER}","docker.io")'
