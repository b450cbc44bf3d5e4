"""From the chunks of a stream to the answer that they make."""

from collections.abc import Sequence
from typing import Any

from understudies.client.decoding.json_values import get_field, to_json_text
from understudies.client.decoding.responses import DecodedAnswer, decode_usage
from understudies.client.errors import NotRecorded
from understudies.events import Response, Usage


class ChunkAccumulator:
    """An answer that grows chunk by chunk: OpenAI's, Anthropic's, LangChain's, or plain text."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[Any, dict[str, str]] = {}
        self._usage = Usage()
        self._model = ""
        self.finish_reason: str | None = None

    def add(self, chunk: Any) -> None:
        """Add the next chunk; what is none of the answer is passed over."""
        if isinstance(chunk, str):
            self._text.append(chunk)
            return
        self._read_metadata(chunk)
        choices = get_field(chunk, "choices")
        if choices:
            self._add_choice(choices[0])
        elif get_field(chunk, "type") in _ANTHROPIC_EVENTS:
            self._add_anthropic_event(chunk)
        elif choices is None:
            self._add_message_chunk(chunk)

    def to_answer(self) -> DecodedAnswer:
        """The answer so far."""
        calls = [
            {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"] or "{}"}}
            for call in self._calls.values()
        ]
        text = "".join(self._text)
        message = {"role": "assistant", "content": text if text or not calls else None, "tool_calls": calls or None}
        response = Response.model_validate({"message": message, "finish_reason": self.finish_reason})
        return DecodedAnswer(response, self._usage, self._model)

    def _read_metadata(self, chunk: Any) -> None:
        source = get_field(chunk, "message") if get_field(chunk, "type") == "message_start" else chunk
        model = get_field(source, "model")
        self._model = model if isinstance(model, str) and model else self._model
        usage = get_field(source, "usage") or get_field(source, "usage_metadata")
        if usage is not None:
            self._update_usage(decode_usage(usage))

    def _update_usage(self, usage: Usage) -> None:
        """Each count as last reported: Anthropic reports the prompt's first and the completion's last."""
        reported = {name: count for name, count in usage.model_dump().items() if count}
        self._usage = self._usage.model_copy(update=reported)

    def _add_choice(self, choice: Any) -> None:
        if get_field(choice, "index"):
            return
        delta = get_field(choice, "delta")
        content = get_field(delta, "content") if delta is not None else get_field(choice, "text")
        if isinstance(content, str):
            self._text.append(content)
        for call in get_field(delta, "tool_calls") or ():
            function = get_field(call, "function")
            self._add_tool_call(
                get_field(call, "index"),
                get_field(call, "id"),
                get_field(function, "name"),
                get_field(function, "arguments"),
            )
        self._set_finish_reason(get_field(choice, "finish_reason"))

    def _add_anthropic_event(self, event: Any) -> None:
        kind, delta = get_field(event, "type"), get_field(event, "delta")
        block = get_field(event, "content_block")
        if kind == "content_block_start" and get_field(block, "type") == "tool_use":
            self._add_tool_call(get_field(event, "index"), get_field(block, "id"), get_field(block, "name"), None)
        elif kind == "content_block_delta" and get_field(delta, "type") == "text_delta":
            self._text.append(get_field(delta, "text"))
        elif kind == "content_block_delta" and get_field(delta, "type") == "input_json_delta":
            self._add_tool_call(get_field(event, "index"), None, None, get_field(delta, "partial_json"))
        elif kind == "message_delta":
            self._set_finish_reason(get_field(delta, "stop_reason"))

    def _add_message_chunk(self, chunk: Any) -> None:
        content = get_field(chunk, "content")
        if isinstance(content, str):
            self._text.append(content)
        for call in get_field(chunk, "tool_call_chunks") or ():
            self._add_tool_call(
                get_field(call, "index"), get_field(call, "id"), get_field(call, "name"), get_field(call, "args")
            )
        about = get_field(chunk, "response_metadata")
        self._set_finish_reason(get_field(about, "finish_reason") if about else None)

    def _add_tool_call(self, index: Any, call_id: Any, name: Any, arguments: Any) -> None:
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or call_id or ""
        call["name"] += name or ""
        call["arguments"] += arguments or ""

    def _set_finish_reason(self, reason: Any) -> None:
        if isinstance(reason, str):
            self.finish_reason = reason


_ANTHROPIC_EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"}
    | {"message_stop", "ping"}
)


def accumulate_chunks(chunks: Sequence[Any]) -> ChunkAccumulator:
    """The answer that a stream gave; chunks of no known form make one JSON text."""
    if not chunks:
        raise NotRecorded("unreadable", "a stream without chunks")
    assembly = ChunkAccumulator()
    if not any(_is_known_chunk(chunk) for chunk in chunks):
        assembly.add(to_json_text(list(chunks)))
        return assembly
    for chunk in chunks:
        assembly.add(chunk)
    return assembly


def _is_known_chunk(chunk: Any) -> bool:
    return (
        isinstance(chunk, str)
        or get_field(chunk, "choices") is not None
        or get_field(chunk, "type") in _ANTHROPIC_EVENTS
        or isinstance(get_field(chunk, "content"), str | list)
    )
