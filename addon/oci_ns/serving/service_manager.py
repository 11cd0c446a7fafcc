"""Who started the service, where it wants to know when the service is ready and when it ends: systemd, by sd_notify(3).

A reload is not told: it is over within a moment, and one that fails leaves the service as it was.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import MutableMapping

_ADDRESS = "NOTIFY_SOCKET"


class ServiceManager:
    """Where to tell it; nobody hears it if the address is empty. `@` begins an abstract one, as sd_notify(3) has it."""

    def __init__(self, address: str = "") -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """The one that the environment names, which is taken out of it: it waits for no child's word."""
        return cls(environment.pop(_ADDRESS, ""))

    def ready(self) -> None:
        """Everything listens."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # Nothing that goes wrong here is a reason not to serve: who does not hear of it, says so itself.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), self._address)
