"""Knows a name server that has every name: each at an address of its own, all of which lead to one port."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from .network import PrivateNetwork
from .process import require, run

RANGE = "198.18.0.0/15"
"""For measurements between networks (RFC 2544): no name means one of these."""
_FIRST = int.from_bytes(socket.inet_aton("198.18.0.1"), "big")
_LISTENS_AT = ("127.0.0.1", 53)
_REFUSED_ADDRESS = "127.0.77.1"
_NSSWITCH = Path("/etc/nsswitch.conf")
_HEAD_LENGTH = 12
_TYPE_A, _CLASS_IN = 1, 1
_SECONDS_VALID = 3600
_SO_ORIGINAL_DST = 80


class NameServer:
    """The names that were asked for, and their addresses. Those in `refused` lead to where nobody listens."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def address_of(self, name: str) -> str:
        """The address of a name."""
        name = name.lower().removesuffix(".")
        with self._lock:
            if name in self.refused:
                return _REFUSED_ADDRESS
            if name not in self._addresses:
                address = socket.inet_ntoa((_FIRST + len(self._addresses)).to_bytes(4, "big"))
                self._addresses[name] = address
                self._names[address] = name
            return self._addresses[name]

    def name_of(self, address: str) -> str:
        """The name whose address it is, else the address."""
        with self._lock:
            return self._names.get(address, address)

    def serve(self, server: socket.socket) -> None:
        """Answer until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                query, client = server.recvfrom(4096)
                if not query:
                    return
                with contextlib.suppress(ValueError, struct.error, IndexError):
                    server.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], _HEAD_LENGTH
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode("ascii"))
            at += 1 + length
        kind, _ = struct.unpack("!HH", query[at + 1 : at + 5])
        question = query[_HEAD_LENGTH : at + 5]
        answers = b""
        if kind == _TYPE_A:
            address = socket.inet_aton(self.address_of(".".join(labels)))
            answers = struct.pack("!HHHIH", 0xC00C, _TYPE_A, _CLASS_IN, _SECONDS_VALID, 4) + address
        return query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(bool(answers)), 0, 0) + question + answers


def original_destination(connection: socket.socket) -> tuple[str, int]:
    """Address and port that a connection was made to, before it was led to where it was accepted."""
    try:
        found = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    except OSError:
        address, port = connection.getsockname()[:2]
        return str(address), int(port)
    return socket.inet_ntoa(found[4:8]), int.from_bytes(found[2:4], "big")


@contextlib.contextmanager
def every_name(network: PrivateNetwork, port: int) -> Iterator[NameServer]:
    """For the time being, every name but localhost leads to `port` of this machine, whichever port is connected to."""
    names = NameServer()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(_LISTENS_AT)
    thread = threading.Thread(target=names.serve, args=[server], daemon=True)
    thread.start()
    ip, route = require("ip"), ["route", "{}", "local", RANGE, "dev", "lo"]
    rule = [require("iptables"), "-w", "-t", "nat", "{}", "OUTPUT", "-d", RANGE, "-p", "tcp", "-j", "REDIRECT"]
    hosts, nsswitch = network.hosts_file.read_text(), _NSSWITCH.read_text()
    run([ip, *(each.format("add") for each in route)])
    run([*(each.format("-A") for each in rule), "--to-ports", str(port)])
    try:
        network.hosts_file.write_text("127.0.0.1 localhost\n")
        _NSSWITCH.write_text(nsswitch.replace("hosts: files", "hosts: files dns"))
        yield names
    finally:
        _NSSWITCH.write_text(nsswitch)
        network.hosts_file.write_text(hosts)
        run([*(each.format("-D") for each in rule), "--to-ports", str(port)])
        run([ip, *(each.format("delete") for each in route)])
        # To close a socket that somebody waits at does not wake them; an empty message does.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", _LISTENS_AT)
        thread.join()
        server.close()
