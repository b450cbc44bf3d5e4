"""Calls as they were served."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import field

from understudies.events import Invocation, Response, ServedBy, Usage
from understudies.router.call import TeacherAnswer, TeacherError, TeacherStream
from understudies.router.recording.invocation import PendingInvocation
from understudies.router.routing.decision import Decision
from understudies.runtime.fast_dataclass import fast_dataclass


@fast_dataclass
class ServingInfo:
    """Who served a call, and why: what the caller is told in headers."""

    served_by: ServedBy
    decision: Decision
    confidence: float | None = None
    teacher: str = ""
    upstream_ms: float = 0.0
    """Time spent on student and teacher."""

    @property
    def student(self) -> str | None:
        """The student that answered, or was asked in vain."""
        route = self.decision.route
        return route.student if self.served_by == "student" and route else self.decision.student


@fast_dataclass
class CallResult:
    """A call that was answered whole; `raw` is the body as the teacher sent it, where a teacher answered."""

    response: Response
    serving: ServingInfo
    pending: PendingInvocation
    model: str
    usage: Usage = field(default_factory=Usage)
    raw: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: int = 200

    @property
    def invocation(self) -> Invocation:
        """The event as it is recorded; raises what the redactor raises."""
        return self.pending.invocation()


class CallStream:
    """A teacher's answer on its way to the caller; `finish` has to be called, however it ends."""

    def __init__(
        self,
        stream: TeacherStream,
        serving: ServingInfo,
        on_finished: Callable[[TeacherAnswer | TeacherError], None],
    ) -> None:
        self.serving = serving
        self._stream = stream
        self._on_finished = on_finished
        self._done = False
        self.is_complete = False
        """Whether it came to its end; to be asked once it is finished."""

    @property
    def status(self) -> int:
        return self._stream.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._stream.headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises TeacherError where it breaks off."""
        return self._stream.__aiter__()

    async def finish(self, cancelled: TeacherError | None = None) -> None:
        """End the teacher's work if it still goes on, and write down what was answered.

        `cancelled` is why nobody waits for the rest: the caller hung up, or else the answer has failed by that.
        """
        if self._done:
            return
        self._done = True
        try:
            await self._stream.close()
        finally:
            answer = self._answer(cancelled)
            self.is_complete = isinstance(answer, TeacherAnswer) and not answer.client_disconnected
            self._on_finished(answer)

    def _answer(self, stopped: TeacherError | None) -> TeacherAnswer | TeacherError:
        hung_up = stopped is not None and stopped.code == "hung_up"
        try:
            return self._stream.answer(client_disconnected=hung_up)
        except TeacherError as error:
            if stopped is None or hung_up:
                return error
            stopped.cost_usd, stopped.latency_ms, stopped.unproductive_attempts = (
                error.cost_usd,
                error.latency_ms,
                error.unproductive_attempts,
            )
            return stopped
