"""OpenAI's Chat Completions."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.events import Response, Usage
from understudies.router.call import Api
from understudies.router.dialects import errors
from understudies.router.dialects.base import Answered, Read
from understudies.router.dialects.chat import rendered
from understudies.router.dialects.chat.answered import answered
from understudies.router.dialects.chat.asked import read, request_body
from understudies.router.dialects.chat.assembler import ChatAssembler
from understudies.router.dialects.chat.quiet import QuietChatAssembler
from understudies.router.dialects.fields import mapping_of
from understudies.router.dialects.forwarded import forwarded
from understudies.router.dialects.sse import event

__all__ = ["ChatDialect", "request_body"]


class ChatDialect:
    """POST /v1/chat/completions."""

    api: Api = "chat"
    path = "/v1/chat/completions"

    def read(self, body: Mapping[str, Any]) -> Read:
        """What a body asks for; raises Unreadable."""
        return read(body)

    def answer(self, body: Mapping[str, Any]) -> Answered:
        """What a chat completion says; raises ValueError where it is none."""
        return answered(body)

    def assembler(self, *, include_usage: bool = True) -> ChatAssembler:
        """For one stream; without `include_usage` the last chunk, with nothing but usage, is left out."""
        return ChatAssembler() if include_usage else QuietChatAssembler()

    def render(
        self, *, id: str, at: datetime, model: str, response: Response, usage: Usage, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The chat completion that carries a response."""
        return rendered.render(id, at, model, response, usage)

    def events(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole chat completion as the chunks that would have been streamed."""
        return rendered.events(body, include_usage=include_usage)

    def error(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
        """The body of an error."""
        return errors.error_body(status, message, code, param)

    def error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        return event(errors.error_body(500, message, code, None))

    def upstream_body(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent; with `usage` a stream is asked to report it."""
        options = mapping_of(body.get("stream_options"))
        if not usage or body.get("stream") is not True or options.get("include_usage") is True:
            return forwarded(raw, body, model)
        return forwarded(raw, body, model, {"stream_options": {**options, "include_usage": True}})
