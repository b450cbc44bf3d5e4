"""Implement the dialect of Anthropic's Messages."""

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
    """The dialect of POST /v1/messages."""

    api: Api = "messages"
    path = "/v1/messages"

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """Decode the body of a request; raises InvalidRequest."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """Decode a message; raises ValueError if it is not one."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> MessageAccumulator:
        """Create an accumulator for one stream; `include_usage` has no effect, as Messages always report usage."""
        return MessageAccumulator(parse)

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Encode a response as a message."""
        return encode_response(id, model, answer, usage)

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """Encode a whole message as the events that would have been streamed."""
        return encode_stream(body)

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """Encode an error as a body."""
        return anthropic_error(status, message, code)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """Encode an error as an event of a stream that has begun."""
        return encode_event(anthropic_error(500, message, code), "error")

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """Encode the body to send to the teacher."""
        return rewrite_body(raw, body, model)
