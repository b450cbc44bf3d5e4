"""Implement the dialects of the decision APIs, which are recorded and answered by the teacher alone."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.dialects.base import Api, DecodedRequest, DecodedResponse, JsonParser, StreamAccumulator
from understudies.dialects.decisions.request import decode_request
from understudies.dialects.decisions.response import decode_response
from understudies.dialects.error_bodies import openai_error
from understudies.dialects.json_fields import rewrite_body
from understudies.dialects.openai_responses.stream import ResponseAccumulator
from understudies.dialects.sse import encode_event
from understudies.events import Response, Usage


class Decisions:
    """The dialect of POST /v1/decisions, or with another API and path that of System One."""

    def __init__(self, api: Api = "decisions", path: str = "/v1/decisions") -> None:
        self.api: Api = api
        self.path = path

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """Decode the body of a request; raises InvalidRequest."""
        return decode_request(body)

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """Decode the answers; raises ValueError if there are none."""
        return decode_response(body)

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> StreamAccumulator:
        """Return an accumulator that never finds an answer, as these APIs do not stream."""
        return ResponseAccumulator(parse)

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Raise ValueError, as only the teacher gives probabilities."""
        raise ValueError("a decision is answered by the teacher alone")

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """Encode nothing, as these APIs do not stream."""
        return iter(())

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """Encode an error as a body."""
        return openai_error(status, message, code, param)

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """Encode an error as an event."""
        return encode_event(openai_error(500, message, code, None))

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """Encode the body to send to the teacher."""
        return rewrite_body(raw, body, model)
