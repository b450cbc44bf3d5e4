"""The caller at the other end of a connection: whoever works for it learns when it hangs up, and when time is over."""

from typing import Final, Protocol

from starlette.types import Scope

from understudies.router.alarm import Alarm, Late

EXTENSION: Final = "understudies.caller"
"""Where a request's scope has its caller, among the extensions."""


class Worker(Late, Protocol):
    """Who works for a caller."""

    def hung_up(self) -> None:
        """Is called when the caller hangs up."""
        ...


class Caller:
    """Tells whoever works for it; there is one for all requests of a connection."""

    def __init__(self, alarm: Alarm) -> None:
        self.gone = False
        self._alarm = alarm
        self._workers: set[Worker] = set()

    def engage(self, worker: Worker, seconds: float) -> None:
        """Let somebody work, for so many seconds."""
        self._workers.add(worker)
        self._alarm.set(worker, seconds)

    def release(self, worker: Worker) -> None:
        """Tell somebody nothing more."""
        self._workers.discard(worker)
        self._alarm.drop(worker)

    def hang_up(self) -> None:
        """Tell all who work."""
        self.gone = True
        for worker in tuple(self._workers):
            worker.hung_up()


def caller_of(scope: Scope) -> Caller:
    """The caller of a request that came over a `Connection`."""
    caller: Caller = scope["extensions"][EXTENSION]
    return caller
