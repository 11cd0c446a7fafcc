"""Why there is no answer, in words for a client."""

from __future__ import annotations

import pytest
from mitmproxy.flow import Error
from mitmproxy.test import tflow

from oci_ns.no_answer import as_of_endpoint, cost_of, is_end_of_client, is_stale, reason_of
from oci_ns.options import TIME_OPTIONS, check_times

CLOSED = "the connection is closed before the answer is complete"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("server closed connection", CLOSED),
        ("unexpected server response: b'HTTP/1.1 200 OK\\r\\nSet-Cookie: secret'", CLOSED),
        ("peer closed connection", CLOSED),
        ("HTTP/2 connection closed: <ConnectionTerminated error_code:0>", CLOSED),
        ("stream reset by server (INTERNAL_ERROR)", "the answer is broken off: INTERNAL_ERROR"),
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


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ("[Errno 111] Connect call failed ('127.0.0.1', 5000)", 0.0),
        ("Multiple exceptions: [Errno 111] Connect call failed ('::1', 5), [Errno 111] b", 0.0),
        ("[Errno 110] Connect call failed ('127.0.0.1', 5000)", 4.0),
        ("no answer within 4 s", 4.0),
        ("server closed connection", 4.0),
    ],
)
def test_a_refusal_costs_nothing_however_late_it_is_seen(said: str, cost: float) -> None:
    assert cost_of(said, 4.0) == cost


def test_an_endpoint_that_breaks_off_is_not_called_a_client() -> None:
    assert as_of_endpoint("stream reset by client (CANCEL)") == "stream reset by server (CANCEL)"
    assert as_of_endpoint("it says: stream reset by client (CANCEL)") == "it says: stream reset by client (CANCEL)"


@pytest.mark.parametrize(
    ("said", "opened", "stale"),
    [
        ("server closed connection", 1.0, True),
        ("peer closed connection", 1.0, True),
        ("HTTP/2 connection closed: <ConnectionTerminated error_code:0>", 1.0, True),
        ("server closed connection", 3.0, False),
        ("server closed connection", None, False),
        ("unexpected server response: b'HTTP'", 1.0, False),
        ("stream reset by server (CANCEL)", 1.0, False),
        (None, 1.0, False),
    ],
)
def test_only_a_connection_that_was_there_before_the_request_is_stale(
    said: str | None, opened: float | None, stale: bool
) -> None:
    flow = tflow.tflow()
    flow.server_conn.timestamp_start, flow.request.timestamp_start = opened, 2.0
    flow.error = Error(said) if said is not None else None
    assert is_stale(flow) is stale


@pytest.mark.parametrize(
    ("said", "is_end"),
    [
        ("stream reset by client (CANCEL)", True),
        ("peer closed connection", True),
        ("HTTP/2 connection closed: <ConnectionTerminated error_code:0>", True),
        ("peer closed connection without sending complete message body", False),
        ("HTTP/2 protocol error: x", False),
    ],
)
def test_a_client_that_ends_its_stream_is_known(said: str, is_end: bool) -> None:
    assert is_end_of_client(said) is is_end


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
