"""Sees every call of one teacher, and never stands in its way."""

import functools
import inspect
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from understudies.client.calls import Arguments, Call, Shadow, snapshot
from understudies.client.recorder import Recorder
from understudies.client.streams import ABANDONED, tapped
from understudies.client.telemetry import traceparent

Episode = str | Callable[[], str | None] | None
"""The trajectory that a call belongs to, or what tells it at the time of the call."""

_RECORDED_METHODS = frozenset({"invoke", "ainvoke", "stream", "astream"})


class Witness:
    """Wraps callables so that each call is recorded."""

    def __init__(self, recorder: Recorder, shadow: Shadow, episode: Episode, now: Callable[[], datetime]) -> None:
        self.recorder = recorder
        self.shadow = shadow
        self._episode = episode
        self._now = now

    def wrapped(self, teacher: Any) -> Any:
        """What stands for a teacher: a function for a function, otherwise a proxy."""
        if hasattr(teacher, "invoke"):
            return (_CallableProxy if callable(teacher) else _Proxy)(teacher, self)
        if not callable(teacher):
            raise TypeError(f"a teacher is called or has `invoke`, and this is neither: {teacher!r}")
        if inspect.isroutine(teacher) or isinstance(teacher, functools.partial):
            return self.function(teacher)
        return _CallableProxy(teacher, self)

    def function(self, teacher: Callable[..., Any], arguments: slice = slice(None)) -> Callable[..., Any]:
        """A function that calls the teacher; of the positional arguments the given ones are recorded."""
        if inspect.iscoroutinefunction(teacher):

            async def called_async(*args: Any, **kwargs: Any) -> Any:
                running = self.begin(args[arguments], kwargs)
                try:
                    answer = await teacher(*args, **kwargs)
                except BaseException as error:
                    running.failed(error)
                    raise
                return running.passed(answer)

            return _named_like(teacher, called_async)

        def called(*args: Any, **kwargs: Any) -> Any:
            running = self.begin(args[arguments], kwargs)
            try:
                answer = teacher(*args, **kwargs)
            except BaseException as error:
                running.failed(error)
                raise
            return running.passed(answer)

        return _named_like(teacher, called)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Running":
        """Note what the teacher is about to be asked."""
        try:
            episode = self._episode() if callable(self._episode) else self._episode
            return Running(self, snapshot(args, kwargs), self._now(), episode, traceparent())
        except Exception:  # noqa: BLE001 - whatever fails here, the teacher must be called
            self.recorder.lost("unreadable")
            return Running(self, None, None, None, None)


class Running:
    """A call that was begun; it ends once, in an answer, a stream or an error."""

    __slots__ = ("_arguments", "_at", "_episode", "_started", "_traceparent", "_witness")

    def __init__(
        self,
        witness: Witness,
        arguments: Arguments | None,
        at: datetime | None,
        episode: str | None,
        trace: str | None,
    ) -> None:
        self._witness = witness
        self._arguments = arguments
        self._at = at
        self._episode = episode
        self._traceparent = trace
        self._started = time.perf_counter()

    def passed(self, answer: Any) -> Any:
        """Record what the teacher returned, and return it, or what stands for its stream."""
        if type(answer) is str or type(answer) is dict:
            self._record(answer.copy() if isinstance(answer, dict) else answer)
            return answer
        if inspect.isawaitable(answer):
            return self._awaited(answer)
        stream = tapped(answer, self._streamed)
        if stream is not None:
            return stream
        self._record(answer)
        return answer

    def failed(self, error: BaseException) -> None:
        """Record that the teacher raised."""
        self._record(None, error=_told(error))

    def _awaited(self, answer: Any) -> Any:
        if hasattr(answer, "add_done_callback"):  # a future stays the same future
            answer.add_done_callback(self._settled)
            return answer
        return self._coroutine(answer)

    async def _coroutine(self, answer: Any) -> Any:
        try:
            result = await answer
        except BaseException as error:
            self.failed(error)
            raise
        return self.passed(result)

    def _settled(self, future: Any) -> None:
        if future.cancelled():
            self._record(None, error="CancelledError: the call was cancelled")
        elif future.exception() is not None:
            self.failed(future.exception())
        else:
            self._record(future.result())

    def _streamed(self, chunks: list[Any], error: BaseException | str | None) -> None:
        self._record(None, chunks, _told(error) if isinstance(error, BaseException) else error)

    def _record(self, answer: Any, chunks: list[Any] | None = None, error: str | None = None) -> None:
        if self._arguments is None or self._at is None:
            return
        latency_ms = (time.perf_counter() - self._started) * 1000
        witness = self._witness
        witness.recorder.put(
            Call(
                witness.shadow,
                self._at,
                self._episode,
                self._arguments,
                latency_ms,
                answer,
                chunks,
                error,
                self._traceparent,
            ),
            self._arguments.characters,
        )


class _Proxy:
    """Stands for an object whose `invoke` and the like are recorded; everything else is the object's own."""

    def __init__(self, teacher: Any, witness: Witness) -> None:
        self._understudies_teacher = teacher
        self._understudies_witness = witness

    @property  # type: ignore[misc]  # only read
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # only read
        # an agent that asks isinstance() gets the teacher's own answer
        return type(self._understudies_teacher)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._understudies_teacher, name)
        if name in _RECORDED_METHODS and callable(value):
            # the second argument of these methods is configuration
            return self._understudies_witness.function(value, slice(1))
        return value


class _CallableProxy(_Proxy):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._understudies_witness.function(self._understudies_teacher)(*args, **kwargs)


def _named_like(teacher: Callable[..., Any], wrapper: Callable[..., Any]) -> Callable[..., Any]:
    return functools.update_wrapper(wrapper, teacher)


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:2000]
    except Exception:  # noqa: BLE001 - an exception may fail to describe itself
        return type(error).__name__


__all__ = ["ABANDONED", "Episode", "Running", "Witness"]
