"""One piece of work at a time for each key: who wants the same while it goes on waits for it, and gets its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

_Outcome = TypeVar("_Outcome")


class SingleFlight(Generic[_Outcome]):
    """Shares work. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[_Outcome]] = {}

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, _Outcome]]) -> _Outcome:
        """The outcome of `work`, or of the work that goes on under this key. Raises what the work raises.

        Who is cancelled while waiting does not end the work for the others.
        """
        task = self._tasks.get(key)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(work())
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[_Outcome]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            # Nobody may be left to hear of it, which asyncio would complain about.
            task.exception()

    def close(self) -> None:
        """End what goes on."""
        for task in list(self._tasks.values()):
            task.cancel()
