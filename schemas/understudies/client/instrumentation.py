"""Record every call of a teacher without changing or failing it."""

import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MethodType
from typing import Any

from understudies.client.calls import CallArguments, TeacherCall, TeacherInfo, copy_arguments
from understudies.client.client_proxy import ClientProxy, is_of_official_client, is_official_client, is_own_name
from understudies.client.errors import describe_error
from understudies.client.http_bodies import HttpBody, tap_http_manager
from understudies.client.langchain_models import is_langchain_model, leads_to_calls, retold_copy, told_copy
from understudies.client.raw_responses import TappedResponse, is_raw_response
from understudies.client.recorder import CallRecorder
from understudies.client.router_mark import (
    Marks,
    begin_marks,
    is_marked,
    read_answer,
    read_field,
    resume_marks,
    watch_client,
)
from understudies.client.stream_managers import tap_manager
from understudies.client.stream_taps import ABANDONED, tap_stream
from understudies.client.telemetry import current_traceparent

log = logging.getLogger("understudies.client")

EpisodeSource = str | Callable[[], str | None] | None
"""The id of the trajectory that a call belongs to, or a function that returns it at the time of the call."""
TaskSource = Callable[[], str | None] | None
"""A function that returns a call's task at the time of the call, where not all calls of a teacher have the same."""

_MAX_TEXT = 500
_RECORDED_AS = "_understudies_recorded_as"
_RECORDED_METHODS = frozenset({"invoke", "ainvoke", "stream", "astream"})


class Instrumentor:
    """Wraps callables so that each call is recorded."""

    def __init__(
        self,
        recorder: CallRecorder,
        teacher_info: TeacherInfo,
        episode: EpisodeSource,
        now: Callable[[], datetime],
        task: TaskSource = None,
    ) -> None:
        self.recorder = recorder
        self._teacher_info = teacher_info
        self._episode = episode
        self._now = now
        self._task = task

    def wrap(self, teacher: Any) -> Any:
        """Return the recorded teacher: a function for a function, otherwise a proxy.

        A teacher that this recorder records already is recorded once, as what it is shadowed last.
        """
        teacher = self._unwrap(teacher)
        if is_official_client(teacher):
            self._watch(teacher)
            return ClientProxy(teacher, self.wrap_function)
        if hasattr(teacher, "invoke"):
            if (made := self._retell(teacher)) is not None:
                return made
            return (_CallableProxy if callable(teacher) else _Proxy)(teacher, self)
        if not callable(teacher):
            raise TypeError(f"a teacher is called or has `invoke`, and this is neither: {teacher!r}")
        if inspect.isroutine(teacher) or isinstance(teacher, functools.partial):
            return self.wrap_function(teacher)
        return _CallableProxy(teacher, self)

    def wrap_function(self, teacher: Callable[..., Any], recorded_arguments: slice = slice(None)) -> Callable[..., Any]:
        """Return a function that calls the teacher and records its call.

        Of the positional arguments only those in the slice `recorded_arguments` are recorded.
        """
        teacher = self._unwrap(teacher)
        self._watch(read_field(read_field(teacher, "__self__"), "_client"))
        is_official = is_of_official_client(teacher)
        if inspect.iscoroutinefunction(teacher):

            async def called_async(*args: Any, **kwargs: Any) -> Any:
                running = self.start_call(args[recorded_arguments], kwargs)
                try:
                    answer = await teacher(*args, **kwargs)
                except BaseException as error:
                    running.record_error(error)
                    raise
                return running.record_answer(answer, from_provider=is_official)

            return self._mark(teacher, called_async)

        def called(*args: Any, **kwargs: Any) -> Any:
            running = self.start_call(args[recorded_arguments], kwargs)
            try:
                answer = teacher(*args, **kwargs)
            except BaseException as error:
                running.record_error(error)
                raise
            return running.record_answer(answer, from_provider=is_official)

        return self._mark(teacher, called)

    def _mark(self, teacher: Callable[..., Any], wrapper: Callable[..., Any]) -> Callable[..., Any]:
        functools.update_wrapper(wrapper, teacher)
        setattr(wrapper, _RECORDED_AS, (self.recorder, wrapper, teacher))
        return wrapper

    def _unwrap(self, teacher: Any) -> Any:
        """Return what is recorded by this recorder already without its record, or the teacher itself."""
        inner: Any = None
        if type(teacher) is ClientProxy:
            instrumentor = getattr(teacher._understudies_wrap, "__self__", None)
            recorder, inner = getattr(instrumentor, "recorder", None), teacher._understudies_part
        elif type(teacher) in (_Proxy, _CallableProxy):
            recorder, inner = teacher._understudies_instrumentor.recorder, teacher._understudies_teacher
        else:
            function = teacher.__func__ if type(teacher) is MethodType else teacher
            recorder, wrapper, inner = getattr(function, "__dict__", {}).get(_RECORDED_AS, (None, None, None))
            if wrapper is not function:
                # `functools.wraps` copies the mark to what is built around a recorded function, such as a retry.
                return teacher
            if function is not teacher:
                inner = MethodType(inner, teacher.__self__)
        return self._unwrap(inner) if recorder is self.recorder else teacher

    def _retell(self, teacher: Any) -> Any:
        """Return a copy of what LangChain made of a model that this recorder records, as what is shadowed now, or None.

        LangChain calls it with its tools, which a proxy does not see.
        """
        try:
            return retold_copy(teacher, self)
        except Exception as error:  # noqa: BLE001 - an unusual model is recorded as any other
            log.debug("a %s may be recorded twice: %r", type(teacher), error)
            return None

    def begin(self) -> "Instrumentor | None":
        """Return what records a call that a framework tells of and that begins now, or None. Never raises."""
        try:
            about, episode = self._describe()
        except Exception as error:  # noqa: BLE001 - no failure here may disturb the agent
            self.recorder.count_loss("unreadable", detail=describe_error(error))
            return None
        return Instrumentor(self.recorder, about, episode, self._now)

    def record(
        self,
        arguments: Mapping[str, Any],
        answer: Any = None,
        *,
        at: datetime,
        latency_ms: float,
        error: str | None = None,
        task: str | None = None,
        episode: str | None = None,
    ) -> bool:
        """Record a finished call that a framework told of; the task is that of the shadow. Never raises."""
        try:
            about, own = self._describe()
            given = copy_arguments((), dict(arguments))
            call = TeacherCall(about, at, own or episode, given, latency_ms, answer, error=error)
            return self.recorder.put(call, given.characters)
        except Exception as failure:  # noqa: BLE001 - no failure here may disturb the agent
            return self.recorder.count_loss("unreadable", detail=describe_error(failure))

    def _describe(self) -> tuple[TeacherInfo, str | None]:
        """Return the teacher with the task of a call that begins now, and its episode."""
        episode = self._episode() if callable(self._episode) else self._episode
        about = self._teacher_info if self._task is None else replace(self._teacher_info, task=self._task())
        return about, episode

    def _watch(self, client: Any) -> None:
        try:
            watch_client(client)
        except Exception as error:  # noqa: BLE001 - an unusual client is called all the same
            log.debug("answers of %s do not tell whether they passed the router: %r", type(client), error)

    def start_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "CallRecording":
        """Begin the record of a call with the teacher's arguments."""
        try:
            about, episode = self._describe()
            arguments = copy_arguments(args, kwargs)
            recording = CallRecording(self.recorder, about, arguments, self._now(), episode, current_traceparent())
            recording.marks = begin_marks()
            return recording
        except Exception as error:  # noqa: BLE001 - no failure here may keep the teacher from being called
            self.recorder.count_loss("unreadable", detail=describe_error(error))
            return CallRecording(self.recorder, self._teacher_info, None, None, None, None)


class CallRecording:
    """A call in progress; it ends exactly once, with an answer, a stream or an error."""

    __slots__ = ("_arguments", "_at", "_episode", "_recorder", "_started", "_teacher_info", "_traceparent", "marks")

    def __init__(
        self,
        recorder: CallRecorder,
        teacher_info: TeacherInfo,
        arguments: CallArguments | None,
        at: datetime | None,
        episode: str | None,
        trace: str | None,
    ) -> None:
        self._recorder = recorder
        self._teacher_info = teacher_info
        self._arguments = arguments
        self._at = at
        self._episode = episode
        self._traceparent = trace
        self._started = time.perf_counter()
        self.marks = Marks()

    def record_answer(self, answer: Any, *, from_provider: bool = False) -> Any:
        """Record the teacher's answer and return it, or a proxy for it if it is a stream."""
        if from_provider and type(answer) is str:
            # Such as the page of a proxy or a login: a client returns the text of what is not JSON.
            self._record(None, error=f"the provider's answer is not JSON: {answer[:_MAX_TEXT]}")
            return answer
        if type(answer) is str or type(answer) is dict:
            self._record(answer.copy() if isinstance(answer, dict) else answer)
            return answer
        if inspect.isawaitable(answer):
            return self._record_awaitable(answer, from_provider=from_provider)
        self._note_mark(answer)
        if is_raw_response(answer) and self._is_streaming:
            return TappedResponse(answer, self._on_stream_end)
        stream = tap_stream(answer, self._on_stream_end)
        if stream is None:
            stream = tap_manager(answer, self._on_stream_end, self.record_error, self._note_mark)
        if stream is None:
            stream = tap_http_manager(answer, self._on_body_end, self.record_error, self._note_mark)
        if stream is not None:
            return stream
        self._record(answer)
        return answer

    def _note_mark(self, answer: Any) -> None:
        if is_marked(answer):
            self.marks.passed_router = True

    @property
    def _is_streaming(self) -> bool:
        return self._arguments is not None and self._arguments.named.get("stream") is True

    def record_error(self, error: BaseException) -> None:
        """Record that the teacher raised, with what it answered where only the client refused that, as `parse` does."""
        self._note_mark(error)
        answer = read_field(error, "completion")
        if answer is None and read_field(error, "response") is None:
            answer = read_answer(self.marks.response)
        self._record(answer, error=describe_error(error))

    def _record_awaitable(self, answer: Any, *, from_provider: bool) -> Any:
        if hasattr(answer, "add_done_callback"):  # a future is returned as the same object
            answer.add_done_callback(self._on_future_done)
            return answer
        return self._record_coroutine(answer, from_provider=from_provider)

    async def _record_coroutine(self, answer: Any, *, from_provider: bool) -> Any:
        resume_marks(self.marks)
        try:
            result = await answer
        except BaseException as error:
            self.record_error(error)
            raise
        return self.record_answer(result, from_provider=from_provider)

    def _on_future_done(self, future: Any) -> None:
        if future.cancelled():
            self._record(None, error="CancelledError: the call was cancelled")
        elif future.exception() is not None:
            self.record_error(future.exception())
        else:
            self._record(future.result())

    def _on_stream_end(self, chunks: list[Any], error: BaseException | str | None) -> None:
        self._record(None, chunks, describe_error(error) if isinstance(error, BaseException) else error)

    def _on_body_end(self, body: HttpBody | None) -> None:
        if body is None:
            self._recorder.count_loss("too_large")
        else:
            self._record(body)

    def _record(self, answer: Any, chunks: list[Any] | None = None, error: str | None = None) -> None:
        if self._arguments is None or self._at is None:
            return
        self.marks.response = None
        if self.marks.passed_router:
            self._recorder.count_passed()
            return
        latency_ms = (time.perf_counter() - self._started) * 1000
        self._recorder.put(
            TeacherCall(
                self._teacher_info,
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
    """A proxy for an object that records `invoke` and similar methods and delegates everything else."""

    def __init__(self, teacher: Any, instrumentor: Instrumentor) -> None:
        self._understudies_teacher = teacher
        self._understudies_instrumentor = instrumentor

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the teacher itself
        return type(self._understudies_teacher)

    def __setattr__(self, name: str, value: Any) -> None:
        if is_own_name(name):
            object.__setattr__(self, name, value)
        else:
            setattr(self._understudies_teacher, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._understudies_teacher, name)

    def __getattr__(self, name: str) -> Any:
        if is_own_name(name):
            raise AttributeError(name)  # of a copy in the making
        value = getattr(self._understudies_teacher, name)
        if name in _RECORDED_METHODS and callable(value):
            # the second argument of these methods is configuration, which is not recorded
            return self._understudies_instrumentor.wrap_function(value, slice(1))
        if leads_to_calls(name) and is_langchain_model(self._understudies_teacher):
            return getattr(self._understudies_told, name)
        return value

    def __or__(self, other: Any) -> Any:
        return self._understudies_told | other

    def __ror__(self, other: Any) -> Any:
        return other | self._understudies_told

    @property
    def _understudies_told(self) -> Any:
        """The teacher, or a copy of a model of LangChain that tells its calls."""
        teacher, instrumentor = self._understudies_teacher, self._understudies_instrumentor
        try:
            return told_copy(teacher, instrumentor) if is_langchain_model(teacher) else teacher
        except Exception as error:  # noqa: BLE001 - one that cannot be copied is called all the same
            instrumentor.recorder.count_loss("unreadable", detail=describe_error(error))
            return teacher


class _CallableProxy(_Proxy):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._understudies_instrumentor.wrap_function(self._understudies_teacher)(*args, **kwargs)


__all__ = ["ABANDONED", "CallRecording", "EpisodeSource", "Instrumentor", "TaskSource"]
