"""The clusters of Envoy's configuration: how names are looked up, how places are connected to, and verified.

Knows Envoy's API for what is upstream of it, version 3; not what is asked for there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from oci_ns.export.contract import Settings
from oci_ns.export.envoy.yaml import API, Value, typed

_UNLIMITED = 1_000_000

HTTP_1: dict[str, Value] = {
    "header_key_format": {
        "stateful_formatter": typed(
            "envoy.http.stateful_header_formatters.preserve_case",
            "extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        )
    }
}
"""The names of header fields stay as they were written, to and from both sides."""


def clusters(settings: Settings) -> list[Value]:
    """All of them: the three that connect to whatever host is asked for, and this Envoy's own second listener."""
    return [
        _cluster("https", settings, verified=True),
        _cluster("https-insecure", settings, verified=False),
        _cluster("http", settings, verified=None),
        _in_turn_cluster(),
    ]


def name_look_ups(settings: Settings) -> dict[str, Value]:
    """How names are looked up: as all programs of the machine do, unless there are name servers for it."""
    if settings.resolvers:
        servers = [_name_server(each) for each in settings.resolvers]
        resolver = typed(
            "envoy.network.dns_resolver.cares",
            "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            resolvers=servers,
        )
    else:
        resolver = typed(
            "envoy.network.dns_resolver.getaddrinfo",
            "extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig",
            num_resolver_threads=4,
        )
    return {
        "name": "names",
        "dns_lookup_family": "ALL",
        "max_hosts": _UNLIMITED,
        "dns_query_timeout": f"{settings.connect_seconds}s",
        "typed_dns_resolver_config": resolver,
    }


def _name_server(text: str) -> dict[str, Value]:
    parts = urlsplit(f"//{text}")
    return {"socket_address": {"address": parts.hostname or text, "port_value": parts.port or 53}}


def _limits() -> dict[str, Value]:
    """Envoy's own limits would answer instead of an endpoint that is busy."""
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(names, _UNLIMITED)]}


def _protocol(**upstream: Value) -> dict[str, Value]:
    kind = "extensions.upstreams.http.v3.HttpProtocolOptions"
    options: dict[str, Value] = {
        "explicit_http_config": {"http_protocol_options": HTTP_1},
        # Less than servers wait: to send on a connection that is just being closed would be to no avail.
        "common_http_protocol_options": {"idle_timeout": "4s"},
    }
    if upstream:
        options["upstream_http_protocol_options"] = upstream
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": API + kind, **options}}


def _cluster(name: str, settings: Settings, *, verified: bool | None) -> dict[str, Value]:
    """All hosts that are spoken to so: by TLS, whose certificate is verified or not, or without (None)."""
    cluster: dict[str, Value] = {
        "name": name,
        "connect_timeout": f"{settings.connect_seconds}s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": typed(
            "envoy.clusters.dynamic_forward_proxy",
            "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            dns_cache_config=name_look_ups(settings),
            allow_insecure_cluster_options=not verified,
        ),
        "circuit_breakers": _limits(),
    }
    if verified is None:
        return {**cluster, "typed_extension_protocol_options": _protocol()}
    versions = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
    context: dict[str, Value] = {"tls_params": versions}
    if verified:
        context["validation_context"] = {"trusted_ca": {"filename": settings.authorities}}
    tls = typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context=context,
    )
    protocol = _protocol(auto_sni=True, auto_san_validation=verified)
    return {**cluster, "typed_extension_protocol_options": protocol, "transport_socket": tls}


def _in_turn_cluster() -> dict[str, Value]:
    address = {"envoy_internal_address": {"server_listener_name": "in-turn"}}
    return {
        "name": "in-turn",
        "type": "STATIC",
        "circuit_breakers": _limits(),
        "typed_extension_protocol_options": _protocol(),
        "load_assignment": {
            "cluster_name": "in-turn",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
