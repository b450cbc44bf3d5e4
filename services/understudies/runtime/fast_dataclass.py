"""Create dataclasses that are cheap to construct, for values built on every call."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def fast_dataclass(cls: type[T]) -> type[T]:
    """Make a class a dataclass with slots that type checkers treat as frozen.

    Nothing prevents changes at run time: constructing a really frozen instance takes eight times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
