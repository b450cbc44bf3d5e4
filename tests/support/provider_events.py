"""The events of streams, as providers send them."""

from typing import Any

from understudies.dialects.base import Api

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}


def make_chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None, **fields}


def tool_call_delta(index: int, arguments: str, **named: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": named.pop("name")} if "name" in named else {})}
    return {"index": index, "function": function, **named}


TOOL_CALL_CHUNKS = (
    make_chunk({"role": "assistant", "content": None}),
    make_chunk({"tool_calls": [tool_call_delta(0, "", id="c1", type="function", name="f")]}),
    make_chunk({"tool_calls": [tool_call_delta(0, '{"a"')]}),
    make_chunk({"tool_calls": [tool_call_delta(0, ":1}")]}),
    make_chunk({"tool_calls": [tool_call_delta(1, "{}", id="c2", type="function", name="g")]}),
    make_chunk({}, "tool_calls"),
)
USAGE_CHUNK = {**HEAD, "choices": [], "usage": USAGE}
FILTER_CHUNK = {**HEAD, "model": "", "id": "", "choices": [], "prompt_filter_results": []}


RESPONSE = {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress", "output": []}
ITEM_LOCATION = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
TEXT_EVENTS = (
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.in_progress", "response": RESPONSE},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "status": "in_progress"},
    },
    {
        "type": "response.content_part.added",
        **ITEM_LOCATION,
        "part": {"type": "output_text", "text": "", "annotations": []},
    },
    {"type": "response.output_text.delta", **ITEM_LOCATION, "delta": "Let me "},
    {"type": "response.output_text.delta", **ITEM_LOCATION, "delta": "look."},
)
TOOL_CALL_EVENTS = (
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": '{"a"'},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": ":1}"},
)


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}
START_EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Let "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "me"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"url": "u"}}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a": '}},
)
END_EVENTS = (
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9, "input_tokens": None, "cache_read_input_tokens": 2},
    },
    {"type": "message_stop"},
)


EVENTS: dict[Api, list[dict[str, Any]]] = {
    "chat": [*TOOL_CALL_CHUNKS, USAGE_CHUNK, {"error": {"message": "x"}}],
    "responses": [*TEXT_EVENTS, *TOOL_CALL_EVENTS, {"type": "response.completed", "response": {}}, {"type": "error"}],
    "messages": [*START_EVENTS, *END_EVENTS, {"type": "error", "error": {"message": "x"}}],
}
"""Some events of every kind that is read."""
