"""Implement the dialect of OpenAI's Responses."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.dialects.base import Api, DecodedRequest, DecodedResponse, JsonParser
from understudies.dialects.error_bodies import openai_error
from understudies.dialects.json_fields import rewrite_body
from understudies.dialects.openai_responses.request import decode_request
from understudies.dialects.openai_responses.response import decode_response, encode_response
from understudies.dialects.openai_responses.stream import ResponseAccumulator, encode_stream
from understudies.dialects.sse import encode_event
from understudies.events import Response, Usage


class OpenAIResponses:
    """The dialect of POST /v1/responses."""

    api: Api = "responses"
    path = "/v1/responses"

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """Decode the body of a request; raises InvalidRequest."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """Decode a response; raises ValueError if it is not one or is not answered yet."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> ResponseAccumulator:
        """Create an accumulator for one stream; `include_usage` has no effect, as Responses always report usage."""
        return ResponseAccumulator(parse)

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Encode an answer as a response, which echoes fields of the request."""
        return encode_response(id, at, model, answer, usage, request_body)

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """Encode a whole response as the events that would have been streamed."""
        return encode_stream(body)

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """Encode an error as a body."""
        return openai_error(status, message, code, param)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """Encode an error as an event of a stream that has begun."""
        event = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
        return encode_event(event, "error")

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """Encode the body to send to the teacher."""
        return rewrite_body(raw, body, model)
