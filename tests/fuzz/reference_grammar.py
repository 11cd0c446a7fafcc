"""Fuzzes the grammar of names: against the specifications' own expressions, and that normal forms are normal.

An input is a text. The expressions are those of the distribution-spec ("Pulling manifests"), the image-spec
("Digests") and distribution's `reference` package, whose splitting of names is that of containers/image.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from oci_ns import reference
from tests.fuzz.target import Target, text_of
from tests.fuzz.vectors import images, urls

_PATH_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"{_PATH_COMPONENT}(/{_PATH_COMPONENT})*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_IMAGE_SPEC_DIGEST = r"[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
_DOMAIN_NAME_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
# With dots too, for an IPv4 address in an IPv6 one (RFC 4291, section 2.2).
_IPV6_ADDRESS = r"\[[a-fA-F0-9:.]+\]"
_HOST = rf"(?:{_DOMAIN_NAME_COMPONENT}(?:\.{_DOMAIN_NAME_COMPONENT})*|{_IPV6_ADDRESS})"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_REFERENCE_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_NAME})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_REFERENCE_DIGEST}))?"
)
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def one_input(data: bytes) -> None:
    """Take a text for a repository, a tag, a digest, a host, a registry and an image."""
    text = text_of(data)
    for name, accepts, grammar in (
        ("repository", reference.is_repository, _NAME),
        ("tag", reference.is_tag, _TAG),
        ("digest", reference.is_digest, _IMAGE_SPEC_DIGEST),
        ("host", reference.is_host, _DOMAIN),
    ):
        expected = re.fullmatch(grammar, text) is not None
        assert accepts(text) == expected, f"{text!r} is a {name}: the specification says {expected}"
    _host(text)
    _registry(text)
    _image(text)


def _host(text: str) -> None:
    try:
        host, port = reference.split_host(text)
    except ValueError:
        match = re.fullmatch(rf"({_HOST})(?::0*([0-9]+))?", text)
        if match is not None and _is_address(match[1]):
            assert match[2] is not None, f"{text!r} is a host"
            assert len(match[2]) > 5 or not 0 < int(match[2]) < 65536, f"{text!r} is a host and a port"
        return
    assert port is None or 0 < port < 65536
    literal = f"[{host}]" if text.startswith("[") else host
    bare = re.fullmatch(_HOST, literal if literal.startswith("[") else literal.removesuffix("."))
    assert bare is not None, f"{text!r} has the host {host!r}"
    assert _is_address(literal)
    whole = literal if port is None else f"{literal}:{port}"
    assert reference.split_host(whole) == (host, port), f"{text!r} is not what {whole!r} is"


def _is_address(host: str) -> bool:
    """A name, or what stands between brackets is an IPv6 address; the grammar says less of that."""
    if not host.startswith("["):
        return True
    try:
        socket.inet_pton(socket.AF_INET6, host[1:-1])
    except OSError:
        return False
    return True


def _registry(text: str) -> None:
    name = reference.canonical_registry(text)
    assert reference.canonical_registry(name) == name, f"{text!r} is {name!r}, which is not its own normal form"
    assert name == name.lower()
    assert name not in _HUB[1:]
    try:
        host, port = reference.split_host(text)
    except ValueError:
        return
    for scheme in ("http", "https"):
        named = reference.registry_name(scheme, host, port)
        again = reference.registry_name(scheme, *reference.split_host(named))
        assert again == named, f"{text!r} over {scheme} is {named!r}, and that is {again!r}"


def _image(text: str) -> None:
    expected = _read_image(text)
    try:
        image = reference.parse_image(text)
    except ValueError:
        assert expected is None, f"{text!r} is {expected}"
        return
    assert (image.host, image.repository, image.tag, image.digest) == expected, f"{text!r} is {image}, not {expected}"
    assert reference.parse_image(str(image)) == image, f"{text!r} is {image}, which is another one"
    assert reference.is_host(image.host)
    assert reference.is_repository(image.repository)
    assert not image.tag or reference.is_tag(image.tag)


def _read_image(text: str) -> tuple[str, str, str, str] | None:
    if re.fullmatch("[a-f0-9]{64}", text):
        return None
    domain, slash, remainder = text.partition("/")
    if not slash or (not re.search("[.:]", domain) and domain != "localhost"):
        domain, remainder = _HUB[0], text
    if domain in _HUB:
        domain = _HUB[0]
        remainder = remainder if "/" in remainder else f"library/{remainder}"
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None or len(match["path"]) > 255:
        return None
    return match["domain"], match["path"], match["tag"] or "", match["digest"] or ""


def _seeds() -> Iterator[bytes]:
    digest = f"sha256:{'0f' * 32}"
    texts = dict.fromkeys([*images(), digest, f"sha512:{'0f' * 64}", "0f" * 32, f"a/b@{digest}", f"a:1@{digest}"])
    texts |= dict.fromkeys(
        ("[::1]", "[::ffff:1.2.3.4]:5000", "a.example.com.", "A.Example.COM:443", "localhost/a", "a")
    )
    for url in urls():
        texts |= dict.fromkeys(url.partition("?")[0].split("/"))
    texts |= dict.fromkeys(f"{text}:5000" for text in list(texts) if text.count(".") and "/" not in text)
    texts |= dict.fromkeys(text.partition("/")[0] for text in list(texts))
    texts |= dict.fromkeys(text.partition("/")[2] for text in list(texts))
    return (text.encode() for text in texts)


TARGET = Target(
    "reference-grammar",
    "hosts, repositories, tags, digests and image names",
    one_input,
    _seeds,
    ("docker.io", "index.docker.io", "registry-1.docker.io", "library/", "localhost", "sha256:", "sha512:", "[::1]")
    + (":443", ":80", ":5000", ":0", ":65536", "/", "@", ":", "__", "--", ".", "latest", "0f" * 32),
)
