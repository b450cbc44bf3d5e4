"""Record the streams that official clients open as context managers, such as `client.messages.stream`.

Whatever their helpers offer (`text_stream`, `get_final_message`, events), all of it reads the provider's own events
from one stream inside; that stream is tapped, so that nothing that the caller does with the helpers differs.
"""

from collections.abc import Callable
from typing import Any

from understudies.client.stream_taps import ABANDONED, OnStreamEnd, tap_stream

_MANAGER_SUFFIX = "StreamManager"
_INNER_STREAM = "_raw_stream"

OnError = Callable[[BaseException], None]
"""Callback called if the stream cannot be opened; must not raise."""
OnOpen = Callable[[Any], None]
"""Callback called with what was opened; must not raise."""


class _ManagerBase:
    """A proxy for a manager; attributes other than entering and leaving are delegated to the manager itself."""

    def __init__(self, manager: Any, done: OnStreamEnd, failed: OnError, opened: OnOpen) -> None:
        self._understudies_opened = opened
        self._understudies_manager = manager
        self._understudies_done = done
        self._understudies_failed = failed
        self._understudies_tap: Any = None

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the manager itself
        return type(self._understudies_manager)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._understudies_manager, name)

    def _understudies_open(self, stream: Any) -> Any:
        self._understudies_opened(stream)
        inner = getattr(stream, _INNER_STREAM, None)
        tap = tap_stream(stream if inner is None else inner, self._understudies_done)
        self._understudies_tap = tap
        if inner is None or tap is None:
            return stream if tap is None else tap
        setattr(stream, _INNER_STREAM, tap)
        return stream

    def _understudies_close(self) -> None:
        if self._understudies_tap is not None:
            self._understudies_tap.understudies_end(ABANDONED)


class TappedManager(_ManagerBase):
    """A proxy for a manager that is entered with `with`."""

    def __enter__(self) -> Any:
        try:
            stream = self._understudies_manager.__enter__()
        except BaseException as error:
            self._understudies_failed(error)
            raise
        return self._understudies_open(stream)

    def __exit__(self, *exc_info: Any) -> Any:
        self._understudies_close()
        return self._understudies_manager.__exit__(*exc_info)


class TappedAsyncManager(_ManagerBase):
    """A proxy for a manager that is entered with `async with`."""

    async def __aenter__(self) -> Any:
        try:
            stream = await self._understudies_manager.__aenter__()
        except BaseException as error:
            self._understudies_failed(error)
            raise
        return self._understudies_open(stream)

    async def __aexit__(self, *exc_info: Any) -> Any:
        self._understudies_close()
        return await self._understudies_manager.__aexit__(*exc_info)


def tap_manager(answer: Any, done: OnStreamEnd, failed: OnError, opened: OnOpen) -> Any:
    """Return a proxy for the manager of a stream, or None if the answer is none."""
    kind = type(answer)
    if not kind.__name__.endswith(_MANAGER_SUFFIX):
        return None
    if hasattr(kind, "__enter__"):
        return TappedManager(answer, done, failed, opened)
    return TappedAsyncManager(answer, done, failed, opened) if hasattr(kind, "__aenter__") else None
