"""Answers and bodies in every API, and streams as providers send them."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import strategies as st

from understudies.dialects.base import Api, DecodedResponse, StreamAccumulator
from understudies.dialects.registry import dialect_of
from understudies.events import FunctionCall, Message, Response, ToolCall, Usage

APIS: tuple[Api, ...] = ("chat", "responses", "messages")
CALL = "019aa0f0-5c1e-7d5a-8f00-2b6d3c4e5f60"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON."""

_arguments = st.dictionaries(st.text(max_size=5), json_values, max_size=3).map(
    lambda given: orjson.dumps(given).decode()
)
_calls = st.builds(
    lambda number, name, given: ToolCall(id=f"call_{number:012}", function=FunctionCall(name=name, arguments=given)),
    st.integers(0, 10**12 - 1),
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    _arguments,
)
_texts = st.text(min_size=1, max_size=40)
_said = st.builds(
    lambda text, finish: Response(message=Message(role="assistant", content=text), finish_reason=finish),
    _texts,
    st.sampled_from(("stop", "length", "content_filter")),
)
_called = st.builds(
    lambda text, calls: Response(
        message=Message(role="assistant", content=text, tool_calls=tuple(calls)), finish_reason="tool_calls"
    ),
    st.none() | _texts,
    st.lists(_calls, min_size=1, max_size=3),
)
_usages = st.builds(
    lambda fresh, cached, completion: Usage(
        prompt_tokens=fresh + cached, completion_tokens=completion, cached_tokens=cached
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
answers = st.builds(DecodedResponse, _said | _called, st.just("m-2026"), _usages)
"""Answers that every API can carry without loss."""


def render_response(api: Api, answered: DecodedResponse, asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body that carries an answer."""
    return dialect_of(api).encode_response(
        id=CALL, at=NOON, model=answered.model, answer=answered.response, usage=answered.usage, request_body=asked or {}
    )


def render_stream(api: Api, answered: DecodedResponse, *, include_usage: bool = True) -> bytes:
    """The stream that carries an answer."""
    return b"".join(dialect_of(api).encode_stream(render_response(api, answered), include_usage=include_usage))


def encode_sse(*chunks: dict[str, Any] | str, named: bool = False) -> bytes:
    """Events with these data; `named` ones say their type."""
    return b"".join(_event(chunk, named) for chunk in chunks)


def _event(chunk: dict[str, Any] | str, named: bool) -> bytes:
    head = f"event: {chunk['type']}\n" if named and isinstance(chunk, dict) else ""
    return f"{head}data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode()


def split_bytes(data: bytes, cuts: list[int]) -> list[bytes]:
    """Bytes, cut at places."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def accumulate_stream(api: Api, stream: bytes, *, include_usage: bool = True) -> StreamAccumulator:
    """A stream, put together."""
    assembler = dialect_of(api).stream_accumulator(include_usage=include_usage)
    assembler.feed(stream)
    assembler.end()
    return assembler
