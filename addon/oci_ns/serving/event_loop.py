"""Which event loop the runner uses: uvloop's where it is installed, else asyncio's; and how loops share ports."""

from __future__ import annotations

import asyncio
import enum
import errno
import inspect
import socket
from collections.abc import Callable
from typing import Any

_Base: Any = object
_TaskFactory = Callable[..., Any]


class _Uvloop(_Base):  # type: ignore[misc]
    """What uvloop lacks with some versions of Python."""

    def set_task_factory(self, factory: _TaskFactory | None) -> None:
        """Use a factory that may not know `eager_start`: uvloop gives it to all, CPython 3.13.0's does not take it."""
        if factory is not None and not _takes_eager_start(factory):
            known = factory

            def lenient(loop: Any, coroutine: Any, *, eager_start: Any = None, **others: Any) -> Any:  # noqa: ARG001
                return known(loop, coroutine, **others)

            factory = lenient
        super().set_task_factory(factory)


class Ports(enum.Enum):
    """To whom the ports belong that a server listens on."""

    OWN = "own"
    """To this process."""
    SHARED = "shared"
    """To this process and others of the same user, each of which says so (SO_REUSEPORT, socket(7))."""
    CLAIMED = "claimed"
    """As SHARED, but nobody has them yet."""


class _SharedPorts(_Base):  # type: ignore[misc]
    """The kernel hands each connection to one of all who listen there."""

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **others: Any) -> Any:
        """Listen. Raises OSError."""
        if others.get("sock") is None:
            others["reuse_port"] = True
        return await super().create_server(factory, host, port, **others)


class _ClaimedPorts(_SharedPorts):
    """Whoever shares its ports would share them with a stranger, too."""

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **others: Any) -> Any:
        """Listen where nobody does. Raises OSError."""
        if others.get("sock") is None:
            for info in await self.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
                _bind_once(info)
        return await super().create_server(factory, host, port, **others)


def _bind_once(info: tuple[Any, ...]) -> None:
    family, kind, protocol, _, address = info
    try:
        probe = socket.socket(family, kind, protocol)
    except OSError:
        # Without IPv6, say: create_server passes over it, too.
        return
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = str(error.strerror).lower()
                raise OSError(error.errno, f"error while attempting to bind on address {address!r}: {reason}") from None


_KINDS: dict[Ports, tuple[type, ...]] = {
    Ports.OWN: (),
    Ports.SHARED: (_SharedPorts,),
    Ports.CLAIMED: (_ClaimedPorts,),
}


def loop_factory(ports: Ports) -> Callable[[], asyncio.AbstractEventLoop]:
    """The kind of loop to run on."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        kinds: tuple[type, ...] = (asyncio.SelectorEventLoop,)
    else:
        kinds = (_Uvloop, uvloop.Loop)
    loop: type[asyncio.AbstractEventLoop] = type("Loop", (*_KINDS[ports], *kinds), {})
    return loop


def _takes_eager_start(factory: _TaskFactory) -> bool:
    parameters = inspect.signature(factory).parameters.values()
    return any(each.name == "eager_start" or each.kind is each.VAR_KEYWORD for each in parameters)
