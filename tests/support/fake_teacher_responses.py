"""What a fake teacher answers, in the three APIs: whole and as server-sent events."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Api = Literal["chat", "responses", "messages"]

PATHS: dict[Api, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
MODELS: dict[Api, str] = {
    "chat": "gpt-4o-mini-2024-07-18",
    "responses": "gpt-4o-mini-2024-07-18",
    "messages": "claude-sonnet-4-5-20250929",
}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class FakeAnswer:
    """An answer, apart from how an API writes it; `message` is a whole message of a chat completion, if given."""

    text: str = "teacher's answer"
    tools: tuple[dict[str, Any], ...] = ()
    prompt_tokens: int = 1000
    completion_tokens: int = 100
    message: dict[str, Any] | None = field(default=None)

    @property
    def text_chunks(self) -> list[str]:
        return re.findall(r"\s*\S+\s*\Z|\s*\S+", self.text)


def render_response(api: Api, said: FakeAnswer) -> dict[str, Any]:
    """The body of an answer in one piece."""
    return {"chat": _chat, "responses": _responses, "messages": _messages}[api](said)


def render_stream(api: Api, said: FakeAnswer, *, usage: bool = True) -> list[bytes]:
    """The events of an answer; `usage` says whether a chat's stream reports it."""
    if api == "chat":
        return list(_chat_events(said, usage))
    return [_named(event) for event in (_responses_events(said) if api == "responses" else _messages_events(said))]


def render_error_event(api: Api, message: str = "overloaded in the middle") -> bytes:
    """An error inside a stream."""
    if api == "chat":
        return _data({"error": {"message": message, "type": "server_error", "code": None}})
    if api == "responses":
        return _named({"type": "error", "code": "server_error", "message": message, "param": None})
    return _named({"type": "error", "error": {"type": "overloaded_error", "message": message}})


def render_error_body(api: Api, kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    if api == "messages":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _chat(said: FakeAnswer) -> dict[str, Any]:
    content = None if said.tools else said.text
    message = said.message or {"role": "assistant", "content": content}
    if said.tools:
        message = {**message, "tool_calls": [_tool_call(place, tool) for place, tool in enumerate(said.tools)]}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-teacher",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": MODELS["chat"],
        "system_fingerprint": "fp_of_the_teacher",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": _chat_usage(said),
    }


def _chat_events(said: FakeAnswer, usage: bool) -> Iterator[bytes]:
    head = {key: value for key, value in _chat(said).items() if key not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    reported = {"usage": None} if usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**head, "choices": [choice], **reported})

    yield chunk({"role": "assistant", "content": None if said.tools else "", "refusal": None})
    for place, tool in enumerate(said.tools):
        begun = _tool_call(place, tool)
        arguments = begun["function"]["arguments"]
        begun["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": place, **begun}]})
        for half in _halves(arguments):
            yield chunk({"tool_calls": [{"index": place, "function": {"arguments": half}}]})
    for piece in () if said.tools else said.text_chunks:
        yield chunk({"content": piece})
    yield chunk({}, "tool_calls" if said.tools else "stop")
    if usage:
        yield _data({**head, "choices": [], "usage": _chat_usage(said)})
    yield DONE


def _responses(said: FakeAnswer) -> dict[str, Any]:
    return {
        "id": "resp_teacher",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": MODELS["responses"],
        "output": _items(said),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": said.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.prompt_tokens + said.completion_tokens,
        },
        "user": None,
    }


def _responses_events(said: FakeAnswer) -> list[dict[str, Any]]:
    done = _responses(said)
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for place, item in enumerate(_items(said)):
        events += _item_events(place, item, said)
    events.append({"type": "response.completed", "response": done})
    return [{"type": event["type"], "sequence_number": number, **event} for number, event in enumerate(events)]


def _item_events(place: int, item: dict[str, Any], said: FakeAnswer) -> Iterator[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": place}
    if item["type"] == "function_call":
        yield _of_item("response.output_item.added", place, {**item, "arguments": "", "status": "in_progress"})
        for half in _halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": half}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}
    else:
        (part,) = item["content"]
        yield _of_item("response.output_item.added", place, {**item, "content": [], "status": "in_progress"})
        yield {"type": "response.content_part.added", **at, "content_index": 0, "part": {**part, "text": ""}}
        for piece in said.text_chunks:
            delta = {"type": "response.output_text.delta", **at, "content_index": 0, "delta": piece, "logprobs": []}
            yield delta
        yield {"type": "response.output_text.done", **at, "content_index": 0, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **at, "content_index": 0, "part": part}
    yield _of_item("response.output_item.done", place, item)


def _of_item(kind: str, place: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "output_index": place, "item": item}


def _items(said: FakeAnswer) -> list[dict[str, Any]]:
    if said.tools:
        return [
            {
                "id": f"fc_{place}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{place}",
                "name": tool["name"],
                "arguments": json.dumps(tool["arguments"]),
            }
            for place, tool in enumerate(said.tools)
        ]
    part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    return [{"id": "msg_0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}]


def _messages(said: FakeAnswer) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"toolu_{place}", "name": tool["name"], "input": tool["arguments"]}
        for place, tool in enumerate(said.tools)
    ]
    return {
        "id": "msg_teacher",
        "type": "message",
        "role": "assistant",
        "model": MODELS["messages"],
        "content": content or [{"type": "text", "text": said.text}],
        "stop_reason": "tool_use" if said.tools else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": said.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": said.completion_tokens,
        },
    }


def _messages_events(said: FakeAnswer) -> Iterator[dict[str, Any]]:
    message = _messages(said)
    begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for place, block in enumerate(message["content"]):
        tool = block["type"] == "tool_use"
        empty = {**block, "input": {}} if tool else {**block, "text": ""}
        yield {"type": "content_block_start", "index": place, "content_block": empty}
        for piece in _halves(json.dumps(block["input"])) if tool else said.text_chunks:
            delta = (
                {"type": "input_json_delta", "partial_json": piece} if tool else {"type": "text_delta", "text": piece}
            )
            yield {"type": "content_block_delta", "index": place, "delta": delta}
        yield {"type": "content_block_stop", "index": place}
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": said.completion_tokens}}
    yield {"type": "message_stop"}


def _tool_call(place: int, tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}
    return {"id": f"call_{place}", "type": "function", "function": function}


def _chat_usage(said: FakeAnswer) -> dict[str, Any]:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _data(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _named(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\n".encode() + _data(value)
