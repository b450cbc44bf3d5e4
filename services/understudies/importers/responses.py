"""Decode a teacher's answer from the forms that providers and logs use."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard

from pydantic import ValidationError

from understudies.dialects import detection
from understudies.dialects.anthropic_messages.response import FINISH_REASONS
from understudies.dialects.json_fields import encode_json_text, list_objects, text_or_empty
from understudies.events import Response
from understudies.importers.answer_rule import MORE_THAN_TEXT, check_body, check_outcome, is_error_body
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.logger_marks import is_cut_json
from understudies.importers.message_parts import is_gemini_media, is_media, split_parts, write_call
from understudies.importers.messages import (
    find_content,
    only_text,
    unwrap_message,
    write_message,
    write_messages,
)
from understudies.importers.output_items import decode_output, is_output, is_output_message

_RESPONSE: Final = Response.__pydantic_validator__
_BLOCKS: Final = frozenset({"text", "tool_use", "thinking", "redacted_thinking", "output_text", "server_tool_use"})
_FINISH_NAMES: Final = (
    *("finish_reason", "stop_reason", "finishReason", "stopReason", "completionReason", "generation_info"),
)
_TEXT_MESSAGE: Final = frozenset({"role", "content"})
_PLAIN_ANSWER: Final = frozenset({"role", "content", "tool_calls"})
_FINISH_REASONS: Final = {
    **FINISH_REASONS,
    **{"content_filtered": "content_filter", "COMPLETE": "stop", "FINISH": "stop", "FINISHED": "stop"},
    **{"MAX_TOKENS": "length", "LENGTH": "length", "TOOL_CALL": "tool_calls", "tool_call": "tool_calls"},
}
_GEMINI_REASONS: Final = {
    **{"STOP": "stop", "1": "stop", "MAX_TOKENS": "length", "2": "length"},
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
}
_USUAL_REASONS: Final = (None, "stop", "length", "tool_calls")
_OTHER_THAN_MESSAGES: Final = frozenset({"choices", "output", "completion", "candidates", "generations", "type"})
"""Fields that may tell another form than that of a message, whatever else is there."""
_TEXT_NAMES: Final = ("completion", "generation", "outputText", "generated_text", "output_text", "response")
"""Names under which the models of Bedrock, Ollama and others answer with plain text."""


def decode_answer(inner: object, written: object, *, must_be_reply: bool = False) -> Response | None:
    """Decode the response in text, a message or a provider's whole reply; returns None if there is nothing.

    `inner` is the parsed value of `written`. With `must_be_reply` a value in none of the known forms is no
    answer; else it is taken for an answer in JSON. Raises NotARecordedCall or ValueError if a reply holds no answer.
    """
    if isinstance(inner, dict):
        check_body(inner)
        if not inner:
            return None
        if (response := _decode_reply(inner)) is not None:
            return response
        if must_be_reply and is_error_body(inner):
            raise NotARecordedCall("the call failed: the reply is an error")
    elif isinstance(inner, list):
        if not inner:
            return None
        if (response := _decode_list(inner)) is not None:
            return response
    elif inner is None:
        return None
    elif isinstance(inner, str) and is_cut_json(inner):
        raise NotARecordedCall("the log kept only a part of the answer: its JSON is cut")
    elif isinstance(inner, str) and not must_be_reply:
        return _text_response(inner)
    if must_be_reply:
        raise NotARecordedCall("no teacher answer: the reply has none of the known forms")
    # A log holds other JSON if the answer itself was JSON text.
    return _text_response(written if isinstance(written, str) else encode_json_text(written))


def with_finish_reason(response: Response, written: object) -> Response:
    """Return the response with the finish reason that its log keeps apart from it, or the first of several."""
    reason = _finish_reason({"finish_reason": next(iter(written), None) if isinstance(written, list) else written})
    return response if reason is None else response.model_copy(update={"finish_reason": reason})


def decode_message(message: Mapping[str, Any], finish_reason: object = None) -> Response:
    """Decode a message as a response, regardless of its role."""
    inner = unwrap_message(message)
    if (text := only_text(inner)) is not None:
        given = _finish_reason(inner) if finish_reason is None and "finish_reason" in inner else finish_reason
        if given is None or _is_usual(given):
            return _text_response(text, given)
    _check_content(find_content(inner))
    reason = _finish_reason(inner if finish_reason is None else {"finish_reason": finish_reason})
    messages = reversed(write_message(inner, "assistant"))
    written = next((one for one in messages if one["role"] == "assistant"), None)
    if written is None:
        raise NotARecordedCall("no teacher answer: a result of a tool")
    if reason in _USUAL_REASONS and not isinstance(written["content"], list) and written.keys() <= _PLAIN_ANSWER:
        answered = _response_or_none(written, reason)
        if answered is not None:
            return answered
    return detection.decode_message(written, reason).response


def _response_or_none(message: Mapping[str, Any], reason: str | None) -> Response | None:
    """Return the response of a chat's message, or None for one whose faults the dialect is to tell in its words."""
    try:
        response: Response = _RESPONSE.validate_python({"message": message, "finish_reason": reason})
    except ValidationError:
        return None
    return response


def _is_usual(reason: object) -> TypeGuard[str]:
    return isinstance(reason, str) and reason in _USUAL_REASONS


def _check_content(content: object) -> None:
    given = content["parts"] if isinstance(content, dict) and "parts" in content else content
    if isinstance(given, str):
        return
    parts = given if isinstance(given, list) else [given]
    if not all(part is None or isinstance(part, (str, dict)) for part in parts):
        raise NotARecordedCall("no teacher answer: its content is no text")
    # An object in place of parts is an answer in JSON, which may name its fields as it likes, unless it is Gemini's.
    if any(map(is_media if isinstance(given, list) else is_gemini_media, parts)):
        raise NotARecordedCall(MORE_THAN_TEXT)


def _decode_reply(body: Mapping[str, Any]) -> Response | None:
    """Decode an object of a known form; None if the form is unknown."""
    if "role" in body and body.keys().isdisjoint(_OTHER_THAN_MESSAGES):
        return decode_message(body)
    match body:
        case {"choices": list() as choices}:
            return _decode_choice(choices)
        case {"output": {"message": dict() as message}}:  # Bedrock's Converse
            return decode_message(message, _finish_reason(body))
        case {"output": {"role": _} as message} | {"completion": {"role": _} as message}:
            return decode_message(message)
        case {"output": {"choices": list() as choices}}:
            return _decode_choice(choices)
        case {"output": list() as items} if any(isinstance(item, dict) for item in items):
            is_response = body.get("object") == "response" or "status" in body or is_output(items)
            return decode_output(items, body) if is_response else _decode_list(items)
        case {"output": list()} if body.get("object") == "response":
            raise NotARecordedCall("no teacher answer")
        case {"candidates": list() as candidates}:  # Gemini
            first = candidates[0] if candidates and isinstance(candidates[0], dict) else {}
            content = first.get("content")
            if not isinstance(content, dict):
                raise NotARecordedCall("no teacher answer: the reply has no candidate")
            return decode_message(content, _gemini_finish(first.get("finishReason", first.get("finish_reason"))))
        case {"generations": list() as generations}:  # LangChain, Cohere
            return _decode_generations(generations)
        case {"type": str() as kind} if kind in ("function_call", "custom_tool_call"):
            return decode_output([body])
        case {"type": "message", "content": list()} if is_output_message(body):
            return decode_output([body])
        case {"role": _} | {"content": _} | {"tool_calls": list()} | {"parts": list()} | {"lc": _, "kwargs": dict()}:
            return decode_message(body)
        case {"messages": list() as messages} if any(isinstance(message, dict) for message in messages):
            return _decode_last([message for message in messages if isinstance(message, dict)])
        case {"type": "ai" | "AIMessage" | "AIMessageChunk"}:
            return decode_message(body)
        case {"message": dict() as message}:
            return decode_message(message, _finish_reason(body))
        case {"results": [{"outputText": str() as text, **more}, *_]}:  # Titan
            return _text_response(text, _finish_reason({"finish_reason": more.get("completionReason")}))
        case {"outputs": [{"text": str() as text, **more}, *_]}:  # Mistral
            return _text_response(text, more.get("stop_reason"))
        case {"toolCalls": list() as calls} | {"toolUses": list() as calls}:  # the AI SDK
            return _decode_text_with_calls(body, calls)
        case {"toolCalls": str() as written} if isinstance(calls := parse_embedded_json(written), list):
            return _decode_text_with_calls(body, calls)
        case {"text": str() as text} if body.keys() & {"finishReason", "usage", "finish_reason", "toolCalls"}:
            return _text_response(text, _finish_reason(body))
    return _decode_named_text(body)


def _decode_named_text(body: Mapping[str, Any]) -> Response | None:
    for name in _TEXT_NAMES:
        text = body.get(name)
        others = {other for other in body if other not in _FINISH_NAMES and not _is_about_the_call(other)} - {name}
        if isinstance(text, str) and not others:
            inner = parse_embedded_json(text)
            if name == "response" and isinstance(inner, dict) and "choices" in inner:
                return decode_answer(inner, text)
            return _text_response(text, _finish_reason(body))
    return None


def _is_about_the_call(name: str) -> bool:
    return name in {
        "id",
        "model",
        "created_at",
        "done",
        "done_reason",
        "context",
        "stop",
        "usage",
        "object",
        "type",
    } or (name.endswith(("_duration", "_count", "_logprobs")))


def _decode_list(items: list[Any]) -> Response | None:
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) != len(items):
        nested = items[0]
        return _decode_generations(items) if len(items) == 1 and isinstance(nested, list) else None
    kinds = {text_or_empty(item.get("type")) for item in objects}
    if is_output(objects):
        return decode_output(objects)
    if kinds and kinds <= _BLOCKS and not any("role" in item for item in objects):
        return decode_message({"content": objects})
    if any("role" in item or "lc" in item or "kind" in item for item in objects):
        last = objects[-1]
        if "role" in last or "lc" in last or "parts" in last:
            return _decode_last(objects)
    if all("toolName" in item or "toolCallId" in item for item in objects):
        calls = [call for item in objects if (call := write_call(item)) is not None]
        return decode_message({"tool_calls": calls}) if calls else None
    if all(_is_text_block(item) for item in objects):
        split = split_parts(objects)
        return decode_message({"content": split.content or None, "tool_calls": split.calls})
    if len(objects) == 1 and ("message" in objects[0] or "generation_info" in objects[0]):
        return _decode_generation(objects[0])
    return None


def _decode_last(objects: list[dict[str, Any]]) -> Response:
    assistant = [item for item in write_messages(objects) if item.get("role") == "assistant"]
    if not assistant:
        raise NotARecordedCall("no teacher answer: no message of the assistant")
    return decode_message(assistant[-1], _finish_reason(unwrap_message(objects[-1])))


def _decode_choice(choices: list[Any]) -> Response | None:
    first: Mapping[str, Any] = choices[0] if choices and isinstance(choices[0], dict) else {}
    if len(choices) > 1:  # in any order: the first is the one that its index names
        first = next((choice for choice in list_objects(choices) if choice.get("index") == 0), first)
    if "error" in first:
        check_outcome({"error": first["error"]})
    message = first.get("message")
    if isinstance(message, dict):
        text = message.get("content")
        if isinstance(text, str) and not any(message[name] for name in message.keys() - _TEXT_MESSAGE):
            return _text_response(text, _finish_reason(first))  # nearly all answers of most logs
        return decode_message(message, first.get("finish_reason"))
    if isinstance(first.get("text"), str):
        return _text_response(first["text"], first.get("finish_reason"))
    raise NotARecordedCall("no teacher answer: the reply has no choice")


def _decode_generations(generations: list[Any]) -> Response | None:
    first = generations[0] if generations else None
    while isinstance(first, list):
        first = first[0] if first else None
    if not isinstance(first, dict):
        raise NotARecordedCall("no teacher answer: the reply has no generation")
    return _decode_generation(first)


def _decode_generation(generation: Mapping[str, Any]) -> Response | None:
    message = generation.get("message")
    reason = _finish_reason(generation)
    if isinstance(message, dict):
        return decode_message(message, reason)
    text = generation.get("text")
    return _text_response(text, reason) if isinstance(text, str) else None


def _decode_text_with_calls(body: Mapping[str, Any], calls: list[Any]) -> Response:
    text = body.get("text")
    message = {"content": text if isinstance(text, str) and text else None, "tool_calls": calls}
    return decode_message(message, _finish_reason(body))


def _finish_reason(source: Mapping[str, Any]) -> str | None:
    if _is_usual(usual := source.get("finish_reason")):
        return usual
    for name in _finish_fields(tuple(source)):
        value = source[name]
        if isinstance(value, dict):
            return _finish_reason(value)
        if isinstance(value, str) and value:
            reason = value.replace("-", "_")
            return _FINISH_REASONS.get(reason, reason)
    about = source.get("response_metadata")
    return _finish_reason(about) if isinstance(about, dict) else None


@lru_cache(maxsize=256)
def _finish_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the names that may tell why an answer ended, in the order in which they count."""
    return tuple(name for name in _FINISH_NAMES if name in names)


def _gemini_finish(reason: object) -> str | None:
    return _GEMINI_REASONS.get(reason, reason.lower()) if isinstance(reason, str) else None


def _is_text_block(item: Mapping[str, Any]) -> bool:
    return item.keys() <= {"text", "toolUse", "reasoningContent", "functionCall", "thought", "type", "thoughtSignature"}


def _text_response(text: str, finish_reason: object = None) -> Response:
    reason = finish_reason if isinstance(finish_reason, str) else None
    response: Response = _RESPONSE.validate_python(
        {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    )
    return response
