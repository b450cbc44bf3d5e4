"""Bodies of requests and answers in every API, of every form that providers document, to be read alike everywhere."""

from typing import Any

from tests.support.request_bodies import ANSWER, CHAT, MESSAGES, PICTURE, RESPONSES, SCHEMA, SMALL

from understudies.dialects.base import Api

URL = "https://a.example/x.png"
Body = dict[str, Any]


def _chat(*messages: Body, **fields: Any) -> Body:
    return {"model": "m", "messages": list(messages), **fields}


def _responses(*items: Body, **fields: Any) -> Body:
    return {"model": "m", "input": list(items), **fields}


def _messages(*messages: Body, **fields: Any) -> Body:
    return {"model": "m", "max_tokens": 9, "messages": list(messages), **fields}


def _user(content: Any) -> Body:
    return {"role": "user", "content": content}


def _assistant(content: Any, **fields: Any) -> Body:
    return {"role": "assistant", "content": content, **fields}


def _call(arguments: Any, number: int = 1) -> Body:
    return {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": arguments}}


def _use(given: Any, number: int = 1) -> Body:
    return {"type": "tool_use", "id": f"c{number}", "name": "look", "input": given}


def _item(arguments: Any, number: int = 1) -> Body:
    return {"type": "function_call", "call_id": f"c{number}", "name": "look", "arguments": arguments}


def _chat_turn(*calls: Body) -> Body:
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "found"} for call in calls]
    return _chat(_user("hi"), _assistant(None, tool_calls=list(calls)), *results)


def _messages_turn(*uses: Body) -> Body:
    results = [{"type": "tool_result", "tool_use_id": use["id"], "content": "found"} for use in uses]
    return _messages(_user("hi"), _assistant(list(uses)), _user(results))


def _responses_turn(*calls: Body) -> Body:
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "found"} for call in calls]
    return _responses(_user("hi"), *calls, *results)


_DEEP = {"a": 1, "text": "é \u2028 😀", "list": [1.0, 1e-7, True, None, {"b": []}], "big": 2**63}
_EPHEMERAL = {"type": "ephemeral"}
_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}

REQUESTS: dict[str, tuple[Api, Body]] = {
    **{f"{api}: the least": (api, body) for api, body in SMALL.items()},
    "chat: all of it": ("chat", CHAT),
    "responses: all of it": ("responses", RESPONSES),
    "messages: all of it": ("messages", MESSAGES),
    "chat: text parts": ("chat", _chat(_user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))),
    "chat: one text part": ("chat", _chat(_user([{"type": "text", "text": "a"}]))),
    "chat: roles in capitals": ("chat", _chat({"role": "SYSTEM", "content": "Sort."}, _user("hi"))),
    "chat: developer": ("chat", _chat({"role": "developer", "content": "Sort."}, _user("hi"))),
    "chat: names": ("chat", _chat({"role": "user", "name": "ann", "content": "hi"})),
    "chat: tools": ("chat", _chat(_user("hi"), tools=[{"type": "function", "function": {"name": "look"}}])),
    "chat: no tools": ("chat", _chat(_user("hi"), tools=[])),
    "chat: strict tools": (
        "chat",
        _chat(
            _user("hi"),
            tools=[{"type": "function", "function": {"name": "look", "parameters": SCHEMA, "strict": True}}],
            tool_choice="required",
        ),
    ),
    "chat: custom tools": ("chat", _chat(_user("hi"), tools=[{"type": "custom", "custom": {"name": "sql"}}])),
    "chat: a tool turn": ("chat", _chat_turn(_call('{"a": 1}'))),
    "chat: parallel calls": ("chat", _chat_turn(_call('{"a":1}'), _call('{"a":2}', 2))),
    "chat: object arguments": ("chat", _chat_turn(_call({"a": 1}))),
    "chat: null arguments": ("chat", _chat_turn(_call(None))),
    "chat: deep arguments": ("chat", _chat_turn(_call(_DEEP))),
    "chat: a call of a custom tool": (
        "chat",
        _chat_turn({"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}),
    ),
    "chat: a picture by URL": (
        "chat",
        _chat(
            _user([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}])
        ),
    ),
    "chat: a picture inside": ("chat", _chat(_user([{"type": "image_url", "image_url": {"url": PICTURE}}]))),
    "chat: a file": ("chat", _chat(_user([{"type": "file", "file": {"file_id": "f"}}]))),
    "chat: a refusal before": ("chat", _chat(_user("hi"), _assistant(None, refusal="no"), _user("please"))),
    "chat: a format": ("chat", _chat(_user("hi"), response_format={"type": "json_object"})),
    "chat: a schema": (
        "chat",
        _chat(_user("hi"), response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": ANSWER}}),
    ),
    "chat: parameters": ("chat", _chat(_user("hi"), temperature=0, seed=3, max_tokens=5, stop=["."], n=2, top_k=4)),
    "chat: functions": (
        "chat",
        _chat(
            _user("hi"),
            _assistant(None, function_call={"name": "look", "arguments": '{"a": 1}'}),
            {"role": "function", "name": "look", "content": "found"},
            functions=[{"name": "look", "parameters": SCHEMA}],
            function_call={"name": "look"},
        ),
    ),
    "chat: a function's call alone": (
        "chat",
        _chat(_user("hi"), _assistant(None, function_call={"name": "look", "arguments": "{}"}), _user("and?")),
    ),
    "responses: text": ("responses", {"model": "m", "input": "hi", "instructions": "Sort."}),
    "responses: messages": (
        "responses",
        _responses(
            {"role": "developer", "content": "Sort."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "message", "role": "assistant", "id": "msg", "content": [{"type": "output_text", "text": "yes"}]},
            _user([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]),
            instructions="Be brief.",
        ),
    ),
    "responses: a tool turn": ("responses", _responses_turn(_item('{"a": 1}'))),
    "responses: parallel calls": ("responses", _responses_turn(_item('{"a":1}'), _item('{"a":2}', 2))),
    "responses: null arguments": ("responses", _responses_turn(_item(None))),
    "responses: object arguments": ("responses", _responses_turn(_item({"a": 1}))),
    "responses: a custom tool": (
        "responses",
        _responses(
            _user("hi"),
            {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "select 1"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
            tools=[{"type": "custom", "name": "sql", "format": {"type": "text"}}],
        ),
    ),
    "responses: reasoning": (
        "responses",
        _responses(
            _user("hi"),
            {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
            _item('{"a":1}'),
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "found"}]},
        ),
    ),
    "responses: a picture": (
        "responses",
        _responses(_user([{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": PICTURE}])),
    ),
    "responses: a picture by id": ("responses", _responses(_user([{"type": "input_image", "file_id": "f"}]))),
    "responses: a file": (
        "responses",
        _responses(
            _user([{"type": "input_text", "text": "?"}, {"type": "input_file", "file_url": "u", "filename": "t"}])
        ),
    ),
    "responses: strict tools": (
        "responses",
        {
            "model": "m",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
            "tools": [{"type": "function", "name": "look", "parameters": SCHEMA, "strict": True}],
            "tool_choice": {"type": "function", "name": "look"},
            "max_output_tokens": 5,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "store": False,
        },
    ),
    "messages: system": ("messages", _messages(_user("hi"), system="Sort.")),
    "messages: system blocks": (
        "messages",
        _messages(
            _user([{"type": "text", "text": "hi", "cache_control": _EPHEMERAL}]),
            system=[
                {"type": "text", "text": "Sort.", "cache_control": _EPHEMERAL},
                {"type": "text", "text": "Be brief."},
            ],
        ),
    ),
    "messages: tools": (
        "messages",
        _messages(
            _user("hi"),
            tools=[
                {"name": "look", "description": "d", "input_schema": SCHEMA, "cache_control": _EPHEMERAL},
                {"type": "custom", "name": "find", "input_schema": SCHEMA, "strict": True},
            ],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        ),
    ),
    "messages: a tool turn": ("messages", _messages_turn(_use({"a": 1}))),
    "messages: parallel calls": ("messages", _messages_turn(_use({"a": 1}), _use({"a": 2}, 2))),
    "messages: null arguments": ("messages", _messages_turn(_use(None))),
    "messages: no arguments": ("messages", _messages_turn(_use({}))),
    "messages: text arguments": ("messages", _messages_turn(_use("raw"))),
    "messages: deep arguments": ("messages", _messages_turn(_use(_DEEP))),
    "messages: text and a call": (
        "messages",
        _messages(
            _user("hi"),
            _assistant(
                [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "so"}, _use({})]
            ),
            _user([{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "found"}]}]),
        ),
    ),
    "messages: a result with a picture": (
        "messages",
        _messages(
            _user("hi"),
            _assistant([_use({})]),
            _user(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "image", "source": {"type": "url", "url": URL}}],
                    }
                ]
            ),
        ),
    ),
    "messages: a picture inside": (
        "messages",
        _messages(
            _user(
                [
                    {"type": "text", "text": "see"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                ]
            )
        ),
    ),
    "messages: a picture by URL": (
        "messages",
        _messages(_user([{"type": "image", "source": {"type": "url", "url": URL}}])),
    ),
    "messages: a document": (
        "messages",
        _messages(
            _user(
                [
                    {
                        "type": "document",
                        "title": "t",
                        "source": {"type": "text", "media_type": "text/plain", "data": "w"},
                    }
                ]
            )
        ),
    ),
    "messages: thought alone": (
        "messages",
        _messages(_user("hi"), _assistant([{"type": "redacted_thinking", "data": "x"}]), _user("and?")),
    ),
    "messages: parameters": (
        "messages",
        _messages(_user("hi"), stop_sequences=["."], top_k=3, temperature=0.5, output_config={"effort": "high"}),
    ),
    "messages: a format": (
        "messages",
        _messages(_user("hi"), output_format={"type": "json_schema", "schema": ANSWER}),
    ),
}
"""Requests by name, with the API that each came by."""


def _completion(message: Body, finish: str = "stop", **fields: Any) -> Body:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, "logprobs": None}
    about = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1767600000, "model": "m-2026"}
    return {**about, "choices": [choice], "usage": usage, **fields}


def _message(*blocks: Body, reason: str = "end_turn") -> Body:
    usage = {
        "input_tokens": 6,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 2,
        "output_tokens": 5,
    }
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-2026"}
    return {**about, "content": list(blocks), "stop_reason": reason, "stop_sequence": None, "usage": usage}


def _response(*items: Body, **fields: Any) -> Body:
    usage = {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 17,
    }
    about = {"id": "resp_1", "object": "response", "created_at": 1767600000, "model": "m-2026", "status": "completed"}
    required = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**about, **required, "output": list(items), "usage": usage, **fields}


def _said(*parts: Body) -> Body:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def _output_text(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": []}


def _text(text: str) -> Body:
    return {"type": "text", "text": text, "citations": None}


RESPONSES_TO: dict[str, tuple[Api, Body]] = {
    "chat: text": ("chat", _completion({"content": "shipping"})),
    "chat: cut off": ("chat", _completion({"content": "ship"}, "length")),
    "chat: a call": ("chat", _completion({"content": None, "tool_calls": [_call('{"a": 1}')]}, "tool_calls")),
    "chat: parallel calls": (
        "chat",
        _completion({"content": "so", "tool_calls": [_call('{"a":1}'), _call("{}", 2)]}, "tool_calls"),
    ),
    "chat: a refusal": ("chat", _completion({"content": None, "refusal": "no"}, "content_filter")),
    "chat: a function's call": (
        "chat",
        _completion({"content": None, "function_call": {"name": "look", "arguments": '{"a": 1}'}}, "function_call"),
    ),
    "responses: text": ("responses", _response(_said(_output_text("shipping")))),
    "responses: texts": ("responses", _response(_said(_output_text("ship"), _output_text("ping")))),
    "responses: a call": (
        "responses",
        _response(
            {"id": "r", "type": "reasoning", "summary": []},
            {"id": "fc", "status": "completed", **_item('{"a": 1}')},
        ),
    ),
    "responses: a refusal": ("responses", _response(_said({"type": "refusal", "refusal": "no"}))),
    "responses: cut off": (
        "responses",
        _response(_said(_output_text("ship")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    ),
    "messages: text": ("messages", _message(_text("shipping"))),
    "messages: texts": ("messages", _message(_text("ship"), _text("ping"))),
    "messages: thought": (
        "messages",
        _message(_THOUGHT, _text("shipping")),
    ),
    "messages: a call": ("messages", _message(_text("so"), _use({"a": 1}), reason="tool_use")),
    "messages: calls": ("messages", _message(_use({}), _use(_DEEP, 2), reason="tool_use")),
    "messages: null inside": ("messages", _message(_use({"a": None}), reason="tool_use")),
    "messages: cut off": ("messages", _message(_text("ship"), reason="max_tokens")),
}
"""Whole answers by name, with the API that each came by."""
