"""Record what official clients return from `with_raw_response`: an HTTP response with the answer still to be parsed."""

import inspect
from typing import Any

from understudies.client.stream_taps import ABANDONED, OnStreamEnd, tap_stream

_RAW_RESPONSES = frozenset({"APIResponse", "AsyncAPIResponse", "LegacyAPIResponse"})


def is_raw_response(answer: Any) -> bool:
    """Return whether an answer is such a response."""
    return type(answer).__name__ in _RAW_RESPONSES


def read_raw_response(answer: Any) -> Any:
    """Return the JSON of a response whose body has been read; raises what the client's HTTP library raises."""
    return answer.http_response.json()


class TappedResponse:
    """A proxy for a response with a stream, which is tapped once `parse` returns it."""

    def __init__(self, response: Any, done: OnStreamEnd) -> None:
        self._understudies_response = response
        self._understudies_done = done
        self._understudies_stream: Any = None

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the response itself
        return type(self._understudies_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._understudies_response, name)

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """Return the stream, or something to await that returns it."""
        parsed = self._understudies_response.parse(*args, **kwargs)
        return self._understudies_await(parsed) if inspect.isawaitable(parsed) else self._understudies_tap(parsed)

    async def _understudies_await(self, parsed: Any) -> Any:
        return self._understudies_tap(await parsed)

    def _understudies_tap(self, parsed: Any) -> Any:
        if self._understudies_stream is None:
            self._understudies_stream = tap_stream(parsed, self._understudies_done) or parsed
        return self._understudies_stream

    def __del__(self) -> None:
        if self._understudies_stream is None:
            self._understudies_done([], ABANDONED)
