"""What a process that serves and the one that started it tell each other, and how it travels between them.

Messages are pickled: both ends are the same program, joined by a socket that nobody else has.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from oci_ns.serving.options import CommandLine
from oci_ns.transfer import Transfer

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to do. `number` counts from 1; the `first` to be started sees to it that the ports are free.

    `modes` are those of the first, with the ports it got. The others have the same.
    """

    command: CommandLine
    number: int
    first: bool
    modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker listens. `addresses` are host and port; the rest are options as they are in force."""

    modes: tuple[str, ...]
    addresses: tuple[tuple[str, int], ...]
    verbosity: str
    log_json: str
    metrics: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker has read the configuration, and uses it if `ok`. `at` is in seconds since the epoch."""

    ok: bool
    registries: int
    at: float


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that may be part of a pull."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class Ended:
    """Its answer, or that there is none."""

    transfer: Transfer


Message = Ready | Loaded | Begun | Ended


def packed(value: object) -> bytes:
    """The value as it travels."""
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


def receive(connection: socket.socket) -> Any:
    """Wait for one value. Raises EOFError where the other end is gone."""
    length = _LENGTH.unpack(_exactly(connection, _LENGTH.size))[0]
    return pickle.loads(_exactly(connection, length))  # noqa: S301


async def values(reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    """The values that come, until the other end is gone."""
    try:
        while True:
            length = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
            yield pickle.loads(await reader.readexactly(length))  # noqa: S301
    except (asyncio.IncompleteReadError, OSError):
        return


def _exactly(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        piece = connection.recv(length - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found
