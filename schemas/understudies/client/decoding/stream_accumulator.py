"""Assemble the chunks of a stream into an answer."""

from collections.abc import Sequence
from typing import Any, Final

from understudies.client.decoding.json_values import get_field, to_json, to_json_text, to_plain_object
from understudies.client.decoding.messages import read_beside_content
from understudies.client.decoding.responses import with_plausible_usage, write_langchain_usage
from understudies.client.errors import NotRecorded
from understudies.dialects.answer_errors import is_error_body
from understudies.dialects.anthropic_messages.response import FINISH_REASONS
from understudies.dialects.base import Api, DecodedResponse, StreamAccumulator
from understudies.dialects.detection import detect_stream_api
from understudies.dialects.json_fields import list_objects, object_or_empty
from understudies.dialects.registry import dialect_of
from understudies.events import MEDIA_PARTS

_CHUNK_FIELDS: Final = ("model", "usage", "error", "x_groq", "service_tier")
_DELTA_FIELDS: Final = ("content", "refusal", "tool_calls", "function_call", "audio", "images")


class ChunkAccumulator:
    """Assembles an answer chunk by chunk, from a provider's events, LangChain's messages or plain text."""

    def __init__(self, api: Api = "chat", *, has_end: bool = False) -> None:
        self._has_end = has_end
        self._accumulator: StreamAccumulator = dialect_of(api).stream_accumulator()

    def add(self, chunk: Any) -> None:
        """Add the next chunk; chunks that are not part of an answer are ignored."""
        self._accumulator.add_chunk(_write_chunk(chunk))

    def to_answer(self) -> DecodedResponse:
        """Return the answer so far; raises ValueError if there is none."""
        return with_plausible_usage(self._accumulator.answer())

    @property
    def has_ended(self) -> bool:
        """True once the answer tells why it ended."""
        try:
            return self._accumulator.answer().response.finish_reason is not None
        except ValueError:
            return False

    @property
    def was_cut(self) -> bool:
        """True if the stream is one of those that tell their end, and it has not come."""
        return self._has_end and not self.has_ended

    @property
    def failed(self) -> str | None:
        """The message of an error inside the stream, or None."""
        return self._accumulator.failed


def accumulate_chunks(chunks: Sequence[Any]) -> ChunkAccumulator:
    """Assemble the answer of a stream; chunks of no known form become one JSON text."""
    if not chunks:
        raise NotRecorded("unreadable", "a stream without chunks")
    apis: list[Api] = [api for chunk in chunks if (api := _api_of(chunk)) is not None]
    accumulator = ChunkAccumulator(*apis[:1], has_end=any(_is_provider_event(chunk) for chunk in chunks))
    if not apis and not any(isinstance(chunk, dict) and is_error_body(chunk) for chunk in chunks):
        accumulator.add(to_json_text(list(chunks)))
        return accumulator
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator


def _api_of(chunk: Any) -> Api | None:
    """Return the API whose form a chunk has or is converted to; None if it is not part of an answer."""
    if isinstance(chunk, str) or isinstance(get_field(chunk, "choices"), list | tuple):
        return "chat"
    if (api := detect_stream_api({"type": get_field(chunk, "type")})) is not None:
        return api
    return "chat" if isinstance(get_field(chunk, "content"), str | list) else None


def _is_provider_event(chunk: Any) -> bool:
    if isinstance(chunk, str):
        return False
    choices = get_field(chunk, "choices")
    return bool(isinstance(choices, list | tuple) and choices) or _names_event(chunk)


def _names_event(chunk: Any) -> bool:
    return detect_stream_api({"type": get_field(chunk, "type")}) is not None


def _write_chunk(chunk: Any) -> dict[str, Any]:
    """Convert a chunk to a provider's form; empty if it is not an object."""
    if isinstance(chunk, str):
        return _write_delta({"content": chunk})
    choices = get_field(chunk, "choices")
    if isinstance(choices, list | tuple) and choices:
        return _write_chat_chunk(chunk, choices)
    try:
        plain = to_plain_object(chunk)
    except NotRecorded:
        return {}
    if detect_stream_api(plain) is None and isinstance(plain.get("content"), str | list):
        return _write_message_chunk(plain)
    return plain


def _write_chat_chunk(chunk: Any, choices: Sequence[Any]) -> dict[str, Any]:
    """Convert a chat chunk with only the fields that an answer has: all fields would take three times as long."""
    known = {name: get_field(chunk, name) for name in _CHUNK_FIELDS}
    written = {name: to_json(value, attributes=True) for name, value in known.items() if value is not None}
    return {**written, "choices": [_write_choice(choice) for choice in choices]}


def _write_choice(choice: Any) -> dict[str, Any]:
    delta, reason = get_field(choice, "delta"), get_field(choice, "finish_reason")
    if delta is None and isinstance(get_field(choice, "text"), str):
        # The older text completions API.
        given = {"content": get_field(choice, "text")}
    elif delta is None:
        message = get_field(choice, "message")
        given = {name: get_field(message, name) for name in _DELTA_FIELDS}
    else:
        given = {name: get_field(delta, name) for name in _DELTA_FIELDS}
    said = {name: to_json(value, attributes=True) for name, value in given.items() if value is not None}
    written = {"index": get_field(choice, "index"), "delta": said, "finish_reason": reason}
    at_end = {name: to_json(get_field(choice, name), attributes=True) for name in ("error", "usage")} if reason else {}
    return {**written, **at_end}


def _write_message_chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    """Convert a LangChain message chunk of a stream."""
    about = object_or_empty(chunk.get("response_metadata"))
    content = chunk["content"]
    if isinstance(content, list):
        texts = (part if isinstance(part, str) else get_field(part, "text") for part in content)
        media = [part for part in list_objects(content) if part.get("type") in MEDIA_PARTS]
        said = "".join(text for text in texts if isinstance(text, str))
        content = [*media, said] if media else said
    calls = [
        {
            "index": call.get("index"),
            "id": call.get("id"),
            "function": {"name": call.get("name"), "arguments": call.get("args")},
        }
        for call in list_objects(chunk.get("tool_call_chunks"))
    ]
    reason = about.get("finish_reason") or about.get("stop_reason")
    reason = FINISH_REASONS.get(reason, reason) if isinstance(reason, str) else None
    written = _write_delta({"content": content, "tool_calls": calls or None, **read_beside_content(chunk)}, reason)
    head = {"model": chunk.get("model") or about.get("model_name"), "service_tier": about.get("service_tier")}
    known = {name: value for name, value in head.items() if value}
    return {**written, "usage": write_langchain_usage(chunk, about), **known}


def _write_delta(delta: dict[str, Any], finish_reason: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
