"""What a worker has to tell its supervisor: kept for a moment, sent together, and never waited for."""

from __future__ import annotations

import asyncio
import logging

from oci_ns.pull import Pull
from oci_ns.pulls import Pulls
from oci_ns.serving.worker_link import Begun, Ended, Message, packed
from oci_ns.transfer import Transfer

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
_UNSENT_MAX = 32 * 1024 * 1024
"""In bytes: what a supervisor that does not read costs at most."""


class Outbox:
    """Messages on their way. Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: list[Message] = []
        self._writer: asyncio.StreamWriter | None = None
        self._told = False

    def open(self, writer: asyncio.StreamWriter) -> None:
        """Send through this, from now on and what was kept before."""
        self._writer = writer
        self.flush()

    def put(self, message: Message) -> None:
        """Send it soon."""
        if not self._kept and self._writer is not None:
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.flush)
        self._kept.append(message)

    def flush(self) -> None:
        """Send what is kept, or drop it where too much lies unsent already."""
        writer = self._writer
        if writer is None or not self._kept:
            return
        kept, self._kept = self._kept, []
        if writer.transport.get_write_buffer_size() <= _UNSENT_MAX:
            writer.write(packed(kept))
        elif not self._told:
            self._told = True
            logger.warning("the supervisor does not keep up: some pulls will not be told")


class HandedOn(Pulls):
    """Pulls of which each worker sees a part: all of it is handed on, and told by the supervisor.

    What is known here serves to check blobs by the manifests that came by here.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def begin(self, transfer: Transfer) -> Pull | None:
        """See Pulls."""
        pull = super().begin(transfer)
        if pull is not None:
            self._outbox.put(Begun(transfer))
        return pull

    def end(self, pull: Pull, transfer: Transfer) -> None:
        """See Pulls."""
        super().end(pull, transfer)
        self._outbox.put(Ended(transfer))

    def over(self, now: float) -> list[Pull]:
        """None: they are forgotten here, and told elsewhere."""
        super().over(now)
        return []

    def close(self) -> list[Pull]:
        """None."""
        super().close()
        self._outbox.flush()
        return []
