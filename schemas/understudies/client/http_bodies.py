"""Record what official clients open by `with_streaming_response`: an HTTP response whose body the caller reads.

However it is read (`parse`, `json`, `iter_lines` ...), the HTTP library takes the decoded body from one iterator, which
is replaced by one that keeps the bytes as they pass. They are parsed later, in the background.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from understudies.client.errors import NotRecorded
from understudies.client.stream_managers import OnError, OnOpen
from understudies.client.stream_taps import ABANDONED
from understudies.dialects.json_fields import parse_lenient_json
from understudies.dialects.sse import EventSplitter, begins_object, event_data, parse_event_object
from understudies.dialects.stream_accumulator import DAMAGED_EVENT

_MANAGERS: Final = frozenset({"ResponseContextManager", "AsyncResponseContextManager"})
_MAX_BYTES: Final = 8_000_000
"""The most bytes of one body to keep; a larger one is not recorded."""


@dataclass(frozen=True, slots=True)
class HttpBody:
    """The body of an answer as the caller has read it; `error` tells why it ends early, and None that it does not."""

    content: bytes
    is_stream: bool
    error: BaseException | str | None = None

    def parse_events(self) -> tuple[list[dict[str, Any]], str | None]:
        """Return the data of the events of a stream, and the reason if one of them is damaged.

        Those that are no objects, such as the last one, are left out, and so is one that was cut off.
        """
        splitter = EventSplitter()
        whole = [event_data(event) for event in splitter.feed(self.content)]
        parsed = [parse_event_object(data) for data in (*whole, event_data(splitter.flush()))]
        is_damaged = any(value is None and begins_object(data) for value, data in zip(parsed, whole, strict=False))
        return [value for value in parsed if value is not None], DAMAGED_EVENT if is_damaged else None

    def parse(self) -> Any:
        """Return the JSON of an answer that is not streamed; raises NotRecorded."""
        try:
            return parse_lenient_json(self.content)
        except ValueError as error:
            raise NotRecorded("unreadable", f"the body of the answer is not JSON: {error}") from error


OnBody = Callable[[HttpBody | None], None]
"""Callback called once when a body ends, with None if it is too large to be kept; must not raise."""


class _BodyTap:
    """Keeps the bytes that pass through the iterator of a response."""

    def __init__(self, http_response: Any, done: OnBody) -> None:
        self._done: OnBody | None = done
        self._is_stream = "text/event-stream" in http_response.headers.get("content-type", "")
        self._parts: list[bytes] | None = []
        self._size = 0

    def tap(self, http_response: Any) -> None:
        """Replace the iterators of the response by those that keep what passes."""
        iter_bytes, aiter_bytes = http_response.iter_bytes, http_response.aiter_bytes

        def tapped(chunk_size: int | None = None) -> Generator[bytes, None, None]:
            if self._done is None:  # the body is there as a whole, and is read again
                yield from iter_bytes(chunk_size)
                return
            try:
                for part in iter_bytes(chunk_size):
                    self._keep(part)
                    yield part
            except GeneratorExit:
                raise
            except BaseException as error:
                self.end(error)
                raise
            self.end(None)

        async def tapped_async(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
            parts = aiter_bytes(chunk_size)
            if self._done is None:
                async for part in parts:
                    yield part
                return
            try:
                async for part in parts:
                    self._keep(part)
                    yield part
            except GeneratorExit:
                await parts.aclose()
                raise
            except BaseException as error:
                self.end(error)
                raise
            self.end(None)

        http_response.iter_bytes, http_response.aiter_bytes = tapped, tapped_async

    def end(self, error: BaseException | str | None) -> None:
        """Tell the body, the first time only."""
        done, self._done = self._done, None
        if done is None:
            return
        kept, self._parts = self._parts, None
        done(None if kept is None else HttpBody(b"".join(kept), self._is_stream, error))

    def leave(self) -> None:
        """Tell what was read when the caller leaves the response."""
        self.end(ABANDONED)

    def _keep(self, part: bytes) -> None:
        if self._parts is None:
            return
        self._size += len(part)
        if self._size > _MAX_BYTES:
            self._parts = None
        else:
            self._parts.append(part)

    def __del__(self) -> None:
        self.leave()


class _ManagerBase:
    """A proxy for the context manager of a response; what it enters is the response itself."""

    def __init__(self, manager: Any, done: OnBody, failed: OnError, opened: OnOpen) -> None:
        self._understudies_opened = opened
        self._understudies_manager = manager
        self._understudies_done = done
        self._understudies_failed = failed
        self._understudies_tap: _BodyTap | None = None

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the manager itself
        return type(self._understudies_manager)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._understudies_manager, name)

    def _understudies_open(self, response: Any) -> Any:
        self._understudies_opened(response)
        http_response = response.http_response
        self._understudies_tap = _BodyTap(http_response, self._understudies_done)
        self._understudies_tap.tap(http_response)
        return response

    def _understudies_close(self) -> None:
        if self._understudies_tap is not None:
            self._understudies_tap.leave()


class _TappedManager(_ManagerBase):
    def __enter__(self) -> Any:
        try:
            response = self._understudies_manager.__enter__()
        except BaseException as error:
            self._understudies_failed(error)
            raise
        return self._understudies_open(response)

    def __exit__(self, *exc_info: Any) -> Any:
        self._understudies_close()
        return self._understudies_manager.__exit__(*exc_info)


class _TappedAsyncManager(_ManagerBase):
    async def __aenter__(self) -> Any:
        try:
            response = await self._understudies_manager.__aenter__()
        except BaseException as error:
            self._understudies_failed(error)
            raise
        return self._understudies_open(response)

    async def __aexit__(self, *exc_info: Any) -> Any:
        self._understudies_close()
        return await self._understudies_manager.__aexit__(*exc_info)


def tap_http_manager(answer: Any, done: OnBody, failed: OnError, opened: OnOpen) -> Any:
    """Return a proxy for the context manager of a response, or None if the answer is none."""
    kind = type(answer)
    if kind.__name__ not in _MANAGERS:
        return None
    proxy = _TappedManager if hasattr(kind, "__enter__") else _TappedAsyncManager
    return proxy(answer, done, failed, opened)
