"""Take people's marks of disagreements from the console's form."""

from typing import Final, Literal
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.types import Receive, Scope, Send

from understudies.console.page import DISAGREEMENTS_PATH, HEADERS, address
from understudies.console.reads.disagreements import fetch_marked_pairs, is_known, store_mark
from understudies.console.source import ConsoleSource
from understudies.events import TaskName
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import read_body
from understudies.router.endpoints.responses import send_response
from understudies.runtime.errors import Reject, RetryLater
from understudies.status.access import StatusAccess

_MAX_BYTES: Final = 32 * 1024


class MarkForm(BaseModel):
    """What a person thinks of a disagreement; an empty mark takes an earlier one back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: TaskName
    verdict: str = Field(min_length=1, max_length=64)
    mark: Literal["right", "wrong", ""] = ""
    by: str = Field(min_length=1, max_length=200)
    note: str = Field(default="", max_length=2000)
    back: str = ""

    @field_validator("by", "note", mode="before")
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @property
    def return_address(self) -> str:
        """The page to return to: the one the form was on, and none of another site."""
        is_own = self.back.startswith(f"{DISAGREEMENTS_PATH}?") and self.back.isascii() and self.back.isprintable()
        return self.back if is_own else address(DISAGREEMENTS_PATH, task=self.task)


class MarkEndpoint:
    """ASGI handler of `/marks`: keep a mark, then return to the page of the form; GET gives a task's marks."""

    def __init__(self, source: ConsoleSource, access: StatusAccess) -> None:
        self._source = source
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] == "GET":
            await self._export(scope, send)
            return
        self._access.check_change(scope)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        form = _parse(await read_body(receive, headers.get(b"content-length"), _MAX_BYTES))
        store = self._source.store
        if not await is_known(store, form.task, form.verdict):
            raise HttpError(404, f"there is no disagreement {form.verdict!r} of {form.task!r}", code="not_found")
        now = self._source.clock.now()
        try:
            await store_mark(store, form.task, form.verdict, form.mark, by=form.by, note=form.note, at=now)
        except (RetryLater, Reject) as error:
            raise HttpError(503, f"the mark could not be kept: {error}", code="not_kept") from error
        await send_response(send, 303, {**HEADERS, "location": form.return_address}, b"")

    async def _export(self, scope: Scope, send: Send) -> None:
        """Send the marks of a task with both answers, as JSON lines, to who may see the answers of all tenants."""
        if self._access.viewer(scope).tenant is not None:
            raise HttpError(403, "a tenant does not see the marks of all calls", code="not_shown")
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        pairs = await fetch_marked_pairs(self._source.store, query.get("task", ""))
        body = b"".join(orjson.dumps(pair) + b"\n" for pair in pairs)
        await send_response(send, 200, HEADERS, body, "application/x-ndjson")


def _parse(raw: bytes) -> MarkForm:
    fields = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        return MarkForm.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise BadRequest(f"this is no mark: {'; '.join(problems)}") from None
