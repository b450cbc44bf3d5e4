"""The background thread that delivers the buffered entries, with an event loop of its own."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from understudies.client.errors import PublishError
from understudies.client.sinks import OutgoingEvent, Sink

log = logging.getLogger("understudies.client")

_LINGER_SECONDS = 0.02
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class BufferedEntry:
    """An item waiting for delivery, and the future of the caller that awaits it, if any."""

    item: Any
    characters: int
    delivered: "Future[None] | None"

    def succeed(self) -> None:
        """Resolve the future as delivered, unless it has failed already."""
        if self.delivered is not None and not self.delivered.done():
            self.delivered.set_result(None)

    def fail(self, reason: str) -> None:
        """Fail the future with PublishError: the item will not be delivered."""
        if self.delivered is not None and not self.delivered.done():
            self.delivered.set_exception(PublishError(reason))


class EntrySource(Protocol):
    """The buffer that a worker drains."""

    @property
    def has_entries(self) -> bool: ...
    def open_sinks(self) -> Sequence[Sink]: ...
    def take_batch(self) -> list[BufferedEntry]: ...
    def encode(self, entry: BufferedEntry) -> OutgoingEvent | None: ...
    def settle_entries(self, entries: Sequence[BufferedEntry]) -> None: ...
    def count_loss(self, reason: str, count: int = 1, detail: object = "") -> bool: ...


class DeliveryWorker:
    """Takes batches from the source, encodes them and writes them to the sinks until it is stopped."""

    def __init__(self, source: EntrySource) -> None:
        self._source = source
        self._loop = _ThreadEventLoop()
        self._wakeup = asyncio.Event()
        self._idle = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="understudies-recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Make the worker check the buffer; costs a system call only when the worker is idle."""
        if self._idle:
            self._idle = False
            self._loop.call_soon_threadsafe(self._wakeup.set)

    def stop(self, timeout: float = 1.0) -> None:
        """Stop the thread, cancelling a delivery in progress, and wait up to `timeout` seconds for it to end."""
        self._stopping = True
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._loop.call_soon_threadsafe(self._cancel_tasks)
            self._thread.join(timeout)

    def _cancel_tasks(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._deliver_until_stopped())
        except asyncio.CancelledError:
            log.debug("recorder stopped")
        except Exception:
            log.exception("recorder ended; calls are no longer recorded")
        finally:
            self._loop.close()

    async def _deliver_until_stopped(self) -> None:
        sinks = self._source.open_sinks()
        try:
            while not self._stopping:
                entries = self._source.take_batch()
                if entries:
                    await self._deliver(sinks, entries)
                elif any([await sink.retry() for sink in sinks]):
                    await self._wait_for_entries(_RETRY_SECONDS)
                else:
                    await self._wait_for_entries(None)
        finally:
            for sink in sinks:
                await sink.stop()

    async def _wait_for_entries(self, at_most_s: float | None) -> None:
        self._wakeup.clear()
        self._idle = True
        if not self._source.has_entries:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await self._wakeup.wait()
            # Batching a few calls costs the agent's own thread fewer context switches.
            await asyncio.sleep(_LINGER_SECONDS)
        self._idle = False

    async def _deliver(self, sinks: Sequence[Sink], entries: Sequence[BufferedEntry]) -> None:
        try:
            await self._write(sinks, entries)
        except BaseException:
            for entry in entries:
                entry.fail("the client was closed before the event was delivered")
            raise
        self._source.settle_entries(entries)

    async def _write(self, sinks: Sequence[Sink], entries: Sequence[BufferedEntry]) -> None:
        batch: list[tuple[BufferedEntry, OutgoingEvent]] = []
        for entry in entries:
            outgoing = self._source.encode(entry)
            if outgoing is not None:
                batch.append((entry, outgoing))
            await asyncio.sleep(0)  # releases the interpreter after each call
        for sink in sinks:
            refused = await sink.write([outgoing for _, outgoing in batch])
            for place, reason in refused.items():
                self._source.count_loss("refused", detail=reason)
                batch[place][0].fail(reason)


class _ThreadEventLoop(asyncio.SelectorEventLoop):
    """Resolves host names in its own thread: executors are shut down before the last flush at interpreter exit."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)
