"""Answers as providers write them."""

from typing import Any

import pytest
from tests.support.dialects import CALL, NOON, render_response

from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.base import Api, DecodedResponse
from understudies.dialects.openai_chat.request import encode_request
from understudies.dialects.registry import DIALECTS, dialect_of
from understudies.events import FunctionCall, Message, Response, ToolCall, Usage, UsageDetails


def completion(message: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields}


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    return {"object": "response", "model": "m", "status": "completed", "output": list(output), **fields}


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "model": "m", "content": list(content), "stop_reason": "end_turn", **fields}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def spoken(*said: str) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": one, "annotations": []} for one in said]
    return {"type": "message", "role": "assistant", "content": parts}


@pytest.mark.parametrize(
    ("api", "body", "content", "finish"),
    [
        ("chat", completion({"role": "assistant", "content": "yes"}), "yes", "stop"),
        ("chat", completion({"content": "yes", "tool_calls": [], "refusal": None}), "yes", "stop"),
        ("chat", completion({"content": None, "refusal": "no"}), [{"type": "refusal", "refusal": "no"}], "stop"),
        ("responses", response(spoken("yes"), {"type": "reasoning", "summary": []}), "yes", "stop"),
        ("responses", response(spoken("a", "b"), spoken("c")), "abc", "stop"),
        ("responses", response(), None, "stop"),
        ("responses", response(spoken("yes"), status=None), "yes", "stop"),
        ("responses", response({"type": "apply_patch_call", "call_id": "c", "operation": {}}), None, "pause_turn"),
        ("responses", response({"type": "web_search_call", "id": "w"}, spoken("yes")), "yes", "stop"),
        (
            "responses",
            response({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}),
            [{"type": "refusal", "refusal": "no"}],
            "stop",
        ),
        (
            "responses",
            response(spoken("ye"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "ye",
            "length",
        ),
        (
            "responses",
            response(status="incomplete", incomplete_details={"reason": "content_filter"}),
            None,
            "content_filter",
        ),
        ("messages", message(text("yes")), "yes", "stop"),
        (
            "messages",
            message({"type": "thinking", "thinking": "hm", "signature": "s"}, text("a"), text("b")),
            "ab",
            "stop",
        ),
        ("messages", message(text("ye"), stop_reason="max_tokens"), "ye", "length"),
        ("messages", message(text("ye"), stop_reason="stop_sequence"), "ye", "stop"),
        ("messages", message(stop_reason="refusal"), None, "content_filter"),
        ("messages", message(text(""), stop_reason="refusal"), None, "content_filter"),
        ("messages", message(stop_reason="pause_turn"), None, "pause_turn"),
        ("messages", message(text("")), "", "stop"),
        ("messages", message({"type": "thinking", "thinking": "hm"}, stop_reason="max_tokens"), None, "length"),
        ("responses", response({"type": "reasoning", "summary": []}), None, "stop"),
        ("responses", response(spoken("")), "", "stop"),
    ],
)
def test_what_was_said_and_why_it_ended(api: Api, body: dict[str, Any], content: Any, finish: str) -> None:
    read = dialect_of(api).decode_response(body)
    assert read.response == Response(message=Message(role="assistant", content=content), finish_reason=finish)
    assert read.model == "m"


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (
            "chat",
            completion(
                {
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                        {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
                    ],
                }
            ),
        ),
        (
            "responses",
            response(
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
                {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            ),
        ),
    ],
)
def test_calls_of_functions_and_of_custom_tools(api: Api, body: dict[str, Any]) -> None:
    assert dialect_of(api).decode_response(body).response.message == Message(
        role="assistant",
        tool_calls=(
            ToolCall(id="c1", function=FunctionCall(name="f", arguments='{"a":1}')),
            ToolCall(id="c2", type="custom", function=FunctionCall(name="g", arguments="x")),
        ),
    )


def test_a_custom_tools_call_is_written_as_providers_do() -> None:
    call = ToolCall(id="call_1234567", type="custom", function=FunctionCall(name="g", arguments="x"))
    answered = DecodedResponse(
        Response(message=Message(role="assistant", tool_calls=(call,)), finish_reason="tool_calls"), "m"
    )
    written = render_response("chat", answered)["choices"][0]["message"]["tool_calls"]
    assert written == [{"id": "call_1234567", "type": "custom", "custom": {"name": "g", "input": "x"}}]
    assert render_response("responses", answered)["output"][0]["input"] == "x"
    assert render_response("messages", answered)["content"][0]["input"] == {"input": "x"}
    request = (
        dialect_of("chat")
        .decode_request({"model": "m", "messages": [{"role": "assistant", "tool_calls": written}]})
        .request
    )
    assert encode_request(request, "m")["messages"][0]["tool_calls"] == written


@pytest.mark.parametrize(
    ("api", "usage", "expected"),
    [
        ("chat", None, Usage()),
        ("chat", "many", Usage()),
        ("chat", {"prompt_tokens": None, "completion_tokens": -3}, Usage()),
        (
            "chat",
            {
                "prompt_tokens": 5,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(prompt_tokens=5, completion_tokens=9, cached_tokens=4),
        ),
        (
            "responses",
            {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(prompt_tokens=5, completion_tokens=9, cached_tokens=4),
        ),
        ("responses", None, Usage()),
        (
            "messages",
            {"input_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300, "output_tokens": 9},
            Usage(
                prompt_tokens=321,
                completion_tokens=9,
                cached_tokens=20,
                details=UsageDetails(cache_write_tokens=300),
            ),
        ),
        (
            "messages",
            {"input_tokens": 1, "cache_read_input_tokens": None, "output_tokens": True},
            Usage(prompt_tokens=1),
        ),
    ],
)
def test_tokens_are_counted_alike(api: Api, usage: Any, expected: Usage) -> None:
    bodies = {"chat": completion({"content": "a"}), "responses": response(), "messages": message()}
    assert dialect_of(api).decode_response({**bodies[api], "usage": usage}).usage == expected


@pytest.mark.parametrize(
    ("api", "body"),
    [
        *((api, body) for api in DIALECTS for body in ({}, {"choices": 3, "output": 3})),
        ("chat", {"choices": []}),
        ("chat", {"choices": [None]}),
        ("chat", completion(None)),
        ("chat", completion("text")),
        ("chat", completion({"tool_calls": [{"type": "custom", "custom": {}}]})),
        ("responses", response(status="queued")),
        ("responses", response({"type": "function_call", "call_id": "c", "name": 3})),
        ("messages", {"type": "message", "content": "text"}),
    ],
)
def test_what_is_no_answer_is_not_read(api: Api, body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^not a|validation error"):
        dialect_of(api).decode_response(body)


def test_ids_and_types_that_are_null_are_left_out() -> None:
    calls = [
        {"id": None, "type": None, "function": {"name": "f", "arguments": given}} for given in (None, "{}", {"a": 1})
    ]
    decoded = dialect_of("chat").decode_response(completion({"tool_calls": calls})).response
    made = [(call.id, call.type, call.function.arguments) for call in decoded.message.tool_calls or ()]
    assert made == [("", "function", "{}"), ("", "function", "{}"), ("", "function", '{"a":1}')]
    turn = {"role": "assistant", "content": None, "tool_calls": calls}
    asked = dialect_of("chat").decode_request({"model": "m", "messages": [turn]}).request
    assert asked.messages[0].tool_calls == decoded.message.tool_calls


def test_a_refusal_of_anthropic_that_says_nothing_is_its_explanation() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "This could do harm."}
    refused = message(stop_reason="refusal", stop_details=details)
    decoded = dialect_of("messages").decode_response(refused).response
    assert decoded.message.content == [{"type": "refusal", "refusal": "This could do harm."}]
    assert decoded.finish_reason == "content_filter"
    spoken_first = message(text("I would rather not."), stop_reason="refusal", stop_details=details)
    assert dialect_of("messages").decode_response(spoken_first).response.message.content == "I would rather not."


SAID = {"type": "message", "content": [{"type": "output_text", "text": "I patch it."}]}
FUNCTION_CALL = {"type": "function_call", "call_id": "c0", "name": "f", "arguments": "{}"}
HOSTED = ({"type": "shell_call", "call_id": "c1"}, {"type": "shell_call_output", "call_id": "c1", "output": []})


@pytest.mark.parametrize(
    ("items", "finish"),
    [
        ([SAID, {"type": "apply_patch_call", "call_id": "c1", "operation": {}}], "pause_turn"),
        ([SAID, {"type": "computer_call", "call_id": "c1", "action": {"type": "click"}}, FUNCTION_CALL], "pause_turn"),
        ([SAID, {"type": "local_shell_call", "call_id": ["odd"]}], "pause_turn"),
        ([SAID, {"type": "mcp_approval_request", "id": "mcpr_1", "name": "pay", "arguments": "{}"}], "pause_turn"),
        ([SAID, {"type": "tool_search_call", "call_id": "c1", "execution": "client"}], "pause_turn"),
        ([SAID, {"type": "tool_search_call", "call_id": None, "execution": "server"}], "stop"),
        ([SAID, *HOSTED], "stop"),
        ([SAID, {"type": "shell_call", "call_id": "c2"}, *HOSTED], "pause_turn"),
        ([SAID, FUNCTION_CALL], "tool_calls"),
    ],
)
def test_a_response_that_waits_for_its_caller_is_not_a_whole_answer(items: list[Any], finish: str) -> None:
    decoded = dialect_of("responses").decode_response(response(*items)).response
    assert (decoded.finish_reason, decoded.goes_on) == (finish, finish == "pause_turn")


@pytest.mark.parametrize("reason", ["pause_turn", "compaction"])
def test_a_turn_that_goes_on_is_not_a_whole_answer(reason: str) -> None:
    assert dialect_of("messages").decode_response(message(stop_reason=reason)).response.finish_reason == reason


OVERLOADED = {"message": "no", "code": 503}


@pytest.mark.parametrize(
    ("api", "body", "status"),
    [
        *((api, {"error": OVERLOADED}, 503) for api in DIALECTS),
        *((api, {"error": "no"}, 502) for api in DIALECTS),
        *((api, {"error": {"message": "no", "code": "429"}}, 429) for api in DIALECTS),
        ("chat", {"object": "error", "message": "no", "code": 400}, 400),
        ("chat", {**completion({"content": "hi"}), "error": OVERLOADED}, 503),
        ("chat", {"choices": [{"message": {"content": "h"}, "finish_reason": "error", "error": OVERLOADED}]}, 503),
        ("chat", {"choices": None, "error": {"message": "no", "type": "rate_limit_error"}}, 429),
        ("responses", response(status="failed", error={"code": "server_error", "message": "no"}), 502),
        ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, 529),
    ],
)
def test_an_error_in_place_of_an_answer_is_told_as_such(api: Api, body: dict[str, Any], status: int) -> None:
    with pytest.raises(AnswerError, match=r"^no$") as raised:
        dialect_of(api).decode_response(body)
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", {"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}),
        ("chat", {"choices": [{"message": {"content": "half"}, "finish_reason": "network_error"}]}),
        ("chat", {"choices": [{"message": {"content": "half"}, "finish_reason": "failed"}]}),
        ("messages", message({"type": "text", "text": "half"}, stop_reason="error")),
        ("responses", response(status="failed")),
        ("responses", response(status="cancelled")),
    ],
)
def test_an_answer_that_ended_because_the_provider_failed_is_none(api: Api, body: dict[str, Any]) -> None:
    with pytest.raises(AnswerError):
        dialect_of(api).decode_response(body)


@pytest.mark.parametrize("error", [None, "", {}, False])
def test_an_error_that_is_none_is_no_error(error: Any) -> None:
    body = {**completion({"content": "hi"}), "error": error}
    assert dialect_of("chat").decode_response(body).response.message.content == "hi"


@pytest.mark.parametrize("api", DIALECTS)
def test_calls_whose_ids_are_no_names_get_some(api: Api) -> None:
    calls = tuple(ToolCall(id=f"call_{place}", function=FunctionCall(name="f")) for place in range(2))
    answered = DecodedResponse(
        Response(message=Message(role="assistant", tool_calls=calls), finish_reason="tool_calls")
    )
    read = dialect_of(api).decode_response(render_response(api, answered)).response.message.tool_calls or ()
    ids = [call.id for call in read]
    assert all(CALL.replace("-", "") in name and len(name) <= 40 for name in ids)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("api", DIALECTS)
def test_a_refusal_is_written(api: Api) -> None:
    content: Any = [{"type": "refusal", "refusal": "I cannot"}]
    refused = Response(message=Message(role="assistant", content=content), finish_reason="content_filter")
    read = dialect_of(api).decode_response(render_response(api, DecodedResponse(refused))).response
    assert read.finish_reason == "content_filter"
    assert read.message.content == ("I cannot" if api == "messages" else content)


def test_a_response_repeats_what_was_asked() -> None:
    asked = {"instructions": "i", "temperature": 0.2, "metadata": {"a": "b"}, "store": False, "top_p": None}
    body = dialect_of("responses").encode_response(
        id=CALL, at=NOON, model="m", answer=Response(message=Message(role="assistant", content="a")),
        usage=Usage(), request_body=asked,
    )  # fmt: skip
    echoed = (body["instructions"], body["temperature"], body["metadata"], body["store"], body["top_p"])
    assert echoed == ("i", 0.2, {"a": "b"}, False, 1.0)


def test_a_request_is_read_as_it_was_written() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "seed": 3, "tools": [{"type": "function"}]}
    request = dialect_of("chat").decode_request(asked).request
    assert encode_request(request, "m") == asked


def test_the_answer_of_several_choices_is_that_of_the_first_index() -> None:
    choices = [
        {"index": place, "message": {"content": text}, "finish_reason": "stop"} for place, text in ((1, "b"), (0, "a"))
    ]
    read = dialect_of("chat").decode_response({"choices": choices, "model": "m"})
    assert read.response.message.content == "a"
