"""The caller at the other end of a connection: whoever works for it learns when it hangs up, and when time is over."""

from typing import Final, Protocol

from starlette.types import Scope

from understudies.router.http1.deadlines import DeadlineListener, DeadlineTimer

CLIENT_EXTENSION: Final = "understudies.caller"
"""Where a request's scope has its caller, among the extensions."""


class DisconnectListener(DeadlineListener, Protocol):
    """Who works for a caller."""

    def on_disconnect(self) -> None:
        """Is called when the caller hangs up."""
        ...


class ClientConnectionState:
    """Tells whoever works for it; there is one for all requests of a connection."""

    def __init__(self, timer: DeadlineTimer) -> None:
        self.is_disconnected = False
        self._timer = timer
        self._listeners: set[DisconnectListener] = set()

    def add_listener(self, listener: DisconnectListener, seconds: float) -> None:
        """Let somebody work, for so many seconds."""
        self._listeners.add(listener)
        self._timer.set(listener, seconds)

    def remove_listener(self, listener: DisconnectListener) -> None:
        """Tell somebody nothing more."""
        self._listeners.discard(listener)
        self._timer.cancel(listener)

    def disconnect(self) -> None:
        """Tell all who work."""
        self.is_disconnected = True
        for worker in tuple(self._listeners):
            worker.on_disconnect()


def client_connection(scope: Scope) -> ClientConnectionState:
    """The caller of a request that came over a `ServerConnection`."""
    caller: ClientConnectionState = scope["extensions"][CLIENT_EXTENSION]
    return caller
