"""Speak Anthropic's Messages."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.dialects.anthropic_messages.request import decode_request
from understudies.dialects.anthropic_messages.response import decode_response, encode_response
from understudies.dialects.anthropic_messages.stream import MessageAccumulator, encode_stream
from understudies.dialects.base import Api, DecodedRequest, DecodedResponse, JsonParser
from understudies.dialects.error_bodies import anthropic_error
from understudies.dialects.json_fields import rewrite_body
from understudies.dialects.sse import encode_event
from understudies.events import Response, Usage


class AnthropicMessages:
    """POST /v1/messages."""

    api: Api = "messages"
    path = "/v1/messages"

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """What a body asks for; raises InvalidRequest."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """What a message says; raises ValueError where it is none."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> MessageAccumulator:
        """For one stream; these always report their usage."""
        return MessageAccumulator(parse)

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The message that carries a response."""
        return encode_response(id, model, answer, usage)

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole message as the events that would have been streamed."""
        return encode_stream(body)

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """The body of an error."""
        return anthropic_error(status, message, code)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        return encode_event(anthropic_error(500, message, code), "error")

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent."""
        return rewrite_body(raw, body, model)
