"""Which addons listen to which of mitmproxy's hooks: looked up once when an addon comes or goes, not for every flow.

mitmproxy asks each of its addons for every hook of every flow whether it has a function of that name. This is the same
manager with a table in front: the order, awaited hooks, what an exception does and what is logged stay as they are.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from types import ModuleType
from typing import Any

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, traverse
from mitmproxy.flow import Flow
from mitmproxy.master import Master

logger = logging.getLogger("mitmproxy.addonmanager")

_Listener = Callable[..., Any]
_LIFECYCLE = frozenset({"load", "configure", "running", "done"})


class HookTable(AddonManager):
    """mitmproxy's addon manager, with a table of who listens.

    `idle_unless` names types of addons that do nothing in the hooks of flows unless an option (the value) is set.
    A function that an addon gets under the name of a hook later than it was added is not seen.
    """

    def __init__(self, master: Master, idle_unless: Mapping[type, str]) -> None:
        self._listeners: dict[str, list[tuple[_Listener, ...]]] = {}
        self._idle_unless = idle_unless
        self.changed: Callable[[], object] = lambda: None
        """Called when an addon came or went, or an option changed."""
        super().__init__(master)  # type: ignore[no-untyped-call]
        master.options.changed.connect(self._forget)

    @classmethod
    def take_over(cls, master: Master) -> HookTable | None:
        """Put a table in the place of mitmproxy's own manager, with its addons; None where another manager is there."""
        former = master.addons
        if type(former) is not AddonManager:
            return None
        receivers = master.options.changed.receivers
        place = next(at for at, receiver in enumerate(receivers) if receiver() == former._configure_all)
        before, behind = receivers[:place], receivers[place + 1 :]
        receivers.clear()
        table = cls(master, {})
        # Those that are told of a change of options are told of it in the same order as before.
        receivers[:] = [*before, *receivers, *behind]
        table.chain, table.lookup = former.chain, former.lookup
        master.addons = table
        return table

    def listens(self, hook: str) -> bool:
        """Whether some addon has a function for the hook."""
        return bool(self._listeners_to(hook))

    def register(self, addon: object) -> object:
        """Register an addon that is managed by another. Raises AddonManagerError where its name is taken."""
        registered = super().register(addon)  # type: ignore[no-untyped-call]
        self._forget()
        return registered

    def add(self, *addons: object) -> None:
        """Add addons to the end of the chain."""
        super().add(*addons)  # type: ignore[no-untyped-call]
        self._forget()

    def remove(self, addon: object) -> None:
        """Remove an addon. Raises AddonManagerError where there is none such."""
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._forget()

    def clear(self) -> None:
        """Remove all addons."""
        super().clear()  # type: ignore[no-untyped-call]
        self._forget()

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Trigger the event, and tell that its flow may have changed."""
        message = event.args()[0]
        await self._tell(event.name, (message,))
        if isinstance(message, Flow) and self._listeners_to(hooks.UpdateHook.name):
            await self.trigger_event(hooks.UpdateHook([message]))

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call everyone who listens, in the order of the chain."""
        await self._tell(event.name, tuple(event.args()))

    async def _tell(self, name: str, arguments: tuple[Any, ...]) -> None:
        # An addon and those below it are one link of the chain: what one of them raises, the rest of the link misses.
        for link in self._listeners_to(name):
            try:
                for listener in link:
                    result = listener(*arguments)
                    if result is not None and inspect.isawaitable(result):
                        await result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as error:
                below = error.__traceback__.tb_next if error.__traceback__ is not None else None
                logger.error("Addon error: %s", error, exc_info=(type(error), error, below))

    def _listeners_to(self, name: str) -> list[tuple[_Listener, ...]]:
        found = self._listeners.get(name)
        if found is None:
            links = (tuple(self._listeners_in(addon, name)) for addon in self.chain)
            found = self._listeners[name] = [link for link in links if link]
        return found

    def _listeners_in(self, addon: object, name: str) -> Iterator[_Listener]:
        for each in traverse([addon]):
            listener = getattr(each, name, None)
            if not listener or isinstance(listener, ModuleType) or self._is_idle(each, name):
                continue
            if callable(listener):
                yield listener
            else:
                logger.error("Addon error: Addon handler %s (%s) not callable", name, each)

    def _is_idle(self, addon: object, name: str) -> bool:
        option = self._idle_unless.get(type(addon))
        return option is not None and name not in _LIFECYCLE and not getattr(self.master.options, option)

    def _forget(self, updated: Collection[str] = ()) -> None:  # noqa: ARG002
        self._listeners.clear()
        self.changed()
