"""The APIs that the router speaks, in both directions. Pure: no I/O."""

from understudies.router.dialects.base import Answered, Assembler, Dialect, Read, Unreadable

__all__ = ["Answered", "Assembler", "Dialect", "Read", "Unreadable"]
