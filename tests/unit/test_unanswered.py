"""mitmproxy's layer with the question in it, step by step: who is asked, what is sent again, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from mitmproxy import connection, http, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import commands, context, events, layers
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from oci_ns.unanswered import NsUnansweredHook, Unanswered, install

FIRST, SECOND = ("first.example.com", 5000), ("second.example.com", 5000)
GET = b"GET /v2/app/blobs/1 HTTP/1.1\r\nHost: first.example.com:5000\r\n\r\n"
POST = b"POST /v2/app/blobs/1 HTTP/1.1\r\nHost: first.example.com:5000\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

Answer = Callable[[Unanswered], None]


def leave(_: Unanswered) -> None:
    """Do nothing."""


def send_to_second(unanswered: Unanswered) -> None:
    request = unanswered.flow.request
    request.host, request.port = SECOND
    unanswered.again = True


def answer(unanswered: Unanswered) -> None:
    unanswered.response = http.Response.make(404, b"none has it")


@dataclass
class Conversation:
    """A client on one connection, and endpoints that are reached or not; `asked` are the messages of the hook."""

    behave: Answer
    refusing: set[tuple[str, int]] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    connects: list[tuple[str, int]] = field(default_factory=list)
    to_client: bytes = b""
    servers: list[connection.Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.options = options.Options()
        with taddons.context(Proxyserver(), options=self.options):
            self.client = connection.Client(
                peername=("127.0.0.1", 1),
                sockname=("127.0.0.1", 2),
                timestamp_start=1.0,
                state=connection.ConnectionState.OPEN,
                proxy_mode=ProxyMode.parse("reverse:http://first.example.com:5000"),
            )
            around = context.Context(self.client, self.options)
            around.server.address = FIRST
            self.layer = layers.HttpLayer(around, HTTPMode.transparent)
            self._handle(events.Start())

    def asks(self, request: bytes) -> None:
        self.to_client = b""
        self._handle(events.DataReceived(self.client, request))

    def says(self, data: bytes) -> None:
        """The endpoint that was connected to last says something."""
        self._handle(events.DataReceived(self.servers[-1], data))

    def ends(self) -> None:
        """The endpoint that was connected to last ends."""
        self.servers[-1].state = connection.ConnectionState.CLOSED
        self._handle(events.ConnectionClosed(self.servers[-1]))

    def _handle(self, event: events.Event) -> None:
        todo = [event]
        while todo:
            for command in self.layer.handle_event(todo.pop(0)):
                todo += self._carry_out(command)

    def _carry_out(self, command: commands.Command) -> list[events.Event]:
        if isinstance(command, NsUnansweredHook):
            self.asked.append(command.unanswered.message)
            self.behave(command.unanswered)
        if isinstance(command, commands.StartHook):
            return [events.HookCompleted(command)]
        if isinstance(command, commands.OpenConnection):
            return [self._connect(command)]
        if isinstance(command, commands.SendData) and command.connection is self.client:
            self.to_client += command.data
        return []

    def _connect(self, command: commands.OpenConnection) -> events.Event:
        server = command.connection
        assert server.address is not None
        self.connects.append((server.address[0], server.address[1]))
        if server.address in self.refusing:
            server.error = "refused"
            return events.OpenConnectionCompleted(command, "refused")
        server.state = connection.ConnectionState.OPEN
        self.servers.append(server)
        return events.OpenConnectionCompleted(command, None)


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()
    install()


def status(conversation: Conversation) -> int:
    """Of the one answer the client has."""
    assert conversation.to_client.count(b"HTTP/1.1 ") == 1
    return int(conversation.to_client.split()[1])


def test_what_is_sent_again_is_answered_by_the_other() -> None:
    talk = Conversation(send_to_second)
    talk.asks(GET)
    talk.ends()
    talk.says(OK)
    assert talk.asked == ["server closed connection"]
    assert talk.connects == [FIRST, SECOND]
    assert status(talk) == 200
    assert talk.to_client.endswith(b"OK")


def test_half_an_answer_that_was_kept_is_dropped() -> None:
    talk = Conversation(send_to_second)
    talk.asks(GET)
    talk.says(OK[:-1])
    talk.ends()
    talk.says(OK.replace(b"OK", b"ok"))
    assert status(talk) == 200
    assert talk.to_client.endswith(b"\r\n\r\nok")


def test_whoever_is_asked_may_answer() -> None:
    talk = Conversation(answer)
    talk.asks(GET)
    talk.ends()
    assert status(talk) == 404
    assert talk.to_client.endswith(b"none has it")


@pytest.mark.parametrize(("behave", "request_", "asked"), [(leave, GET, 1), (send_to_second, POST, 0)])
def test_where_nobody_answers_or_it_must_not_be_sent_twice_the_client_hears_of_it(
    behave: Answer, request_: bytes, asked: int
) -> None:
    talk = Conversation(behave)
    talk.asks(request_)
    talk.ends()
    assert len(talk.asked) == asked
    assert talk.connects == [FIRST]
    assert status(talk) == 502


def test_an_endpoint_that_refused_is_connected_to_again_for_the_next_request_of_the_same_client() -> None:
    talk = Conversation(answer, {FIRST})
    talk.asks(GET)
    assert status(talk) == 404
    talk.refusing.clear()
    talk.asks(GET)
    talk.says(OK)
    assert talk.asked == ["refused"]
    assert talk.connects == [FIRST, FIRST]
    assert status(talk) == 200
