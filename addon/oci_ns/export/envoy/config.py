"""The configuration of Envoy (tried with 1.40) that does what a tabulation says: one file, `envoy.yaml`.

A request is looked up, and its head edited, by Lua (`lua`); Envoy's own parts carry it: three dynamic
forward proxies (https, https without verification, http) resolve and connect, whatever the number of registries. Where
several places are to be tried in turn, the request passes a second listener inside Envoy, to which Envoy's retry sends
it again as long as the answer says so. Knows Envoy's API, version 3; nothing of registries.
"""

from __future__ import annotations

from collections.abc import Iterable

from oci_ns.export.contract import Exported, Listen, NotCarried, NotCarriedError, Settings
from oci_ns.export.envoy.clusters import HTTP_1, clusters, name_look_ups
from oci_ns.export.envoy.lua import inner, outer, way_back
from oci_ns.export.envoy.quick import PROGRAM_SIZE, Quick, filters, matcher, quick_of
from oci_ns.export.envoy.table import comment
from oci_ns.export.envoy.yaml import Value, typed, write
from oci_ns.export.tabulation import Part, Tabulation

NAME = "envoy.yaml"
PREFIX = "x-ns-inject-"
"""What the names of the header fields begin with that this Envoy's parts tell each other; none of them leaves it."""

_LUA = "@LUA {}@"
"""Stands for a block of Lua code in a document; no configuration's text has a place in these."""


def export(tabulation: Tabulation, settings: Settings) -> Exported:
    """The configuration. Raises NotCarriedError where Envoy cannot carry all of it, unless `allow_partial`."""
    left_out = (*settings.without_form, *_not_carried(tabulation, settings))
    if left_out and not settings.allow_partial:
        raise NotCarriedError(left_out)
    blocks = {_LUA.format("outer"): outer(tabulation, settings), _LUA.format("inner"): inner(settings)}
    quick = quick_of(tabulation, settings)
    if quick.is_carried:
        blocks[_LUA.format("back")] = way_back(settings, quick)
    document = _document(settings, quick)
    lines = ["# Made by ns-inject from registries.conf: change that, and export again. Tried with Envoy 1.40."]
    lines += [f"# Left out: {comment(str(each))}" for each in left_out]
    write(document, 0, blocks, lines)
    return Exported({NAME: "\n".join(lines) + "\n"}, left_out)


def _not_carried(tabulation: Tabulation, settings: Settings) -> Iterable[NotCarried]:
    destination = settings.destination
    if destination is not None and isinstance(destination.host, Part):
        yield NotCarried("destination", "it has to be one host")
    elif destination is not None and destination.scheme != tabulation.scheme:
        why = f"the table is for requests that come by {tabulation.scheme}, not {destination.scheme}"
        yield NotCarried("destination", why)
    if not settings.listen:
        yield NotCarried("listen", "there is no address to listen at")
    if settings.key and not settings.certificate:
        yield NotCarried("key", "there is no certificate that it is for")


# -- the document -----------------------------------------------------------------------------------------------------


def _document(settings: Settings, quick: Quick) -> dict[str, Value]:
    in_turn = {
        "name": "in-turn",
        "internal_listener": {},
        "filter_chains": [{"filters": [_manager("in-turn", settings, "inner", None)]}],
    }
    internal = typed("envoy.bootstrap.internal_listener", "extensions.bootstrap.internal_listener.v3.InternalListener")
    size = {"re2.max_program_size.error_level": PROGRAM_SIZE}
    return {
        "bootstrap_extensions": [internal],
        "layered_runtime": {"layers": [{"name": "expressions", "static_layer": size}]},
        "static_resources": {
            "listeners": [_listener(settings, quick), in_turn],
            "clusters": clusters(settings),
        },
    }


def _listener(settings: Settings, quick: Quick) -> dict[str, Value]:
    chain: dict[str, Value] = {"filters": [_manager("listener", settings, "outer", quick)]}
    if settings.certificate:
        certificate = {
            "certificate_chain": {"filename": settings.certificate},
            "private_key": {"filename": settings.key or settings.certificate},
        }
        common = {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]}
        kind = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        chain["transport_socket"] = typed("envoy.transport_sockets.tls", kind, common_tls_context=common)
    address, *more = map(_address, settings.listen)
    listener: dict[str, Value] = {"name": "listener", **address, "filter_chains": [chain]}
    return {**listener, "additional_addresses": more} if more else listener


def _address(listen: Listen) -> dict[str, Value]:
    address = {"address": listen.host or "::", "port_value": listen.port, "ipv4_compat": not listen.host}
    return {"address": {"socket_address": address}}


def _manager(name: str, settings: Settings, block: str, quick: Quick | None) -> dict[str, Value]:
    """What speaks http with the client, or with this Envoy's own retry. It is to add nothing to what comes.

    `quick` has the short ways from the client; None: it is Envoy's own retry.
    """
    is_inner = quick is None
    # The client's own X-Forwarded-Proto is kept apart before Envoy writes one.
    # What only Envoy's parts say is no client's.
    proto = f"{PREFIX}proto"
    kept = {"key": proto, "value": "%REQ(x-forwarded-proto)%"}
    removed: list[Value] = [{"remove": proto}, {"remove": f"{PREFIX}to"}]
    if not is_inner:
        removed = [{"remove_on_match": {"key_matcher": {"prefix": each}}} for each in (PREFIX, "x-envoy-")]
    mutations: list[Value] = [
        *removed,
        {"append": {"header": kept, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
    ]
    early = typed(
        "envoy.http.early_header_mutation.header_mutation",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=mutations,
    )
    code: dict[str, Value] = {"inline_string": _LUA.format(block)}
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        codec_type="HTTP1" if is_inner else "AUTO",
        http_protocol_options={**HTTP_1, "accept_http_10": True, "allow_custom_methods": True},
        early_header_mutation_extensions=[early],
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        preserve_external_request_id=True,
        server_header_transformation="PASS_THROUGH",
        normalize_path=False,
        merge_slashes=False,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        stream_idle_timeout="0s",
        max_request_headers_kb=256,
        local_reply_config={"mappers": _local_replies(is_inner=is_inner)},
        route_config={"virtual_hosts": [_routes(settings, quick)]},
        http_filters=[
            *(filters(_LUA.format("back")) if quick is not None and quick.is_carried else ()),
            typed("envoy.filters.http.lua", "extensions.filters.http.lua.v3.Lua", default_source_code=code),
            typed(
                "envoy.filters.http.dynamic_forward_proxy",
                "extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
                dns_cache_config=name_look_ups(settings),
            ),
            typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
        ],
    )


def _local_replies(*, is_inner: bool) -> list[Value]:
    """What Envoy itself answers, in the distribution-spec's JSON."""
    return [
        _local_reply(["UF", "DF", "UH"], 502, "UNAVAILABLE", "connect" if is_inner else ""),
        _local_reply(["UT", "SI", "UMSDR"], 504, "UNAVAILABLE", "silent" if is_inner else ""),
        _local_reply(["UC", "UR", "UO", "UPE", "LR", "OM"], 502, "UNAVAILABLE", "broken" if is_inner else ""),
        _local_reply(["NR", "NC"], 500, "UNKNOWN", "broken" if is_inner else ""),
        _local_reply(["DPE"], 400, "UNSUPPORTED", ""),
    ]


def _local_reply(flags: list[str], status: int, code: str, failed: str) -> dict[str, Value]:
    error = {"code": code, "message": "%LOCAL_REPLY_BODY%"}
    reply: dict[str, Value] = {
        "filter": {"response_flag_filter": {"flags": flags}},
        "status_code": status,
        "body_format_override": {"json_format": {"errors": [error]}, "content_type": "application/json"},
    }
    if failed:
        reply["headers_to_add"] = [{"header": {"key": f"{PREFIX}failed", "value": failed}}]
    return reply


# Envoy finds no route without this field, so that it is no earlier than here that it can be the client's again.
_PROTO: dict[str, Value] = {
    "request_headers_to_remove": ["x-forwarded-proto"],
    "request_headers_to_add": [{"header": {"key": "x-forwarded-proto", "value": f"%REQ({PREFIX}proto)%"}}],
}


def _routes(settings: Settings, quick: Quick | None) -> dict[str, Value]:
    own = [f"{PREFIX}{name}" for name in ("kind", "to")]
    patient: dict[str, Value] = {"retry_policy": {"per_try_idle_timeout": f"{settings.response_seconds}s"}}
    # Nobody upstream says what only Envoy's parts tell each other.
    unsaid: list[Value] = [f"{PREFIX}failed", f"{PREFIX}next"]

    def to_hosts(kind: str, more: dict[str, Value]) -> dict[str, Value]:
        return {
            "match": {"prefix": "/", "headers": [{"name": own[0], "string_match": {"exact": kind}}]},
            **_PROTO,
            "response_headers_to_remove": unsaid,
            "route": {"cluster_header": own[1], "timeout": "0s", **more},
        }

    routes: list[Value] = [to_hosts("pull", patient)]
    if quick is not None:
        routes += [to_hosts("rest", {}), to_hosts("other", {}), _in_turn_route(own[1])]
    ways: dict[str, Value] = {"routes": routes}
    if quick is not None and quick.is_carried:
        ways = {"matcher": matcher(quick, routes, _PROTO, patient)}
    return {
        "name": "all",
        "domains": ["*"],
        # After those of a route.
        "request_headers_to_remove": [*own, f"{PREFIX}proto"],
        **ways,
    }


def _in_turn_route(to: str) -> dict[str, Value]:
    retry = {
        "retry_on": "retriable-headers",
        "retriable_headers": [{"name": f"{PREFIX}next", "present_match": True}],
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    }
    return {
        "match": {"prefix": "/", "headers": [{"name": to, "string_match": {"exact": "in-turn"}}]},
        **_PROTO,
        "route": {"cluster": "in-turn", "timeout": "0s", "retry_policy": retry},
    }
