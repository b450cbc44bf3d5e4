"""OpenAI's client takes what the router answers, whole and streamed, and its errors."""

from typing import Any

import openai
import orjson
import pytest
from tests.support.dialects import render_response, render_stream
from tests.support.official_clients import (
    ANSWERS,
    REFUSED_ANSWER,
    REQUEST_BODY,
    TEXT_ANSWER,
    TOOL_CALL_ANSWER,
    TRUNCATED_ANSWER,
    list_tool_calls,
    openai_client,
)

from understudies.dialects.base import Api, DecodedResponse
from understudies.dialects.registry import dialect_of

EVERY = pytest.mark.parametrize("answered", ANSWERS.values(), ids=ANSWERS)


@EVERY
def test_a_chat(answered: DecodedResponse) -> None:
    said = answered.response.message
    with openai_client(orjson.dumps(render_response("chat", answered))) as client:
        whole = client.chat.completions.create(**REQUEST_BODY)
    with (
        openai_client(render_stream("chat", answered), stream=True) as client,
        client.chat.completions.stream(**REQUEST_BODY, stream_options={"include_usage": True}) as stream,
    ):
        stream.until_done()
        put_together = stream.current_completion_snapshot
    for completion in (whole, put_together):
        choice = completion.choices[0]
        assert (choice.message.content or "") == said.text
        assert choice.message.refusal == ("no" if answered is REFUSED_ANSWER else None)
        assert list_tool_calls(choice.message.tool_calls) == list_tool_calls(said.tool_calls)
        assert choice.finish_reason == answered.response.finish_reason
        assert completion.usage is not None
        assert completion.usage.total_tokens == 17


def test_a_chat_without_usage_has_none() -> None:
    with (
        openai_client(render_stream("chat", TEXT_ANSWER, include_usage=False), stream=True) as client,
        client.chat.completions.create(**REQUEST_BODY, stream=True) as stream,
    ):
        chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Rain in Delft"


@pytest.mark.parametrize("answered", [TEXT_ANSWER, TOOL_CALL_ANSWER], ids=["said", "called"])
def test_a_response(answered: DecodedResponse) -> None:
    with openai_client(orjson.dumps(render_response("responses", answered))) as client:
        whole = client.responses.create(model="m", input="hi")
    with (
        openai_client(render_stream("responses", answered), stream=True) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        put_together = stream.get_final_response()
    for response in (whole, put_together):
        assert response.output_text == answered.response.message.text
        calls = [item for item in response.output if item.type == "function_call"]
        made = [(call.call_id, call.name, call.arguments) for call in calls]
        assert made == list_tool_calls(answered.response.message.tool_calls)
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (12, 4)


def test_a_response_that_was_cut_says_so() -> None:
    with (
        openai_client(render_stream("responses", TRUNCATED_ANSWER), stream=True) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_error(api: Api, status: int, kind: type[openai.APIStatusError]) -> None:
    error = orjson.dumps(dialect_of(api).encode_error(status, "not so", code="some_code", param="model"))
    with openai_client(error, status=status) as client, pytest.raises(kind, match="not so") as caught:
        _ask(client, api)
    assert (caught.value.code, caught.value.param) == ("some_code", "model")


def _ask(client: Any, api: Api) -> Any:
    if api == "chat":
        return client.chat.completions.create(**REQUEST_BODY)
    return client.responses.create(model="m", input="hi")


def test_an_error_inside_a_chat() -> None:
    with (
        openai_client(_broken("chat"), stream=True) as client,
        client.chat.completions.stream(**REQUEST_BODY) as stream,
        pytest.raises(openai.APIError, match="no teacher"),
    ):
        stream.until_done()


def test_an_error_inside_a_response() -> None:
    with (
        openai_client(_broken("responses"), stream=True) as client,
        client.responses.create(model="m", input="hi", stream=True) as stream,
    ):
        last = list(stream)[-1]
    assert (last.type, last.message) == ("error", "no teacher")


def _broken(api: Api) -> bytes:
    begun = list(dialect_of(api).encode_stream(render_response(api, TEXT_ANSWER)))[:2]
    return b"".join([*begun, dialect_of(api).encode_error_event("no teacher", "teacher_error")])
