"""From the chunks of a stream to the answer that they make."""

from collections.abc import Sequence
from typing import Any

from understudies.client.answers import Answered, usage_of
from understudies.client.errors import NotRecorded
from understudies.client.plain import get, json_text
from understudies.events import Response, Usage


class Assembly:
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
        self._note(chunk)
        choices = get(chunk, "choices")
        if choices:
            self._choice(choices[0])
        elif get(chunk, "type") in _ANTHROPIC:
            self._event(chunk)
        elif choices is None:
            self._message(chunk)

    def answered(self) -> Answered:
        """The answer so far."""
        calls = [
            {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"] or "{}"}}
            for call in self._calls.values()
        ]
        text = "".join(self._text)
        message = {"role": "assistant", "content": text if text or not calls else None, "tool_calls": calls or None}
        response = Response.model_validate({"message": message, "finish_reason": self.finish_reason})
        return Answered(response, self._usage, self._model)

    def _note(self, chunk: Any) -> None:
        source = get(chunk, "message") if get(chunk, "type") == "message_start" else chunk
        model = get(source, "model")
        self._model = model if isinstance(model, str) and model else self._model
        usage = get(source, "usage") or get(source, "usage_metadata")
        if usage is not None:
            self._count(usage_of(usage))

    def _count(self, usage: Usage) -> None:
        """Each count as last reported: Anthropic reports the prompt's first and the completion's last."""
        reported = {name: count for name, count in usage.model_dump().items() if count}
        self._usage = self._usage.model_copy(update=reported)

    def _choice(self, choice: Any) -> None:
        if get(choice, "index"):
            return
        delta = get(choice, "delta")
        content = get(delta, "content") if delta is not None else get(choice, "text")
        if isinstance(content, str):
            self._text.append(content)
        for call in get(delta, "tool_calls") or ():
            function = get(call, "function")
            self._call(get(call, "index"), get(call, "id"), get(function, "name"), get(function, "arguments"))
        self._finish(get(choice, "finish_reason"))

    def _event(self, event: Any) -> None:
        kind, delta = get(event, "type"), get(event, "delta")
        block = get(event, "content_block")
        if kind == "content_block_start" and get(block, "type") == "tool_use":
            self._call(get(event, "index"), get(block, "id"), get(block, "name"), None)
        elif kind == "content_block_delta" and get(delta, "type") == "text_delta":
            self._text.append(get(delta, "text"))
        elif kind == "content_block_delta" and get(delta, "type") == "input_json_delta":
            self._call(get(event, "index"), None, None, get(delta, "partial_json"))
        elif kind == "message_delta":
            self._finish(get(delta, "stop_reason"))

    def _message(self, chunk: Any) -> None:
        content = get(chunk, "content")
        if isinstance(content, str):
            self._text.append(content)
        for call in get(chunk, "tool_call_chunks") or ():
            self._call(get(call, "index"), get(call, "id"), get(call, "name"), get(call, "args"))
        about = get(chunk, "response_metadata")
        self._finish(get(about, "finish_reason") if about else None)

    def _call(self, index: Any, call_id: Any, name: Any, arguments: Any) -> None:
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or call_id or ""
        call["name"] += name or ""
        call["arguments"] += arguments or ""

    def _finish(self, reason: Any) -> None:
        if isinstance(reason, str):
            self.finish_reason = reason


_ANTHROPIC = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"}
    | {"message_stop", "ping"}
)


def assembled(chunks: Sequence[Any]) -> Assembly:
    """The answer that a stream gave; chunks of no known form make one JSON text."""
    if not chunks:
        raise NotRecorded("unreadable", "a stream without chunks")
    assembly = Assembly()
    if not any(_known(chunk) for chunk in chunks):
        assembly.add(json_text(list(chunks)))
        return assembly
    for chunk in chunks:
        assembly.add(chunk)
    return assembly


def _known(chunk: Any) -> bool:
    return (
        isinstance(chunk, str)
        or get(chunk, "choices") is not None
        or get(chunk, "type") in _ANTHROPIC
        or isinstance(get(chunk, "content"), str | list)
    )
