"""OpenAI's Chat Completions."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.events import Response, Usage
from understudies.router.call import Api
from understudies.router.dialects import errors
from understudies.router.dialects.base import DecodedRequest, DecodedResponse
from understudies.router.dialects.chat import rendered
from understudies.router.dialects.chat.answered import decode_response
from understudies.router.dialects.chat.asked import decode_request, encode_request
from understudies.router.dialects.chat.assembler import ChatAccumulator
from understudies.router.dialects.chat.quiet import UsageHidingAccumulator
from understudies.router.dialects.fields import object_or_empty
from understudies.router.dialects.forwarded import rewrite_body
from understudies.router.dialects.sse import encode_event

__all__ = ["OpenAIChat", "encode_request"]


class OpenAIChat:
    """POST /v1/chat/completions."""

    api: Api = "chat"
    path = "/v1/chat/completions"

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """What a body asks for; raises Unreadable."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """What a chat completion says; raises ValueError where it is none."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True) -> ChatAccumulator:
        """For one stream; without `include_usage` the last chunk, with nothing but usage, is left out."""
        return ChatAccumulator() if include_usage else UsageHidingAccumulator()

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The chat completion that carries a response."""
        return rendered.encode_response(id, at, model, answer, usage)

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole chat completion as the chunks that would have been streamed."""
        return rendered.encode_stream(body, include_usage=include_usage)

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """The body of an error."""
        return errors.openai_error(status, message, code, param)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        return encode_event(errors.openai_error(500, message, code, None))

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent; with `usage` a stream is asked to report it."""
        options = object_or_empty(body.get("stream_options"))
        if not usage or body.get("stream") is not True or options.get("include_usage") is True:
            return rewrite_body(raw, body, model)
        return rewrite_body(raw, body, model, {"stream_options": {**options, "include_usage": True}})
