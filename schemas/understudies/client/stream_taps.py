"""Pass streams through unchanged, chunk by chunk, and collect the chunks for the record."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

OnStreamEnd = Callable[[list[Any], BaseException | str | None], None]
"""Callback called once when a stream ends, with its chunks and the error or None; must not raise."""

ABANDONED = "abandoned: the caller stopped reading the stream"


class _TappedBase:
    """A proxy for a stream: attributes that do not concern reading are delegated to the stream itself."""

    def __init__(self, stream: Any, done: OnStreamEnd) -> None:
        self._understudies_stream = stream
        self._understudies_chunks: list[Any] = []
        self._understudies_done: OnStreamEnd | None = done

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the stream itself
        return type(self._understudies_stream)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._understudies_stream, name)
        if name not in ("close", "aclose"):
            return value

        def closing(*args: Any, **kwargs: Any) -> Any:
            self.understudies_end(ABANDONED)
            return value(*args, **kwargs)

        return closing

    def __del__(self) -> None:
        self.understudies_end(ABANDONED)

    def understudies_end(self, error: BaseException | str | None) -> None:
        done, self._understudies_done = self._understudies_done, None
        if done is not None:
            done(self._understudies_chunks, error)


class TappedStream(_TappedBase):
    """A proxy for a stream that is read with `for`."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._understudies_stream)
        except StopIteration:
            self.understudies_end(None)
            raise
        except BaseException as error:
            self.understudies_end(error)
            raise
        self._understudies_chunks.append(chunk)
        return chunk

    def __enter__(self) -> "TappedStream":
        self._understudies_stream.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> Any:
        self.understudies_end(ABANDONED)
        return self._understudies_stream.__exit__(*exc_info)


class TappedAsyncStream(_TappedBase):
    """A proxy for a stream that is read with `async for`."""

    def __init__(self, stream: Any, done: OnStreamEnd) -> None:
        super().__init__(stream, done)
        self._understudies_source = stream if hasattr(type(stream), "__anext__") else aiter(stream)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await anext(self._understudies_source)
        except StopAsyncIteration:
            self.understudies_end(None)
            raise
        except BaseException as error:
            self.understudies_end(error)
            raise
        self._understudies_chunks.append(chunk)
        return chunk

    async def __aenter__(self) -> "TappedAsyncStream":
        await self._understudies_stream.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> Any:
        self.understudies_end(ABANDONED)
        return await self._understudies_stream.__aexit__(*exc_info)


def tap_stream(answer: Any, done: OnStreamEnd) -> Any:
    """Return a proxy for the answer's stream, or None if the answer is not a stream."""
    kind = type(answer)
    if hasattr(kind, "__next__"):
        return TappedStream(answer, done)
    return TappedAsyncStream(answer, done) if hasattr(kind, "__aiter__") else None
