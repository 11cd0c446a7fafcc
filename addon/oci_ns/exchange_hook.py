"""The hook `ns_exchange`: other mitmproxy scripts see the addon's own exchanges, and may answer them.

What the addon asks by itself never is a flow, so a script that stands in for a registry could not answer it otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import ctx, hooks

from oci_ns.endpoints import Carrier
from oci_ns.fetch import Answer, Outgoing


@dataclass(slots=True)
class Exchange:
    """A request that is about to be made; its method is CONNECT where only a connection is wanted.

    A script that sets `answer` has answered it, and nothing is sent.
    """

    outgoing: Outgoing
    answer: Answer | None = None


@dataclass
class NsExchangeHook(hooks.Hook):
    """Called before the addon makes an exchange of its own: `ns_exchange(exchange)`."""

    exchange: Exchange


class HookedCarrier:
    """A carrier whose exchanges go through the hook first."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def fetch(self, outgoing: Outgoing) -> Answer:
        """Bring a script's answer, else the carrier's. Raises FetchError."""
        return await _answered(outgoing) or await self._carrier.fetch(outgoing)

    async def connect(self, outgoing: Outgoing, *, tls: bool) -> None:
        """See whether a script stands in for the endpoint, else whether a connection can be made.

        Raises UnreachableError.
        """
        if await _answered(Outgoing("CONNECT", outgoing.scheme, outgoing.host, outgoing.port, "")) is None:
            await self._carrier.connect(outgoing, tls=tls)


async def _answered(outgoing: Outgoing) -> Answer | None:
    exchange = Exchange(outgoing)
    await ctx.master.addons.trigger_event(NsExchangeHook(exchange))
    return exchange.answer
