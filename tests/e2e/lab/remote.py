"""A script for mitmdump that lets tests set its options while it runs.

`Remote`, in the test, asks over a socket the addon that is below.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

SCRIPT = Path(__file__)
VARIABLE = "LAB_REMOTE_SOCKET"
"""In the environment of mitmdump: the path of the socket."""


class Remote:
    """The options of a running mitmdump with this script."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, **options: str) -> None:
        """Set options, and wait until they hold."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._path))
            connection.sendall(json.dumps(options).encode() + b"\n")
            answer = connection.makefile().readline()
        assert answer == "done\n", answer


class _Receiver:
    async def running(self) -> None:
        self._server = await asyncio.start_unix_server(self._receive, os.environ[VARIABLE])

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from mitmproxy import ctx  # noqa: PLC0415

        try:
            ctx.options.update(**json.loads(await reader.readline()))
            answer = "done"
        except Exception as error:
            answer = repr(error)
        writer.write(f"{answer}\n".encode())
        writer.close()

    def done(self) -> None:
        self._server.close()


addons = [_Receiver()]
