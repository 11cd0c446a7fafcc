"""The quick look-ups answer as mitmproxy's own, whatever is looked up."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import exceptions, hooks, http, options

from oci_ns.serving import quick

NAMES = st.sampled_from([b"Host", b"host", b"HOST", b"Content-Length", b"x", b"\xff\xe4", "Ä".encode(), b""])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"1", b"a, b", b"\xff", "ä".encode()])), max_size=6)
ASKED = NAMES | NAMES.map(lambda name: name.decode("utf-8", "surrogateescape")) | st.text(max_size=3)


@given(FIELDS, ASKED)
def test_a_header_field_is_found_as_mitmproxy_finds_it(fields: list[tuple[bytes, bytes]], name: Any) -> None:
    headers = http.Headers(fields)
    assert quick.get_all(headers, name) == headers.get_all(name)
    assert quick.get(headers, name) == headers.get(name)
    assert quick.get(headers, name, "otherwise") == headers.get(name, "otherwise")
    assert quick.contains(headers, name) == (name in headers)


@pytest.mark.parametrize("name", [1, None])
def test_what_is_no_name_is_refused_as_mitmproxy_refuses_it(name: Any) -> None:
    headers = http.Headers([(b"a", b"b")])
    with pytest.raises((TypeError, AttributeError)) as refused:
        headers.get(name)
    for look in (quick.get_all, quick.get, quick.contains):
        with pytest.raises(refused.type):
            look(headers, name)


@pytest.mark.parametrize("kind", hooks.all_hooks.values())
def test_an_event_has_the_arguments_that_mitmproxy_gives_it(kind: type[Any]) -> None:
    event = kind(*range(len(dataclasses.fields(kind))))
    assert quick.arguments(event) == event.args()


def test_an_option_is_what_it_was_set_to_also_for_whoever_is_told_first() -> None:
    own, stock = quick.QuickOptions(), options.Options()
    seen: list[object] = []

    def told(of: Any, _: set[str]) -> None:
        seen.append(of.listen_port)
        if of.listen_port == 1:
            raise exceptions.OptionsError("no")

    own.subscribe(told, ["listen_port"])  # type: ignore[no-untyped-call]
    for name in sorted(stock.keys()):
        assert getattr(own, name) == getattr(stock, name)
        assert getattr(own, name) == getattr(stock, name)
    own.listen_port = 8080
    assert (own.listen_port, own.listen_port) == (8080, 8080)
    with pytest.raises(exceptions.OptionsError):
        own.listen_port = 1
    assert (own.listen_port, seen) == (8080, [8080, 1, 8080])
    own.set("listen_host=127.0.0.1", "later=1", defer=True)
    own.add_option("later", int, 0, "An option of a script.")
    own.process_deferred()
    assert (own.listen_host, own.later) == ("127.0.0.1", 1)
    own.reset()  # type: ignore[no-untyped-call]
    assert (own.listen_port, own.listen_host, own.later) == (None, "", 0)


def test_a_list_that_was_read_does_not_change_the_option() -> None:
    own = quick.QuickOptions()
    own.mode.append("socks5")
    assert own.mode == ["regular"]
