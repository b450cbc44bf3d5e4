"""The same question in three APIs is one canonical request."""

from typing import Any

import pytest
from tests.support.request_bodies import CHAT, MESSAGES, RESPONSES, SMALL

from understudies.dialects.base import Api, InvalidRequest
from understudies.dialects.capabilities import unsupported_feature
from understudies.dialects.openai_chat.request import encode_request
from understudies.dialects.registry import DIALECTS, dialect_of
from understudies.events import discovered_task, fingerprint

EVERY = pytest.mark.parametrize("api", DIALECTS)


def test_the_same_question_is_the_same_request_whatever_the_api() -> None:
    chat = dialect_of("chat").decode_request(CHAT).request
    assert dialect_of("responses").decode_request(RESPONSES).request == chat
    assert dialect_of("messages").decode_request(MESSAGES).request == chat


def test_the_same_words_are_the_same_input_and_the_same_task() -> None:
    requests = [dialect_of(api).decode_request(body).request for api, body in SMALL.items()]
    assert len({fingerprint(request) for request in requests}) == 1
    assert len({discovered_task(request) for request in requests}) == 1


@EVERY
def test_what_is_not_the_question_is_read_beside_it(api: Api) -> None:
    read = dialect_of(api).decode_request({**SMALL[api], "stream": True, "metadata": {"task": "triage"}, "user": "u"})
    assert (read.model, read.stream, read.task) == ("m", True, "triage")
    assert "metadata" not in read.request.parameters
    plain = dialect_of(api).decode_request(SMALL[api])
    assert (plain.stream, plain.task) == (False, None)


def test_a_chat_shows_its_usage_where_that_was_asked_for() -> None:
    read = dialect_of("chat").decode_request
    assert not read({**SMALL["chat"], "stream": True}).include_usage
    assert read({**SMALL["chat"], "stream": True, "stream_options": {"include_usage": True}}).include_usage
    assert dialect_of("responses").decode_request(SMALL["responses"]).include_usage
    assert dialect_of("messages").decode_request(SMALL["messages"]).include_usage


@EVERY
@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"model": ""}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": {}}, "tools"),
        ({"tools": [3]}, "tools.0"),
        ({"metadata": {"task": 7}}, "metadata.task"),
    ],
)
def test_what_cannot_be_read_is_named(api: Api, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        dialect_of(api).decode_request({**SMALL[api], **changed})
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("api", "changed", "param"),
    [
        ("chat", {"messages": "hi"}, "messages"),
        ("chat", {"messages": []}, "messages"),
        ("responses", {"input": 3}, "input"),
        ("responses", {"input": []}, "messages"),
        ("responses", {"input": ["hi"]}, "input.0"),
        ("messages", {"messages": "hi"}, "messages"),
        ("messages", {"messages": ["hi"]}, "messages.0"),
        ("messages", {"messages": [{"role": "judge", "content": "hi"}]}, "messages.0.role"),
    ],
)
def test_a_question_that_is_none_is_not_read(api: Api, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        dialect_of(api).decode_request({**SMALL[api], **changed})
    assert caught.value.param == param


@EVERY
def test_complaints_quote_nothing_of_the_question(api: Api) -> None:
    body = {**SMALL[api], "temperature": "my secret"}
    with pytest.raises(InvalidRequest) as caught:
        dialect_of(api).decode_request(body)
    assert "secret" not in str(caught.value)


def test_functions_are_tools_that_only_the_teacher_can_answer_for() -> None:
    body = {**SMALL["chat"], "functions": [{"name": "look"}], "function_call": "auto", "seed": 1}
    request = dialect_of("chat").decode_request(body).request
    assert request.tools == ({"type": "function", "function": {"name": "look"}},)
    assert request.tool_choice == "auto"
    assert unsupported_feature(request) == "functions"
    asked = encode_request(request, "other")
    assert asked["tools"] == [*request.tools]
    assert asked["seed"] == 1
    assert "functions" not in asked


def test_arguments_as_objects_are_refused_only_where_they_cannot_be_written() -> None:
    def asked(arguments: Any) -> dict[str, Any]:
        call = {"id": "c1", "function": {"name": "look", "arguments": arguments}}
        return {**SMALL["chat"], "messages": [{"role": "assistant", "tool_calls": [call]}]}

    calls = dialect_of("chat").decode_request(asked({"a": 1})).request.messages[0].tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"a":1}'
    with pytest.raises(InvalidRequest, match="not to be written"):
        dialect_of("chat").decode_request(asked({"a": float("nan")}))
    with pytest.raises(InvalidRequest) as caught:
        dialect_of("chat").decode_request({**asked({"a": 1}), "temperature": "hot"})
    assert caught.value.param == "temperature"
