"""Define the outcome of a call, from which its response, its event and its metrics are made."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from understudies.events import Invocation, Response, ServedBy, Usage
from understudies.router.call import Call, TeacherAnswer, TeacherError, TeacherStream
from understudies.router.recording.invocation import PendingInvocation
from understudies.router.routing.decision import Decision
from understudies.runtime.fast_dataclass import fast_dataclass


@fast_dataclass
class ServingInfo:
    """The source of an answer and the reason for its route, as stated in the response headers."""

    served_by: ServedBy
    decision: Decision
    confidence: float | None = None
    teacher: str = ""
    upstream_ms: float = 0.0
    """Time spent on the student and the teacher, in milliseconds."""

    @property
    def student(self) -> str | None:
        """The student that answered, or that was asked without success; None if none was asked."""
        route = self.decision.route
        return route.student if self.served_by == "student" and route else self.decision.student


@dataclass(slots=True)
class CallOutcome:
    """The end of one call, and the only source of its event and its metrics.

    The event records what was answered, `reason` and `status` what the client received of it: a stream that breaks off
    is a failed call, although its client was sent status 200. `serving` is None if the client was sent an error.
    """

    pending: PendingInvocation
    reason: str
    status: int
    serving: ServingInfo | None
    enqueue_audit: Callable[[], None] | None
    over_budget: bool = field(default=False, init=False)
    interrupted: bool = field(default=False, init=False)
    """True if the client was not sent all of the answer."""
    seconds: float = field(default=0.0, init=False)
    """Time from the arrival of the request to the end of its response, in seconds."""
    first_byte_s: float | None = field(default=None, init=False)
    """Time from the arrival of the request to the first byte of a stream, in seconds; None if nothing was streamed."""

    @property
    def call(self) -> Call:
        """The call that ended."""
        return self.pending.builder.call

    @property
    def served_by(self) -> ServedBy:
        """The `served_by` that the client was sent; `none` if it was sent an error."""
        return "none" if self.serving is None else self.serving.served_by

    @property
    def overhead_s(self) -> float | None:
        """Time spent in the router itself, in seconds; None if it cannot be separated from the time of the others."""
        if self.serving is None or self.interrupted or self.first_byte_s is not None:
            return None
        return max(0.0, self.seconds - self.serving.upstream_ms / 1000)

    def stream_sent(self, stream: "CallStream", interruption: TeacherError | None) -> None:
        """Record that the client was sent a stream, whole or in part."""
        self.serving, self.reason, self.status = stream.serving, stream.serving.decision.reason, stream.status
        if interruption is not None:
            self.interrupt(interruption)

    def interrupt(self, error: TeacherError) -> None:
        """Record that the client was not sent all of the answer."""
        self.reason, self.status, self.interrupted = error.code, error.status, True


@dataclass(slots=True)
class CallResult(CallOutcome):
    """The outcome of a call that was answered; `raw` is the body as the teacher sent it, if a teacher answered."""

    serving: ServingInfo  # pyright: ignore[reportIncompatibleVariableOverride] # an answer was sent
    response: Response
    model: str
    usage: Usage = field(default_factory=Usage)
    raw: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def invocation(self) -> Invocation:
        """The event as it is recorded; raises the errors that the redactor raises."""
        return self.pending.invocation()


StreamEnd = Callable[["CallStream", TeacherAnswer | TeacherError, TeacherError | None], None]
"""Called with a stream, its result, and the error that interrupted it before its end, if any."""


class CallStream:
    """A teacher's answer on its way to the client; `finish` must be called, however it ends."""

    def __init__(self, stream: TeacherStream, serving: ServingInfo, on_finished: StreamEnd) -> None:
        self.serving = serving
        self._stream = stream
        self._on_finished = on_finished
        self._done = self._reported = False
        self.is_complete = False
        """True if the whole answer was reported."""

    @property
    def status(self) -> int:
        return self._stream.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._stream.headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives; raises TeacherError if it breaks off."""
        return self._stream.__aiter__()

    def report_answer(self) -> None:
        """Report the answer if it is complete: before its last bytes are sent, it is recorded."""
        if self._stream.has_answer:
            self._report(None)

    async def finish(self, cancelled: TeacherError | None = None) -> None:
        """End the teacher's work if it is still running, and report the answer to `on_finished`.

        `cancelled` is the reason why the rest is not sent: the client disconnected, or else the answer failed with this
        error.
        """
        if self._done:
            return
        self._done = True
        try:
            await self._stream.close()
        finally:
            self._report(cancelled)

    def _report(self, cancelled: TeacherError | None) -> None:
        if self._reported:
            return
        self._reported = True
        answer = self._answer(cancelled)
        self.is_complete = isinstance(answer, TeacherAnswer) and not answer.client_disconnected
        self._on_finished(self, answer, None if self.is_complete else cancelled)

    def _answer(self, stopped: TeacherError | None) -> TeacherAnswer | TeacherError:
        hung_up = stopped is not None and stopped.code == "hung_up"
        try:
            return self._stream.answer(client_disconnected=hung_up)
        except TeacherError as error:
            if stopped is None or hung_up:
                return error
            stopped.cost_usd, stopped.latency_ms = error.cost_usd, error.latency_ms
            stopped.unproductive_attempts = error.unproductive_attempts
            stopped.earlier_cost_usd = error.earlier_cost_usd
            return stopped
