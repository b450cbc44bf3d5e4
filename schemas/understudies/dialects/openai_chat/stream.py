"""Accumulate streams of OpenAI's Chat Completions on their way to the client."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.answer_errors import COMPLAINTS, FAILED_REASONS, answer_error, reported_error
from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import index_or_zero, join_texts, object_or_empty, text_or_empty
from understudies.dialects.openai_chat.response import decode_response
from understudies.dialects.openai_chat.tool_call_stream import ToolCallAccumulator
from understudies.dialects.sse import event_data, event_name, parse_event_object
from understudies.dialects.stream_accumulator import PassthroughAccumulator


class ChoiceAccumulator:
    """Assembles one choice of a stream."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._other: dict[str, Any] = {}
        self._parts: list[Any] = []
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
        if not isinstance(delta, dict):
            delta = self._whole_message(choice)
        return sum(self._add(name, value) for name, value in delta.items())

    def build(self, index: int) -> dict[str, Any]:
        """Return the choice so far, in the shape of a choice that is not streamed."""
        texts: dict[str, Any] = {name: join_texts(pieces) for name, pieces in self._texts.items()}
        if self._parts:
            said = texts.get("content")
            texts["content"] = [*self._parts, *([{"type": "text", "text": said}] if said else [])]
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
        if name == "content" and isinstance(value, list):
            return sum(map(self._add_part, value))
        if name == "images" and isinstance(value, list) and isinstance(known := self._other.get(name), list):
            value = known + value
        self._other[name] = _merge_delta(self._other.get(name), value)
        return 0

    def _add_part(self, part: Any) -> int:
        """Add a part of content that is streamed as lists; parts other than text come first."""
        if isinstance(part, str):
            return self._add("content", part)
        if isinstance(part, dict) and part.get("type") == "text":
            return self._add("content", text_or_empty(part.get("text")))
        self._parts.append(part)
        return 0

    def _whole_message(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Return the message of a choice that some servers send in place of deltas; empty after a delta."""
        message = choice.get("message")
        is_first = not (self._texts or self._other or self._calls or self._parts)
        return message if is_first and isinstance(message, dict) else {}

    def _note(self, logprobs: Any) -> None:
        for name, tokens in logprobs.items() if isinstance(logprobs, dict) else ():
            if isinstance(tokens, list):
                self._logprobs.setdefault(name, []).extend(tokens)


def _merge_delta(old: Any, new: Any) -> Any:
    """Merge a provider's extra field: texts inside an object are concatenated, anything else takes the last value."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    both = {
        name: old[name] + new[name]
        for name in new
        if _are_texts(old.get(name), new[name]) and not (name == "name" and old[name] == new[name])
    }
    return {**old, **new, **both}


def _are_texts(old: Any, new: Any) -> bool:
    return isinstance(old, str) and isinstance(new, str)


_FAILED: Final = tuple(FAILED_REASONS)
"""The reasons as a tuple, in which any JSON value can be looked for."""
_MAX_COMPLAINT: Final = 500
_NOT_THE_HEAD = frozenset({"choices", "usage", "object", "obfuscation", "error"})


class ChatAccumulator(PassthroughAccumulator):
    """Assembles a chat completion from the chunks of a stream."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._head: dict[str, Any] = {}
        self._choices: dict[int, ChoiceAccumulator] = {}
        self._usage: dict[str, Any] | None = None
        self._complaint: str | None = None

    def end(self) -> bytes:
        """End the stream; it counts as finished if every choice has a finish reason, even without `[DONE]`."""
        held = super().end()
        ended = bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())
        if not ended and self.failed is None:
            self.failed = self._complaint
        self.finished = self.finished or (ended and self.failed is None)
        return held

    def read_event(self, event: bytes, *, is_whole: bool = True) -> dict[str, Any] | None:
        """Consume one event and return its data if that is a chunk, else None."""
        chunk = super().read_event(event, is_whole=is_whole)
        if chunk is None or "choices" not in chunk:
            data = event_data(event)
            if data == b"[DONE]":
                self.finished = True
            elif self.failed is None:
                self._note_complaint(event, chunk, data)
        return chunk

    def _note_complaint(self, event: bytes, chunk: Mapping[str, Any] | None, data: bytes) -> None:
        """Note what is an error if the answer then does not end, and what the event's name calls an error."""
        told = next((chunk[name] for name in COMPLAINTS if chunk.get(name)), None) if chunk else None
        if event_name(event) == b"error":
            self.failed = text_or_empty(told) or data.decode("utf-8", "replace")[:_MAX_COMPLAINT] or "the stream failed"
        elif told is not None:
            self._complaint = text_or_empty(told) or "the stream failed"

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add one chunk."""
        if not self._head.get("model"):
            self._head |= {key: value for key, value in chunk.items() if key not in _NOT_THE_HEAD}
        elif tier := chunk.get("service_tier"):
            self._head["service_tier"] = tier
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        elif "x_groq" in chunk:
            self._note_usage(object_or_empty(chunk["x_groq"]).get("usage"))
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
        if not choice.get("finish_reason"):
            return
        if "usage" in choice:
            self._note_usage(choice["usage"])
        if choice.get("error") or choice["finish_reason"] in _FAILED:
            reason = f"the answer ended with {choice['finish_reason']!r}"
            self.failed = str(answer_error(choice.get("error"), reason))

    def _note_usage(self, usage: Any) -> None:
        """Take the usage that some providers tell in a place of their own, unless it is told where it belongs."""
        if self._usage is None and isinstance(usage, dict):
            self._usage = usage


_CHOICE: Final = re.compile(rb'"choices"\s*:\s*\[\s*\{')
_MAX_USAGE_CHUNK: Final = 16_384
"""The most bytes of an incomplete event that can still be a chunk with nothing but usage."""


class UsageHidingAccumulator(ChatAccumulator):
    """Hides the chunk with nothing but usage, which the router asked for; all else passes byte for byte."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._passed = 0
        self._awaits_newline = False

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece; an incomplete event is held back while it may be the one to hide."""
        if self._awaits_newline and data:
            self._awaits_newline = False
            data = data.removeprefix(b"\n")
        events = self.events.feed(data)
        out = [self._visible(event, self.read_event(event)) for event in events]
        rest = self.events.rest
        if events and not out[-1] and not rest:
            # A piece may end between the two bytes of a line ending; the second one is hidden too.
            self._awaits_newline = events[-1].endswith(b"\r")
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
