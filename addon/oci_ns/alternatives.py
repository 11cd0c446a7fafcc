"""The endpoints behind the first one, as decisions that are made when somebody asks for them: mostly nobody does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from oci_ns.decision import Decision

Place = TypeVar("Place")


class Alternatives(Sequence["Decision"], Generic[Place]):
    """As many decisions as there are places, each made by `make` from its place, once."""

    __slots__ = ("_made", "_make", "_places")

    def __init__(self, make: Callable[[Place], Decision], places: Sequence[Place]) -> None:
        self._make = make
        self._places = places
        self._made: tuple[Decision, ...] | None = None

    @property
    def _decisions(self) -> tuple[Decision, ...]:
        if self._made is None:
            self._made = tuple(map(self._make, self._places))
        return self._made

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Decision: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Decision, ...]: ...
    def __getitem__(self, at: int | slice) -> Decision | tuple[Decision, ...]:
        return self._decisions[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._decisions == tuple(other)

    def __hash__(self) -> int:
        return hash(self._decisions)

    def __repr__(self) -> str:
        return repr(self._decisions)
