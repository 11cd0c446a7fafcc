"""Clients that are gone before anybody has looked at their connection: it is closed, and has an address of nobody.

With uvloop such a connection has no address at all, which mitmproxy's addons do not expect.
"""

from __future__ import annotations

from typing import Final

from mitmproxy.connection import Client

NOBODY: Final = ("0.0.0.0", 0)  # noqa: S104


class GoneClients:
    """Has to stand before all addons that look at a client's address."""

    def client_connected(self, client: Client) -> None:
        """Close the connection of a client that has reset it."""
        if client.peername is None:
            client.peername = NOBODY
            client.error = "The client was gone at once."
