"""Whatever comes, nothing but ValueError leaves a dialect."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialects import APIS, answers, encode_sse, json_values, render_response
from tests.support.provider_events import EVENTS
from tests.support.request_bodies import QUESTIONS

from understudies.dialects.base import Api, Dialect, InvalidRequest
from understudies.dialects.capabilities import unsupported_feature
from understudies.dialects.registry import dialect_of

EVERY = pytest.mark.parametrize("api", APIS)


@st.composite
def nearly(draw: st.DrawFn, value: Any) -> Any:
    """A value with something else in one place, or without that place."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 5)) == 0:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: draw(nearly(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(nearly(value[place])), *value[place + 1 :]]
    return draw(json_values)


def read_and_forward(dialect: Dialect, body: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        unsupported_feature(dialect.decode_request(body).request)
    with contextlib.suppress(InvalidRequest):
        dialect.encode_upstream_request(b"", body, model="other", usage=True)


def read_and_stream(dialect: Dialect, body: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        dialect.decode_response(body)
    with contextlib.suppress(ValueError):
        list(dialect.encode_stream(body))


@EVERY
@given(data=st.data())
def test_requests(api: Api, data: st.DataObject) -> None:
    body = data.draw(nearly(QUESTIONS[api]))
    read_and_forward(dialect_of(api), body if isinstance(body, dict) else {"model": "m", "messages": body})


@EVERY
@given(body=st.dictionaries(st.sampled_from(["model", "messages", "input", "system", "tools"]), json_values))
def test_requests_of_anything(api: Api, body: dict[str, Any]) -> None:
    read_and_forward(dialect_of(api), {"model": "m", **body})


@EVERY
@given(answered=answers, data=st.data())
def test_answers(api: Api, answered: Any, data: st.DataObject) -> None:
    body = data.draw(nearly(render_response(api, answered)))
    read_and_stream(dialect_of(api), body if isinstance(body, dict) else {"choices": body, "output": body})


@EVERY
@given(answered=answers, data=st.data())
def test_streams(api: Api, answered: Any, data: st.DataObject) -> None:
    dialect = dialect_of(api)
    assembler = dialect.stream_accumulator(include_usage=data.draw(st.booleans()))
    for event in dialect.encode_stream(render_response(api, answered)):
        assembler.feed(event)
        if data.draw(st.integers(0, 3)) == 0:
            whole = data.draw(st.sampled_from(EVENTS[api]))
            assembler.feed(encode_sse(data.draw(nearly(whole))))
        if data.draw(st.integers(0, 9)) == 0:
            assembler.feed(data.draw(st.binary(max_size=20)))
    assembler.end()
    with contextlib.suppress(ValueError):
        assembler.answer()
    with contextlib.suppress(ValueError):
        dialect.decode_response(assembler.body())


@EVERY
def test_depth_is_no_danger(api: Api) -> None:
    deep: Any = {}
    for level in range(450):
        deep = {("content", "input", "arguments")[level % 3]: [deep]}
    dialect = dialect_of(api)
    for field in ("messages", "input", "odd"):
        body = {**QUESTIONS[api], field: [deep]}
        read_and_forward(dialect, body)
        read_and_stream(dialect, {**body, "output": [deep], "content": [deep], "choices": [{"message": deep}]})
