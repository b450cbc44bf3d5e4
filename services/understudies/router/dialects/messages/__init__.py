"""Anthropic's Messages."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.events import Response, Usage
from understudies.router.call import Api
from understudies.router.dialects.base import Answered, Read
from understudies.router.dialects.forwarded import forwarded
from understudies.router.dialects.messages import rendered, streamed
from understudies.router.dialects.messages.answered import answered
from understudies.router.dialects.messages.asked import read
from understudies.router.dialects.messages.assembler import MessagesAssembler
from understudies.router.dialects.messages.errors import error_body
from understudies.router.dialects.sse import event

__all__ = ["MessagesDialect"]


class MessagesDialect:
    """POST /v1/messages."""

    api: Api = "messages"
    path = "/v1/messages"

    def read(self, body: Mapping[str, Any]) -> Read:
        """What a body asks for; raises Unreadable."""
        return read(body)

    def answer(self, body: Mapping[str, Any]) -> Answered:
        """What a message says; raises ValueError where it is none."""
        return answered(body)

    def assembler(self, *, include_usage: bool = True) -> MessagesAssembler:
        """For one stream; these always report their usage."""
        return MessagesAssembler()

    def render(
        self, *, id: str, at: datetime, model: str, response: Response, usage: Usage, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The message that carries a response."""
        return rendered.render(id, model, response, usage)

    def events(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole message as the events that would have been streamed."""
        return streamed.events(body)

    def error(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
        """The body of an error."""
        return error_body(status, message, code)

    def error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        return event(error_body(500, message, code), "error")

    def upstream_body(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent."""
        return forwarded(raw, body, model)
