"""OpenAI's Responses."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.events import Response, Usage
from understudies.router.call import Api
from understudies.router.dialects import errors
from understudies.router.dialects.base import Answered, Read
from understudies.router.dialects.forwarded import forwarded
from understudies.router.dialects.responses import rendered, streamed
from understudies.router.dialects.responses.answered import answered
from understudies.router.dialects.responses.asked import read
from understudies.router.dialects.responses.assembler import ResponsesAssembler
from understudies.router.dialects.sse import event

__all__ = ["ResponsesDialect"]


class ResponsesDialect:
    """POST /v1/responses."""

    api: Api = "responses"
    path = "/v1/responses"

    def read(self, body: Mapping[str, Any]) -> Read:
        """What a body asks for; raises Unreadable."""
        return read(body)

    def answer(self, body: Mapping[str, Any]) -> Answered:
        """What a response says; raises ValueError where it is none, or is not there yet."""
        return answered(body)

    def assembler(self, *, include_usage: bool = True) -> ResponsesAssembler:
        """For one stream; these always report their usage."""
        return ResponsesAssembler()

    def render(
        self, *, id: str, at: datetime, model: str, response: Response, usage: Usage, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The response that carries an answer; it repeats what was asked."""
        return rendered.render(id, at, model, response, usage, asked)

    def events(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole response as the events that would have been streamed."""
        return streamed.events(body)

    def error(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
        """The body of an error."""
        return errors.error_body(status, message, code, param)

    def error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        told = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
        return event(told, "error")

    def upstream_body(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent."""
        return forwarded(raw, body, model)
