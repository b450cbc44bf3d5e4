"""A call prepared for sending to the teachers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from understudies.dialects.base import Api, Dialect
from understudies.dialects.openai_chat.request import encode_request
from understudies.dialects.registry import dialect_of
from understudies.router.call import ZERO_USD, Call, TeacherError
from understudies.router.upstream.failures import parse_json_object
from understudies.runtime.fast_dataclass import fast_dataclass


@fast_dataclass
class UpstreamRequest:
    """A call with its API dialect, and its start and deadline by the monotonic clock.

    A call without a body of its own uses the API of the canonical request. Its query is sent only to its own teacher
    and others of the same origin. `unproductive_attempts` counts the attempts so far that a teacher accepted but did
    not answer, and `earlier_cost_usd` is what failed attempts so far reported to have cost.
    """

    call: Call
    dialect: Dialect
    started_at: float
    deadline: float
    fresh: bool = False
    fallback: bool = False
    unproductive_attempts: int = 0
    earlier_cost_usd: Decimal = ZERO_USD
    with_query: bool = True

    @property
    def api(self) -> Api:
        return self.dialect.api

    @property
    def target(self) -> str:
        """The path and query to send to."""
        query = self.call.query
        return f"{self.dialect.path}?{query}" if query and self.with_query else self.dialect.path

    def unary_body(self, model: str) -> bytes:
        """Encode the request for a complete answer; raises TeacherError if it cannot be encoded."""
        call = self.call
        if call.raw is None:
            return orjson.dumps(encode_request(call.request, model))
        if not call.stream:
            if model == call.model:
                return call.raw
            return _rewrite(self.dialect, call.raw, self._body(call.raw), model, usage=False)
        body = {key: value for key, value in self._body(call.raw).items() if key not in ("stream", "stream_options")}
        return _rewrite(self.dialect, orjson.dumps(body), body, model, usage=False)

    def stream_body(self, model: str, *, add_usage: bool = True) -> tuple[bytes, bool]:
        """Encode the request for a stream, and return whether all that is streamed is for the caller.

        With `add_usage` a stream whose usage the caller did not ask for is asked for it, and not all of it is. Raises
        TeacherError if it cannot be encoded.
        """
        call = self.call
        if call.raw is None:
            stream_options = {"stream_options": {"include_usage": True}} if add_usage else {}
            return orjson.dumps(encode_request(call.request, model) | {"stream": True} | stream_options), not add_usage
        body = self._body(call.raw)
        options = body.get("stream_options")
        usage_wanted = self.api != "chat" or (isinstance(options, dict) and options.get("include_usage") is True)
        added = add_usage and not usage_wanted
        return _rewrite(self.dialect, call.raw, body, model, usage=added), not added

    def _body(self, raw: bytes) -> Mapping[str, Any]:
        body = parse_json_object(raw) if self.call.body is None else self.call.body
        if body is None:
            raise TeacherError(400, "the body is not a JSON object", code="invalid_body")
        return body


def make_upstream_request(call: Call, started_at: float, total_s: float, *, fresh: bool = False) -> UpstreamRequest:
    """Prepare a call that starts now."""
    dialect = dialect_of(call.api if call.raw is not None else "chat")
    return UpstreamRequest(call, dialect, started_at, started_at + total_s, fresh)


def _rewrite(dialect: Dialect, raw: bytes, body: Mapping[str, Any], model: str, *, usage: bool) -> bytes:
    try:
        return dialect.encode_upstream_request(raw, body, model=model, usage=usage)
    except ValueError as error:
        raise TeacherError(400, "the body cannot be re-encoded", code="invalid_body") from error
