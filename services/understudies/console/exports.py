"""Give the examples of a task, to `understudies export`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope, Send

from understudies.datasets.dataset import Example
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import read_body
from understudies.router.endpoints.responses import send_response
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess

ReadExamples = Callable[[str], Awaitable[Sequence[Example]]]
"""Reads the examples of a task, oldest first; raises RetryLater while the store is unavailable."""

_MAX_BYTES: Final = 16 * 1024


class _ExportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str = Field(min_length=1)


class ExportEndpoint:
    """ASGI handler of `/export`: answer with the examples of a task, a line of JSON each."""

    def __init__(self, read: ReadExamples, access: StatusAccess) -> None:
        self._read = read
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whoever may not change anything gets no calls of all tenants either."""
        self._access.check_change(scope)
        try:
            request = _ExportRequest.model_validate_json(await read_body(receive, None, _MAX_BYTES))
        except ValidationError:
            raise BadRequest('name the task: {"task": "..."}') from None
        try:
            examples = await self._read(request.task)
        except RetryLater as error:
            raise HttpError(503, str(error), code="not_available") from error
        lines = [example.model_dump_json(exclude_none=True).encode() for example in examples]
        await send_response(send, 200, {}, b"\n".join(lines), "application/x-ndjson")
