"""Take people's decisions about tasks, as JSON from the command line and as a form from the console."""

from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from understudies.console.page import HEADERS, task_link
from understudies.events import NewId, Promotion
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import parse_json_object, read_body
from understudies.router.endpoints.responses import send_json, send_response
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess
from understudies.status.decision import DecisionRefused, DecisionRequest, PublishDecision
from understudies.status.decision_check import check_decision
from understudies.status.reader import StatusReader

_MAX_BYTES: Final = 16 * 1024
_FORM: Final = "application/x-www-form-urlencoded"


class SteeringEndpoint:
    """ASGI handler of `/steering`: check a decision, publish it, answer once it is kept."""

    def __init__(
        self, reader: StatusReader, access: StatusAccess, clock: Clock, new_id: NewId, publish: PublishDecision
    ) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock
        self._new_id = new_id
        self._publish = publish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check_change(scope)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        raw = await read_body(receive, headers.get(b"content-length"), _MAX_BYTES)
        is_form = headers.get(b"content-type", "").partition(";")[0].strip().lower() == _FORM
        request = _parse(_read_form(raw) if is_form else parse_json_object(raw))
        event = await self._decide(request)
        if is_form:
            await send_response(send, 303, {**HEADERS, "location": task_link(request.task)}, b"")
            return
        assert event.steering is not None
        told = {"id": event.id, "at": event.at.isoformat(), "task": event.task, "student": event.steering.student}
        await send_json(send, 200, told)

    async def _decide(self, request: DecisionRequest) -> Promotion:
        state = self._reader.budget.tasks.get(request.task)
        if state is None:
            raise HttpError(404, f"no call of a task {request.task!r} was recorded", code="not_found")
        try:
            student = check_decision(state, self._reader.rules.for_task(request.task), request)
        except DecisionRefused as error:
            raise HttpError(409, str(error), code="decision_refused") from None
        event = request.to_event(student, self._clock.now(), self._new_id)
        try:
            await self._publish(event)
        except RetryLater as error:
            raise HttpError(503, f"the decision could not be published: {error}", code="not_published") from error
        return event


def _read_form(raw: bytes) -> dict[str, Any]:
    return dict(parse_qsl(raw.decode("utf-8", "replace")))


def _parse(fields: dict[str, Any]) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise BadRequest(f"this is no decision: {'; '.join(problems)}") from None
