"""The mitmproxy options of this addon: their names, what they do and when to use them, and their values as types."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from oci_ns.certs_d import is_within_reach
from oci_ns.decision import ClientNamespace, Policy, Unresolved
from oci_ns.reference import is_host

if TYPE_CHECKING:
    from mitmproxy.addonmanager import Loader

_Choice = TypeVar("_Choice", bound=enum.Enum)

SOURCE_OPTIONS = frozenset({"ns_registries_conf", "ns_registries_conf_d"})
TIME_OPTIONS = frozenset({"ns_connect_timeout", "ns_response_timeout", "ns_upstream_timeout", "ns_remember"})
_MAY_BE_0 = frozenset({"ns_upstream_timeout", "ns_remember"})
CERTIFICATE_OPTIONS = frozenset({"ns_certs_d"})
LOGIN_OPTIONS = frozenset({"ns_authfile"})
BLOB_OPTIONS = frozenset({"ns_blobs"})
POLICY_OPTIONS = frozenset({"ns_default", "ns_client_namespace", "ns_unresolved"})


class Blobs(enum.Enum):
    """How blobs reach the client."""

    STREAM = "stream"
    REDIRECT = "redirect"


class Options(Protocol):
    """The options a policy is made of, whoever keeps them."""

    @property
    def ns_default(self) -> str: ...  # noqa: D102
    @property
    def ns_client_namespace(self) -> str: ...  # noqa: D102
    @property
    def ns_unresolved(self) -> str: ...  # noqa: D102


def declare(loader: Loader) -> None:
    """Add the options to mitmproxy."""
    loader.add_option(
        "ns_registries_conf",
        str,
        "",
        "The registries.conf that says which registry is served by which proxy. Default: "
        "$CONTAINERS_REGISTRIES_CONF, else the config/registries.conf that comes with ns-inject. "
        "'system' follows containers-registries.conf(5): $CONTAINERS_REGISTRIES_CONF, else the user's file, else "
        "/etc/containers/registries.conf; and both drop-in directories, unless ns_registries_conf_d names another.",
    )
    loader.add_option(
        "ns_registries_conf_d",
        str,
        "",
        "A directory of drop-ins: its *.conf files are read after ns_registries_conf, in order of their names, and a "
        "prefix in a later file replaces the same prefix of an earlier one.",
    )
    loader.add_option(
        "ns_default",
        str,
        "",
        "The namespace, docker.io for example, of a request that addresses a registry proxy and that nothing else "
        "resolves. Set it when several registries share one location and most requests are for one of them.",
    )
    loader.add_option(
        "ns_client_namespace",
        str,
        ClientNamespace.KEEP.value,
        "What to do with an ns that the client sent. keep: believe it. override: ignore it, the table decides. "
        "reject: believe one that is configured for the host it is sent to, answer any other with 403.",
        choices=[choice.value for choice in ClientNamespace],
    )
    loader.add_option(
        "ns_unresolved",
        str,
        Unresolved.PASS.value,
        "What to do with a /v2 request when nothing tells which registry it belongs to. pass: send it on as it is. "
        "reject: answer 404, so that none passes that registries.conf does not cover; TLS of other hosts is not read.",
        choices=[choice.value for choice in Unresolved],
    )
    loader.add_option(
        "ns_blobs",
        str,
        Blobs.STREAM.value,
        "How blobs reach the client. stream: through mitmproxy. redirect: a GET that would be rewritten is answered "
        "with 307 and the endpoint's own URL, ns in it, so that the bytes come straight from there; for clients that "
        "can reach the endpoint and trust its certificate. What needs a login is streamed all the same.",
        choices=[choice.value for choice in Blobs],
    )
    loader.add_option(
        "ns_authfile",
        str,
        "",
        "A file of logins for endpoints, containers-auth.json(5) or Docker's config.json: ns-inject itself logs in "
        "there for pulls, so that clients need no login. 'system' follows the search path of the man page. Whoever "
        "reaches ns-inject can then pull what these logins can.",
    )
    loader.add_option(
        "ns_certs_d",
        str,
        "",
        "A directory of certificates per endpoint, host[:port]/*.crt (CA), *.cert and *.key (client), as in "
        "containers-certs.d(5). Default: ~/.config/containers/certs.d, /etc/containers/certs.d, /etc/docker/certs.d.",
    )
    loader.add_option(
        "ns_connect_timeout",
        int,
        5,
        "Seconds to connect to an endpoint, TLS included, before the next one of the registry is tried.",
    )
    loader.add_option(
        "ns_response_timeout",
        int,
        30,
        "Seconds an endpoint may take to answer before the next one of the registry is tried. A pull-through cache "
        "that fetches an image for the first time takes as long as its source does.",
    )
    loader.add_option(
        "ns_upstream_timeout",
        int,
        60,
        "Seconds for which an endpoint may be silent while a pull waits for it, before its answer or in the middle of "
        "a blob; 0: as long as mitmproxy lets it. Before the answer the next endpoint of the registry is tried, or the "
        "client gets a 504; in the middle the connection is closed. Uploads are left to mitmproxy: a registry may "
        "need minutes to store a large one.",
    )
    loader.add_option(
        "ns_remember",
        int,
        60,
        "Seconds for which the endpoint that served a repository is used without trying those before it again.",
    )
    loader.add_option(
        "ns_hook_table",
        bool,
        True,
        "Look up once which addons have a function for which of mitmproxy's hooks, not for each request: mitmproxy "
        "then answers half as many again. false: as mitmproxy does it, which also calls what an addon gets later. "
        "Read at the start.",
    )
    loader.add_option(
        "ns_verify_blobs",
        bool,
        False,
        "Make the digest of each blob as it passes, and report one that is not what its digest says. Clients do this "
        "themselves; it is for finding out who spoils the bytes. Costs about a second of processor time per GiB.",
    )
    loader.add_option(
        "ns_log_json",
        str,
        "",
        "A file to append one JSON object per line to, for each decision, finding and pull; '-' is standard output "
        "(with --quiet, nothing else is written there). A file that is renamed (logrotate) is opened anew.",
    )
    loader.add_option(
        "ns_metrics",
        str,
        "",
        "host:port to serve metrics for Prometheus at, 127.0.0.1:9410 for example, and answers to probes: /healthz and "
        "/readyz. Needs prometheus-client. Whoever reaches it sees the names of registries and endpoints, no images.",
    )


def listen_address(name: str, text: str) -> tuple[str, int]:
    """Host and port of an option `host:port` (IPv6 in brackets); port 0 is any free one.

    Raises ValueError, with the reason, where the text is not one.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{name} must be host:port, 127.0.0.1:9410 for example, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def policy_of(options: Options) -> Policy:
    """The policy the options ask for. Raises ValueError, with the reason, where a value is not one."""
    default = options.ns_default
    if default and not is_host(default):
        raise ValueError(f"ns_default must be the host[:port] of a registry, docker.io for example, not {default!r}")
    return Policy(
        default,
        _choice(ClientNamespace, "ns_client_namespace", options.ns_client_namespace),
        _choice(Unresolved, "ns_unresolved", options.ns_unresolved),
    )


def blobs_of(value: str) -> Blobs:
    """What `ns_blobs` says. Raises ValueError, with the reason, where it is none of its values."""
    return _choice(Blobs, "ns_blobs", value)


def check_certs_d(value: str) -> None:
    """Raise ValueError where `ns_certs_d` names a directory that is not there or out of reach."""
    if value and not is_within_reach(Path(os.path.expanduser(value))):
        raise ValueError(f"ns_certs_d must be a directory within reach, not {value!r}")


def check_times(options: Mapping[str, object]) -> None:
    """Raise ValueError, with the reason, where one of TIME_OPTIONS is no number of seconds (text of one is)."""
    for name in sorted(TIME_OPTIONS & set(options)):
        text = str(options[name])
        least = 0 if name in _MAY_BE_0 else 1
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise ValueError(f"{name} must be a number of seconds, {least} or more, not {text!r}")


def _choice(kind: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(choice.value for choice in kind)
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}") from None
