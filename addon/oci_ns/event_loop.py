"""Which event loop the runner uses: uvloop's where it is installed, else asyncio's; and loops that share their ports."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Base = asyncio.AbstractEventLoop
else:
    _Base = object

_TaskFactory = Callable[..., Any]


class _Uvloop(_Base):
    """What uvloop lacks with some versions of Python."""

    def set_task_factory(self, factory: _TaskFactory | None) -> None:
        """Use a factory that need not know `eager_start`: uvloop gives it to all, CPython's of 3.13.0 does not take it."""
        if factory is not None and not _takes_eager_start(factory):
            known = factory

            def lenient(loop: Any, coroutine: Any, *, eager_start: Any = None, **others: Any) -> Any:  # noqa: ARG001
                return known(loop, coroutine, **others)

            factory = lenient
        super().set_task_factory(factory)


class _SharedPorts(_Base):
    """Servers on a host and port share it with those of other processes of the same user (SO_REUSEPORT, socket(7))."""

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **others: Any) -> Any:
        """Listen; the kernel hands each connection to one of all who listen there."""
        if others.get("sock") is None:
            others["reuse_port"] = True
        return await super().create_server(factory, host, port, **others)


def loop_factory(*, shared_ports: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    """The kind of loop to run on. `shared_ports`: for one of several processes behind one port."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        kinds: tuple[type, ...] = (asyncio.SelectorEventLoop,)
    else:
        kinds = (_Uvloop, uvloop.Loop)
    if shared_ports:
        kinds = (_SharedPorts, *kinds)
    loop: type[asyncio.AbstractEventLoop] = type("Loop", kinds, {})
    return loop


def _takes_eager_start(factory: _TaskFactory) -> bool:
    parameters = inspect.signature(factory).parameters.values()
    return any(each.name == "eager_start" or each.kind is each.VAR_KEYWORD for each in parameters)
