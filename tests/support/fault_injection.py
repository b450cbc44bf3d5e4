"""Faults at a chosen point of a call: an error, or one of the ways in which a call is cancelled."""

import asyncio
from typing import Any, Final, Literal

from understudies.router.http1.disconnect import ClientConnectionState

Fault = Literal["error", "disconnect", "deadline", "shutdown"]
FAULTS: Final[tuple[Fault, ...]] = ("error", "disconnect", "deadline", "shutdown")


class InjectedError(Exception):
    """A bug, wherever it is injected."""


class ManualDeadlines:
    """Lets deadlines pass when told to."""

    def __init__(self) -> None:
        self.listeners: dict[Any, float] = {}

    def set(self, listener: Any, seconds: float) -> None:
        self.listeners[listener] = seconds

    def cancel(self, listener: Any) -> None:
        self.listeners.pop(listener, None)

    def expire(self) -> None:
        """Let all deadlines pass."""
        for listener in tuple(self.listeners):
            listener.on_deadline()


class FaultInjector:
    """Counts the points that the task of a call passes, and injects a fault at one of them.

    Sits where a part of the router waits for another (`wait`), and where one calls another that may fail (`call`).
    """

    def __init__(self, fault: Fault | None = None, at: int = -1) -> None:
        self.deadlines = ManualDeadlines()
        self.client = ClientConnectionState(self.deadlines)  # type: ignore[arg-type] # the same two methods
        self.task: asyncio.Task[None] | None = None
        self.points: list[str] = []
        self._fault = fault
        self._at = at

    @property
    def hit(self) -> str | None:
        """The point at which the fault was injected."""
        return self.points[self._at] if 0 <= self._at < len(self.points) else None

    async def wait(self, point: str) -> None:
        """Pass a point at which the call waits."""
        self.call(point)
        await asyncio.sleep(0)

    def call(self, point: str) -> None:
        """Pass a point at which nothing is waited for: a cancellation takes effect with the next wait."""
        task = asyncio.current_task()
        if task is None or task is not self.task:
            return
        self.points.append(point)
        if len(self.points) - 1 != self._at:
            return
        if self._fault == "error":
            raise InjectedError(point)
        if self._fault == "disconnect":
            self.client.disconnect()
        elif self._fault == "deadline":
            self.deadlines.expire()
        elif self._fault == "shutdown":
            task.cancel()
