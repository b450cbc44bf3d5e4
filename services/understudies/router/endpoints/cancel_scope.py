"""Cancel a block of code when the client disconnects or a deadline passes."""

import asyncio
import math
from types import TracebackType
from typing import Self

from understudies.router.endpoints.errors import ClientDisconnected
from understudies.router.http1.disconnect import ClientConnectionState
from understudies.router.serving.call_lifecycle import CLIENT_DISCONNECTED, DEADLINE_EXCEEDED


class CancelScope:
    """Cancel the work of a block when its client disconnects, and raise ClientDisconnected from it.

    After `seconds`, the work is cancelled too, and TimeoutError raised. While `is_reading_body` is true, the reader of
    the body detects a disconnect: this scope ignores disconnects until `body_received` is called.
    """

    def __init__(
        self, client: ClientConnectionState, seconds: float = math.inf, *, is_reading_body: bool = False
    ) -> None:
        self.client_disconnected = False
        self.is_reading_body = is_reading_body
        """True while the body is being read."""
        self._timed_out = False
        self._client = client
        self._seconds = seconds
        self._work: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._work = asyncio.current_task()
        self._client.add_listener(self, self._seconds)
        if self._client.is_disconnected:
            self._check_disconnected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.remove_listener(self)
        work, self._work = self._work, None
        if not (self.client_disconnected or self._timed_out) or work is None:
            return
        others = work.uncancel()
        if self.client_disconnected:
            raise ClientDisconnected from error
        if not others and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def body_received(self) -> None:
        """React to disconnects from now on."""
        self.is_reading_body = False
        self._check_disconnected()

    def on_disconnect(self) -> None:
        """Cancel the work, because its client no longer waits for it."""
        if self._work is not None and not (self.is_reading_body or self.client_disconnected or self._timed_out):
            self.client_disconnected = True
            self._work.cancel(CLIENT_DISCONNECTED)

    def on_deadline(self) -> None:
        """Cancel the work, because its deadline has passed."""
        if self._work is not None and not self.client_disconnected:
            self._timed_out = True
            self._work.cancel(DEADLINE_EXCEEDED)

    def _check_disconnected(self) -> None:
        if self._client.is_disconnected and not self.is_reading_body:
            # Deferred, because a task that cancels itself stays cancelled if it awaits nothing more in the block.
            asyncio.get_running_loop().call_soon(self.on_disconnect)
