"""The health of a service: how far behind its topics it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A service, the events of its topics that it has not read yet, and what is wrong with it, if anything.

    `lag` is None before its topics are assigned, and where it is not known.
    """

    name: str
    lag: int | None
    problem: str = ""
