"""The state of a client connection: notify the handlers of its requests of a disconnect or a time-out."""

from typing import Final, Protocol

from starlette.types import Scope

from understudies.router.http1.deadlines import DeadlineListener, DeadlineTimer

CLIENT_EXTENSION: Final = "understudies.caller"
"""The key among the extensions of a request's scope that holds its client connection."""


class DisconnectListener(DeadlineListener, Protocol):
    """A handler that works for a client."""

    def on_disconnect(self) -> None:
        """Called when the client disconnects."""
        ...


class ClientConnectionState:
    """Notifies the handlers of the requests of one connection."""

    def __init__(self, timer: DeadlineTimer) -> None:
        self.is_disconnected = False
        self._timer = timer
        self._listeners: set[DisconnectListener] = set()

    def add_listener(self, listener: DisconnectListener, seconds: float) -> None:
        """Add a handler, with a time limit in seconds."""
        self._listeners.add(listener)
        self._timer.set(listener, seconds)

    def remove_listener(self, listener: DisconnectListener) -> None:
        """Remove a handler, with its time limit."""
        self._listeners.discard(listener)
        self._timer.cancel(listener)

    def disconnect(self) -> None:
        """Notify all handlers of the disconnect."""
        self.is_disconnected = True
        for listener in tuple(self._listeners):
            listener.on_disconnect()


def client_connection(scope: Scope) -> ClientConnectionState:
    """Return the client connection of a request that arrived over a `ServerConnection`."""
    connection: ClientConnectionState = scope["extensions"][CLIENT_EXTENSION]
    return connection
