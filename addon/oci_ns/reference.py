"""Hosts, repositories, tags, digests and image names: their grammar and their normal forms.

Knows nothing of HTTP or configuration. Sources: OCI distribution-spec, "Pulling manifests" (name, tag);
OCI image-spec, "Digests"; the `reference` package of distribution (image names, Docker Hub's short forms).
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
DOCKER_HUB_API = "registry-1.docker.io"
"""Docker Hub is called docker.io in image names; its API is served under this name."""

DOCKER_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", DOCKER_HUB_API})
"""Every name of the registry that is called docker.io."""
DEFAULT_PORTS = {"http": 80, "https": 443}
_REPOSITORY_LENGTH_MAX = 255
_TAG_LENGTH_MAX = 128
HOST_LENGTH_MAX = 255
"""RFC 1035, section 2.3.4."""
NAME_LENGTH_MAX = 1024
"""Of a name with all its parts, in characters; what is longer is no name, and is looked at with care."""
_KNOWN_MAX = 4096
"""How many names are remembered with what was found out about them. None of them is longer than names may be."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_TAG_LENGTH_MAX - 1}}}"
_DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_DOMAIN_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[A-Fa-f0-9:.]+\])(?::[0-9]+)?"
_IMAGE_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[A-Fa-f0-9]{32,}"

_is_repository = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*").fullmatch
_is_tag = re.compile(_TAG).fullmatch
_is_digest = re.compile(_DIGEST).fullmatch
_is_host = re.compile(_HOST).fullmatch
_image = re.compile(
    rf"(?P<host>{_HOST})/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_IMAGE_DIGEST}))?"
).fullmatch
_is_image_id = re.compile(r"[a-f0-9]{64}").fullmatch


def is_repository(text: str) -> bool:
    """Whether `text` is a repository name by the distribution-spec's grammar."""
    return _is_known_repository(text) if len(text) <= _REPOSITORY_LENGTH_MAX else _is_repository(text) is not None


@functools.lru_cache(maxsize=_KNOWN_MAX)
def _is_known_repository(text: str) -> bool:
    return _is_repository(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag by the distribution-spec's grammar."""
    return len(text) <= _TAG_LENGTH_MAX and _is_known_tag(text)


@functools.lru_cache(maxsize=_KNOWN_MAX)
def _is_known_tag(text: str) -> bool:
    return _is_tag(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a digest, of any algorithm, by the image-spec's grammar."""
    if text.startswith("sha256:") and text.isascii() and text[7:].isalnum():
        return True
    return _is_digest(text) is not None


def is_host(text: str) -> bool:
    """Whether `text` is a host with an optional port, as an image name may begin with."""
    return _is_host(text) is not None


def looks_like_host(component: str) -> bool:
    """Whether the first component of an image name is a registry and not part of a Docker Hub repository.

    It is when it has a dot or a port, or is `localhost` (distribution, `reference` package).
    """
    return "." in component or ":" in component or component == "localhost"


def split_host(text: str) -> tuple[str, int | None]:
    """Split `host[:port]` into the host, IPv6 without its brackets, and the port, None where none is given.

    Raises ValueError where the text is no host with an optional port of 1 to 65535.
    """
    host, port_text = text, ""
    if text.startswith("["):
        host, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or not _is_ipv6(host):
            raise ValueError(f"{text!r} is not a host")
        port_text = after[1:]
    elif ":" in text:
        host, _, port_text = text.partition(":")
    if not text.startswith("[") and not is_host(host.removesuffix(".")):
        raise ValueError(f"{text!r} is not a host")
    if not port_text:
        return host, None
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        raise ValueError(f"{text!r} does not have a valid port")
    return host, int(port_text)


def _is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, without a zone: the grammar of image names has more between brackets."""
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def registry_name(scheme: str, host: str, port: int | None) -> str:
    """The one name of a registry reached under several: lower case, no default port, Docker Hub as docker.io.

    `host` is a DNS name, an IPv4 address or an IPv6 address with or without brackets; `scheme` tells the default port.
    """
    find = _known_registry_name if len(host) <= HOST_LENGTH_MAX else _registry_name
    return find(scheme, host, port)


def _registry_name(scheme: str, host: str, port: int | None) -> str:
    name = host.lower()
    if name.endswith("."):
        name = name[:-1]
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    if port is not None and port != DEFAULT_PORTS.get(scheme):
        return f"{name}:{port}"
    return DOCKER_HUB if name in DOCKER_HUB_NAMES else name


_known_registry_name = functools.lru_cache(maxsize=_KNOWN_MAX)(_registry_name)


def canonical_registry(text: str) -> str:
    """`registry_name` of a `host[:port]` written in a configuration or sent as `ns`; other text in lower case.

    No scheme is known here, so port 80 is taken for http and port 443 for https.
    """
    return (_known_canonical_registry if len(text) <= HOST_LENGTH_MAX else _canonical_registry)(text)


def _canonical_registry(text: str) -> str:
    try:
        host, port = split_host(text)
    except ValueError:
        return text.lower()
    return registry_name("http" if port == 80 else "https", host, port)


_known_canonical_registry = functools.lru_cache(maxsize=_KNOWN_MAX)(_canonical_registry)


@dataclass(frozen=True, slots=True)
class Image:
    """An image name in full: host[:port], repository, and the tag and digest where given ('' where not)."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def parse_image(text: str) -> Image:
    """Read an image name as Docker does: no host is Docker Hub, and one component there is an official image.

    A missing tag is not filled in. Raises ValueError, with the reason, for what is no image name.
    """
    host, slash, rest = text.partition("/")
    if not slash or not looks_like_host(host):
        host, rest = DOCKER_HUB, text
    if _is_image_id(text):
        raise ValueError(f"{text!r} is an image ID, not the name of an image")
    if host in DOCKER_HUB_NAMES:
        host = DOCKER_HUB
        if "/" not in rest:
            rest = f"library/{rest}"
    match = _image(f"{host}/{rest}")
    if match is None:
        raise ValueError(f"{text!r} is not an image name: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST], in lower case")
    if len(match["repository"]) > _REPOSITORY_LENGTH_MAX:
        raise ValueError(f"the repository of {text!r} is longer than {_REPOSITORY_LENGTH_MAX} characters")
    return Image(host, match["repository"], match["tag"] or "", match["digest"] or "")
