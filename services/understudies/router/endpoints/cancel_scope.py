"""Cancel a block of code when the client disconnects or a deadline passes."""

import asyncio
import math
from types import TracebackType
from typing import Self

from understudies.router.endpoints.errors import ClientDisconnected
from understudies.router.http1.disconnect import ClientConnectionState
from understudies.router.serving.call_lifecycle import CLIENT_DISCONNECTED, DEADLINE_EXCEEDED


class CancelScope:
    """Cancels the work of a block when its client disconnects, and raises ClientDisconnected from it.

    After so many seconds the work is cancelled too, and TimeoutError raised. While `is_reading_body`, whoever reads the
    body notices a disconnect: this scope does not listen before `body_received` is called.
    """

    def __init__(
        self, client: ClientConnectionState, seconds: float = math.inf, *, is_reading_body: bool = False
    ) -> None:
        self.client_disconnected = False
        self.is_reading_body = is_reading_body
        """Whether the body is still being read."""
        self._timed_out = False
        self._client = client
        self._seconds = seconds
        self._work: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._work = asyncio.current_task()
        self._client.add_listener(self, self._seconds)
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
        """Be told from now on."""
        self.is_reading_body = False
        self._check_disconnected()

    def on_disconnect(self) -> None:
        """Cancel the work: nobody waits for it."""
        if self._work is not None and not (self.is_reading_body or self.client_disconnected or self._timed_out):
            self.client_disconnected = True
            self._work.cancel(CLIENT_DISCONNECTED)

    def on_deadline(self) -> None:
        """Cancel the work: it took too long."""
        if self._work is not None and not self.client_disconnected:
            self._timed_out = True
            self._work.cancel(DEADLINE_EXCEEDED)

    def _check_disconnected(self) -> None:
        if self._client.is_disconnected and not self.is_reading_body:
            # Later, as a task that cancels itself stays cancelled where it waits for nothing more in the block.
            asyncio.get_running_loop().call_soon(self.on_disconnect)
