"""Why there is no answer, in words for a client."""

from __future__ import annotations

import pytest

from oci_ns.no_answer import reason_of
from oci_ns.options import TIME_OPTIONS, check_times

CLOSED = "the connection is closed before the answer is complete"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("server closed connection", CLOSED),
        ("unexpected server response: b'HTTP/1.1 200 OK\\r\\nSet-Cookie: secret'", CLOSED),
        ("Cannot parse HTTP response: a\nb", "the answer is not HTTP, or not complete: a b"),
        ("HTTP/1 protocol error: bad chunk", "the answer is not HTTP, or not complete: bad chunk"),
        ("Received a from server, refusing to prevent request smuggling attacks. Disable …", "Received a from server"),
        ("[Errno 111] Connection refused", "cannot connect: connection refused"),
        ("[Errno 104] Connect call failed ('127.0.0.1', 5000)", "cannot connect: connection reset by peer"),
        (
            "Multiple exceptions: [Errno 113] Connect call failed ('::1', 5), [Errno 111] b",
            "cannot connect: no route to host",
        ),
        ("no answer within 60 s", "no answer within 60 s"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_what_mitmproxy_says_becomes_one_short_line(said: str, reason: str) -> None:
    assert reason_of(said) == reason


@pytest.mark.parametrize("name", sorted(TIME_OPTIONS))
def test_a_time_is_a_number_of_seconds_and_0_only_where_that_means_something(name: str) -> None:
    check_times({name: 1})
    if name in ("ns_remember", "ns_upstream_timeout"):
        check_times({name: 0})
    else:
        with pytest.raises(ValueError, match=f"{name} must be a number of seconds, 1 or more"):
            check_times({name: 0})
    with pytest.raises(ValueError, match=name):
        check_times({name: -1})
