"""Accumulate streams of OpenAI's Chat Completions on their way to the client."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.answer_errors import FAILED_REASONS, answer_error, reported_error
from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import index_or_zero
from understudies.dialects.openai_chat.response import decode_response
from understudies.dialects.openai_chat.tool_call_stream import ToolCallAccumulator
from understudies.dialects.sse import event_data, parse_event_object
from understudies.dialects.stream_accumulator import PassthroughAccumulator


class ChoiceAccumulator:
    """Assembles one choice of a stream."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._other: dict[str, Any] = {}
        self._calls: ToolCallAccumulator | None = None
        self._logprobs: dict[str, list[Any]] = {}
        self.finish_reason: Any = None

    def add(self, choice: dict[str, Any]) -> int:
        """Add the next delta; returns the number of characters that it adds."""
        if choice.get("finish_reason"):
            self.finish_reason = choice["finish_reason"]
        if choice.get("logprobs"):
            self._note(choice["logprobs"])
        delta = choice.get("delta")
        return sum(self._add(name, value) for name, value in delta.items()) if isinstance(delta, dict) else 0

    def build(self, index: int) -> dict[str, Any]:
        """Return the choice so far, in the shape of a choice that is not streamed."""
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message = {"role": "assistant", "content": None, "refusal": None, **self._other, **texts}
        if self._calls is not None:
            message["tool_calls"] = self._calls.build()
        logprobs = self._logprobs or None
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish_reason}

    def _add(self, name: str, value: Any) -> int:
        if name == "role" or value is None:
            return 0
        if isinstance(value, str):
            self._texts.setdefault(name, []).append(value)
            return len(value)
        if name == "tool_calls":
            self._calls = self._calls or ToolCallAccumulator()
            return self._calls.add(value)
        self._other[name] = _merge_delta(self._other.get(name), value)
        return 0

    def _note(self, logprobs: Any) -> None:
        for name, tokens in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(tokens, list):
                self._logprobs.setdefault(name, []).extend(tokens)


def _merge_delta(old: Any, new: Any) -> Any:
    """Merge a provider's extra field: texts inside an object are concatenated, anything else takes the last value."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    both = {name: old[name] + new[name] for name in new if _are_texts(old.get(name), new[name])}
    return {**old, **new, **both}


def _are_texts(old: Any, new: Any) -> bool:
    return isinstance(old, str) and isinstance(new, str)


_FAILED: Final = tuple(FAILED_REASONS)
"""The reasons as a tuple, in which any JSON value can be looked for."""
_NOT_THE_HEAD = frozenset({"choices", "usage", "object", "obfuscation", "error"})


class ChatAccumulator(PassthroughAccumulator):
    """Assembles a chat completion from the chunks of a stream."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._head: dict[str, Any] = {}
        self._choices: dict[int, ChoiceAccumulator] = {}
        self._usage: dict[str, Any] | None = None

    def end(self) -> bytes:
        """End the stream; it counts as finished if every choice has a finish reason, even without `[DONE]`."""
        held = super().end()
        ended = bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())
        self.finished = self.finished or (ended and self.failed is None)
        return held

    def read_event(self, event: bytes) -> dict[str, Any] | None:
        """Consume one event and return its data if that is a chunk, else None."""
        chunk = super().read_event(event)
        if chunk is None and event_data(event) == b"[DONE]":
            self.finished = True
        return chunk

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add one chunk."""
        if not self._head.get("model"):
            self._head |= {key: value for key, value in chunk.items() if key not in _NOT_THE_HEAD}
        usage = chunk.get("usage")
        if usage is None and isinstance(groq := chunk.get("x_groq"), dict):
            usage = groq.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                self._add(choice)
            if chunk.get("error"):
                self.failed = str(answer_error(chunk["error"], "the stream failed"))
        elif (error := reported_error(chunk, "the stream failed")) is not None:
            self.failed = str(error)

    def body(self) -> dict[str, Any]:
        """Build the chat completion so far."""
        choices = [self._choices[index].build(index) for index in sorted(self._choices)]
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, "object": "chat.completion", "choices": choices, **usage}

    def answer(self) -> DecodedResponse:
        """Decode the answer so far; raises ValueError if there is none."""
        return decode_response(self.body())

    def _add(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            return
        index = index_or_zero(choice.get("index"))
        found = self._choices.get(index)
        if found is None:
            found = self._choices[index] = ChoiceAccumulator()
        self.characters += found.add(choice)
        if choice.get("finish_reason") and (choice.get("error") or choice["finish_reason"] in _FAILED):
            reason = f"the answer ended with {choice['finish_reason']!r}"
            self.failed = str(answer_error(choice.get("error"), reason))


_CHOICE: Final = re.compile(rb'"choices"\s*:\s*\[\s*\{')
_MAX_USAGE_CHUNK: Final = 16_384
"""The most bytes of an incomplete event that can still be a chunk with nothing but usage."""


class UsageHidingAccumulator(ChatAccumulator):
    """Hides the chunk with nothing but usage, which the router asked for; all else passes byte for byte."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._passed = 0

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece; an incomplete event is held back while it may be the one to hide."""
        out = [self._visible(event, self.read_event(event)) for event in self.events.feed(data)]
        rest = self.events.rest
        if rest and (self._passed or len(rest) > _MAX_USAGE_CHUNK or _CHOICE.search(rest)):
            out.append(bytes(rest[self._passed :]))
            self._passed = len(rest)
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        """End the stream: consume an unfinished event and return the bytes of it that were held back."""
        left = bytes(self.events.rest)
        super().end()
        return self._visible(left, parse_event_object(event_data(left), self._parse))

    def _visible(self, event: bytes, chunk: Mapping[str, Any] | None) -> bytes:
        passed, self._passed = self._passed, 0
        if passed or chunk is None or not _is_usage_only(chunk):
            return event[passed:]
        # A piece may end between the two bytes of the last line ending, whose second one then stands before this event.
        return event[: len(event) - len(event.lstrip(b"\r\n"))]


def _is_usage_only(chunk: Mapping[str, Any]) -> bool:
    """Return whether a chunk has only usage; some providers leave its choices empty, others omit them."""
    return not chunk.get("choices") and isinstance(chunk.get("usage"), dict) and not chunk.get("error")
