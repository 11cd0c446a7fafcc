"""Whatever anybody sends, the time it takes grows with its length, and not with the square of that."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from oci_ns.discreet import shown_url, without_logins
from oci_ns.distribution import namespaces_in, parse, with_first_namespace_only, with_namespace, without_namespace
from oci_ns.header_fields import HeaderFields
from oci_ns.logins.challenge import parse_challenges
from oci_ns.logins.jwt import read_jwt
from oci_ns.logins.token_scope import with_scopes_moved
from oci_ns.manifests import config_in, manifest_in
from oci_ns.printable import printable
from oci_ns.reference import canonical_registry, is_host, parse_image
from oci_ns.spec_error import message_in
from oci_ns.unfit import refusal
from oci_ns.way_back import WayBack

LENGTH = 20_000
"""Its square takes many seconds; what a header field or a target may have is more."""
SECONDS_MAX = 2.0
WAY_BACK = WayBack("https", "proxy.example.com", 443, rerouted=True)

PIECES = ["a", "@", "a@", "a:", '"', '\\"', '"\\', "<", "<a>", "<a>;", "%61", "%2f", "%", "&", "ns=&", "n%73=&"]
PIECES += [
    "=",
    ",",
    " ",
    "\t",
    "a ",
    "a=",
    'a="',
    "realm=",
    'realm="',
    "a.",
    "a-",
    "-",
    "_",
    "/",
    "/.",
    "../",
    "[",
    "{",
    '{"a":',
]
FRAMES = ["{}", "@{}", "{}@sha256:x", 'Bearer a="{}"x', "/v2/{}/manifests/x", "/v2/a/manifests/{}", "/v2/?{}", "a/{}"]
READERS: dict[str, Callable[[str], object]] = {
    "without_logins": without_logins,
    "printable": printable,
    "shown_url": shown_url,
    "Link": WAY_BACK.link,
    "Location": WAY_BACK.reference,
    "realm": lambda text: WAY_BACK.challenge(text, "http://127.0.0.1"),
    "WWW-Authenticate": lambda text: parse_challenges([text]),
    "target": parse,
    "namespaces": namespaces_in,
    "with_namespace": lambda text: with_namespace(text, "quay.io"),
    "without_namespace": without_namespace,
    "with_first_namespace_only": with_first_namespace_only,
    "scopes": lambda text: with_scopes_moved(f"/token?scope={text}", str),
    "refusal": lambda text: refusal("GET", f"/{text}", (), HeaderFields(()), None),
    "host": is_host,
    "registry": canonical_registry,
    "image": parse_image,
    "token": read_jwt,
    "manifest": lambda text: manifest_in(text.encode()),
    "configuration": lambda text: config_in(text.encode()),
    "error": lambda text: message_in(text.encode()),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_text_takes_longer_than_its_length_is_worth(reader: str) -> None:
    for frame in FRAMES:
        for piece in PIECES:
            text = frame.format(piece * (LENGTH // len(piece)))
            begin = time.process_time()
            with contextlib.suppress(ValueError):
                READERS[reader](text)
            assert time.process_time() - begin < SECONDS_MAX, (frame, piece)
