"""A request as nginx reads it, in `map`s: host, path, repository, `ns`. The same for every table, but for its scheme.

What nginx could only guess at has the value `!`, and is refused. Nothing is taken from `$uri`, which nginx decodes.
The grammar is that of `reference` and `distribution`.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.nginx.text import Map, expressions, words
from oci_ns.reference import DEFAULT_PORTS, DOCKER_HUB, DOCKER_HUB_NAMES

COMPONENT = r"(?>[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)"
_REPOSITORY = rf"(?<oci_scope_>{COMPONENT}(?:/{COMPONENT})*)"
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_TAG = f"(?<oci_reference_>{TAG})"
DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_DIGEST = f"(?<oci_reference_>{DIGEST})"
_LABEL = r"(?>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-f0-9:.]+\])"
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
PLAIN_HOST = rf"(?i:{_LABEL}(?:\.{_LABEL})*)(?::(?!80$|443$){_PORT})?"
"""A host that stands for no other, and that everybody reads alike."""
_BASE = "(?:v|%76)(?:2|%32)"
_COLON = "(?::|%3[Aa])"

_NAME = r"(?:n|%6[Ee])(?:s|%73)"
"""The name of the `ns` parameter in every spelling."""
OTHERS = rf"(?:(?!{_NAME}[=&])[^&]*+&)*+"
"""Any parameters but `ns`, each with an ampersand behind it."""
_EMPTY = rf"{_NAME}=?&"
_FILLED = rf"{_NAME}=[^&]++&"
_ANY = rf"{_NAME}(?:=[^&]*+)?&"
NAMESPACES_MAX = 3
"""How many `ns` parameters are read; a request with more is refused."""


def _cuts() -> Iterator[tuple[str, str]]:
    for count in range(1, NAMESPACES_MAX + 1):
        parts = [f"(?<oci_dropped_{at}>{OTHERS})" for at in range(count + 1)]
        yield f"^{_ANY.join(parts)}$", "".join(f"${{oci_dropped_{at}}}" for at in range(count + 1))


NAMESPACE_CUTS = tuple(_cuts())
"""Expressions for parameters with one, two … `ns`, and the parameters without."""


def request_maps(scheme: str) -> list[Map]:
    """What every look-up begins with; `scheme` is the one that requests come by."""
    return [*_host(scheme), *_target(), *_namespace(), *_query()]


def hub_names(variable: str, source: str, about: str = "") -> Map:
    """Docker Hub under its one name."""
    others = sorted(DOCKER_HUB_NAMES - {DOCKER_HUB})
    return Map(
        f"${source}", variable, words(*((name, DOCKER_HUB) for name in others)), default=f"${source}", about=about
    )


def _host(scheme: str) -> list[Map]:
    own = DEFAULT_PORTS[scheme]
    other = next(port for port in DEFAULT_PORTS.values() if port != own)
    labels = rf"(?i:{_HOST})\.?"
    return [
        Map(
            "$request",
            "oci_form",
            default="!",
            expressions=expressions(("^[^ ]+ /", "")),
            about="A target in absolute form names a host of its own: this is no forward proxy.",
        ),
        Map("$http_host", "oci_authority", words(("", "$ssl_server_name")), default="$http_host"),
        Map("$http_host", "oci_lower_host", words(("", "$ssl_server_name")), default="$host"),
        Map(
            "$oci_authority",
            "oci_name",
            default="?",
            expressions=expressions(
                (rf"^{labels}(?::(?:0*{own})?)?$", "$oci_lower_host"),
                (rf"^{labels}:0*{other}$", "!"),
                (rf"^{labels}:0*(?<oci_port>{_PORT})$", "$oci_lower_host:$oci_port"),
            ),
            about="The addressed host: in lower case, without the scheme's own port.",
        ),
        hub_names("oci_name_source", "oci_name"),
    ]


def _misleading() -> list[Map]:
    """The rule of `unfit`: a path that some servers take for another, where either is below /v2."""
    dots, slash = r"[/\\]\.\.?(?:[/\\]|$)", r"(?:[/\\]|%2[Ff]|%5[Cc])"
    return [
        Map("$uri", "oci_resolved", expressions=expressions(("^/v2(?:/|$)", "v2"))),
        Map(
            "$oci_resolved $oci_path",
            "oci_misleading",
            expressions=expressions(
                (rf"^(?:v2)? /v2(?=[/\\]).*?{dots}", "!"),
                (rf"^v2 /v2.*?{dots}", "!"),
                (f"^v2 (?!/{_BASE})", "!"),
                (rf"^ (?!/{_BASE})(?=.*(?:\\|%5[Cc])).*{slash}{_BASE}(?:{slash}|$)", "!"),
            ),
            about="Paths that some servers take for others.",
        ),
    ]


def _target() -> list[Map]:
    escapes = rf"^(?=[^%]*%)/{_BASE}(?:(?:/|%2[Ff]).*)?$"
    session = r"(?:/(?:[^/%]|%(?!2[Ff]))*+)?"
    parsed = expressions(
        ("^/v2/?$", "ping"),
        ("^/v2/_catalog$", "catalog"),
        (f"^/v2/{_REPOSITORY}/manifests/{_TAG}$", "tag"),
        (f"^/v2/{_REPOSITORY}/manifests/{_DIGEST}$", "manifest"),
        (f"^/v2/{_REPOSITORY}/blobs/{_DIGEST}$", "blob"),
        (f"^/v2/{_REPOSITORY}/tags/list$", "tags"),
        (f"^/v2/{_REPOSITORY}/referrers/{_DIGEST}$", "referrers"),
        (f"^/v2/{_REPOSITORY}/blobs/uploads{session}$", "upload"),
        (escapes, "escaped"),
        ("^/v2/(?<oci_scope_>.*)$", "other"),
        ("^/", "pass"),
    )
    with_scope = ("tag", "manifest", "blob", "tags", "referrers", "upload", "other")
    references = [("tag", ":$oci_reference_")]
    references += [(each, "@$oci_reference_") for each in ("manifest", "blob", "referrers")]
    kinds = {"tag": "tag", "tags": "tag", "manifest": "digest", "referrers": "digest", "blob": "blob"}
    kinds |= {"ping": "root", "catalog": "root"}
    rows = [(f"{method} {what}", kind) for what, kind in kinds.items() for method in ("GET", "HEAD")]
    return [
        Map("$request_uri", "oci_path", expressions=expressions((r"^(?<oci_path_>[^?]*)", "$oci_path_"))),
        *_misleading(),
        Map("$request_uri", "oci_query", expressions=expressions((r"^[^?]*(?<oci_query_>\?.*)$", "$oci_query_"))),
        Map("$oci_path", "oci_parsed", default="escaped", expressions=parsed, about="What the path asks for."),
        Map("$oci_parsed", "oci_scope", words(*((each, "$oci_scope_") for each in with_scope))),
        Map("$oci_parsed", "oci_suffix", words(*references)),
        Map("$request_method $oci_parsed", "oci_kind", words(*rows), default="rest"),
        Map(
            "$oci_parsed",
            "oci_absence",
            words(("referrers", "!"), ("catalog", "!")),
            default="-",
            about="Whether a 404 is an answer, and no reason to ask the next endpoint.",
        ),
        Map(
            "$oci_scope",
            "oci_key",
            default="$oci_scope",
            expressions=expressions((r"^(?<oci_key_>(?:[^A-Z/]*+/)*+)[^/]*[A-Z]", "${oci_key_}!")),
            about="Look-ups take either case: a component with capitals is none of the table's.",
        ),
        Map(
            "$oci_parsed $oci_path",
            "oci_below",
            expressions=expressions(("^(?:ping|catalog|pass) ", ""), (r"^\S+ /v2/(?<oci_below_>.*)$", "$oci_below_")),
        ),
        Map(
            "$oci_path",
            "oci_said_path",
            default="/v2/...",
            expressions=expressions((r"^(?<oci_said_>[!#-\[\]-~]*)$", "$oci_said_")),
            about="As it may stand in JSON.",
        ),
    ]


def _namespace() -> list[Map]:
    # Parameters with an ampersand behind each, so that all look alike.
    counts = [(f"^{OTHERS}{f'{_ANY}{OTHERS}' * count}$", str(count)) for count in range(1, NAMESPACES_MAX + 1)]
    return [
        Map(
            "$oci_query",
            "oci_parameters",
            expressions=expressions((r"^\?(?<oci_parameters_>.*)$", "$oci_parameters_&")),
        ),
        Map(
            "$oci_parameters",
            "oci_namespaces",
            words(("", "0")),
            default="many",
            expressions=expressions((f"^{OTHERS}$", "0"), *counts),
            about="How many ns the client sent.",
        ),
        Map(
            "$oci_parameters",
            "oci_spoken",
            expressions=expressions(
                (rf"^{OTHERS}(?:{_EMPTY}{OTHERS})*+{_NAME}=(?<oci_spoken_>[^&]++)&", "$oci_spoken_")
            ),
        ),
        Map(
            "$oci_spoken",
            "oci_spoken_name",
            words(("", "")),
            default="?",
            expressions=expressions(
                (rf"^(?<oci_spoken_host_>{_HOST})\.?(?:{_COLON}(?:0*(?:80|443))?)?$", "$oci_spoken_host_"),
                (
                    rf"^(?<oci_spoken_host_>{_HOST})\.?{_COLON}(?<oci_spoken_port_>{_PORT})$",
                    "$oci_spoken_host_:$oci_spoken_port_",
                ),
                ("%", "!"),
                (rf"^(?i:{_HOST})\.?(?::.*)?$", "!"),
            ),
            about="The registry that the client's ns names; ? where it is no registry's name.",
        ),
        hub_names("oci_spoken_source", "oci_spoken_name"),
        Map(
            "$oci_spoken",
            "oci_said_namespace",
            default="ns",
            expressions=expressions((r"^(?<oci_said_ns_>[!#-\[\]-~]*)$", "ns=$oci_said_ns_")),
        ),
    ]


def _query() -> list[Map]:
    # Whole parameters of each query with two or three ns: the first that is filled stays, else the first.
    rest = rf"(?<oci_first_b>{OTHERS})(?:{_ANY}(?<oci_first_c>{OTHERS}))?$"
    first = [
        (rf"^(?<oci_first_a>{OTHERS}{_FILLED}{OTHERS}){_ANY}{rest}", "${oci_first_a}${oci_first_b}${oci_first_c}"),
        (
            rf"^(?<oci_first_a>{OTHERS}){_EMPTY}(?<oci_first_b>{OTHERS}{_FILLED}{OTHERS})(?:{_ANY}(?<oci_first_c>{OTHERS}))?$",
            "${oci_first_a}${oci_first_b}${oci_first_c}",
        ),
        (
            rf"^(?<oci_first_a>{OTHERS}){_EMPTY}(?<oci_first_b>{OTHERS}){_EMPTY}(?<oci_first_c>{OTHERS}{_FILLED}{OTHERS})$",
            "${oci_first_a}${oci_first_b}${oci_first_c}",
        ),
        (rf"^(?<oci_first_a>{OTHERS}{_EMPTY}{OTHERS}){_EMPTY}{rest}", "${oci_first_a}${oci_first_b}${oci_first_c}"),
    ]
    alone = rf"^{OTHERS}ns=(?<oci_alone_>[^&;%]+)&{OTHERS}$"
    with_port = rf"^{OTHERS}ns=(?<oci_alone_>[^&;%]+)%3[Aa](?<oci_alone_port_>[^&;%]*)&{OTHERS}$"
    return [
        Map("$oci_parameters", "oci_dropped_parameters", expressions=expressions(*NAMESPACE_CUTS)),
        Map(
            "$oci_dropped_parameters",
            "oci_dropped_query",
            expressions=expressions(("^(?<oci_dropped_>.+)&$", "?$oci_dropped_")),
        ),
        Map(
            "$oci_namespaces",
            "oci_query_without",
            words(("0", "$oci_query")),
            default="$oci_dropped_query",
            about="The query without ns, and where another goes behind it.",
        ),
        Map("$oci_query_without", "oci_query_before", words(("", "?"), ("?", "?")), default="$oci_query_without&"),
        Map("$oci_parameters", "oci_first_parameters", expressions=expressions(*first)),
        Map(
            "$oci_first_parameters",
            "oci_first_query",
            expressions=expressions(("^(?<oci_first_>.+)&$", "?$oci_first_")),
        ),
        Map(
            "$oci_namespaces",
            "oci_query_first",
            words(("0", "$oci_query"), ("1", "$oci_query")),
            default="$oci_first_query",
            about="The query with the first ns alone.",
        ),
        Map(
            "$oci_parameters",
            "oci_alone",
            expressions=expressions((alone, "$oci_alone_"), (with_port, "$oci_alone_:$oci_alone_port_")),
            about="The value of an ns that is the only one, and that everybody reads alike.",
        ),
    ]
