"""Implement the dialect of OpenAI's Chat Completions."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.dialects.base import Api, DecodedRequest, DecodedResponse, JsonParser
from understudies.dialects.error_bodies import openai_error
from understudies.dialects.json_fields import object_or_empty, rewrite_body
from understudies.dialects.openai_chat.request import decode_request
from understudies.dialects.openai_chat.response import decode_response, encode_response, encode_stream
from understudies.dialects.openai_chat.stream import ChatAccumulator, UsageHidingAccumulator
from understudies.dialects.sse import encode_event
from understudies.events import Response, Usage


class OpenAIChat:
    """The dialect of POST /v1/chat/completions."""

    api: Api = "chat"
    path = "/v1/chat/completions"

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """Decode the body of a request; raises InvalidRequest."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """Decode a chat completion; raises ValueError if it is not one."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> ChatAccumulator:
        """Create an accumulator for one stream; without `include_usage` it omits the last chunk, with only usage."""
        return ChatAccumulator(parse) if include_usage else UsageHidingAccumulator(parse)

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Encode a response as a chat completion."""
        return encode_response(id, at, model, answer, usage)

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """Encode a whole chat completion as the chunks that would have been streamed."""
        return encode_stream(body, include_usage=include_usage)

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """Encode an error as a body."""
        return openai_error(status, message, code, param)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """Encode an error as an event of a stream that has begun."""
        return encode_event(openai_error(500, message, code, None))

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """Encode the body to send to the teacher; with `usage` a stream is asked to report its usage."""
        options = object_or_empty(body.get("stream_options"))
        if not usage or body.get("stream") is not True or options.get("include_usage") is True:
            return rewrite_body(raw, body, model)
        return rewrite_body(raw, body, model, {"stream_options": {**options, "include_usage": True}})
