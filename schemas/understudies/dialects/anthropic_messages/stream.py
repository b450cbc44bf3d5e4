"""Accumulate streams of Anthropic's Messages on their way to the client, and encode whole messages as streams."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from understudies.dialects.anthropic_messages.response import decode_response
from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import (
    encode_json_text,
    index_or_zero,
    join_texts,
    list_objects,
    object_or_empty,
    parse_object_text,
    text_or_empty,
    without_none,
)
from understudies.dialects.sse import encode_event
from understudies.dialects.stream_accumulator import PassthroughAccumulator

_DELTA_FIELDS: Final = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
"""The field that holds the content of each kind of delta."""
_PROMPT_COUNTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_UNANNOUNCED: Final = {"text_delta": "text", "thinking_delta": "thinking"}
"""The kind of block that a delta begins which no block was opened for."""


class ContentBlockAccumulator:
    """Assembles one content block of a stream."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._pieces: dict[str, list[str]] = {}
        self._citations: list[Any] = []
        self.characters = len(text_or_empty(opening.get("text")))

    def add(self, delta: Mapping[str, Any]) -> int:
        """Add the next delta; returns the number of characters that it adds."""
        kind = delta.get("type")
        field = _DELTA_FIELDS.get(kind) if isinstance(kind, str) else None
        piece = None if field is None else delta.get(field)
        if field == "partial_json" and isinstance(piece, dict):
            piece = encode_json_text(piece)
        if field is not None and isinstance(piece, str):
            self._pieces.setdefault(field, []).append(piece)
            return 0 if field == "signature" else len(piece)
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        return 0

    def build(self, *, whole: bool) -> dict[str, Any]:
        """Return the block so far; truncated input, which is not a JSON object, is kept as text, or {} with `whole`."""
        block = dict(self._opening)
        for field, pieces in self._pieces.items():
            if field != "partial_json":
                block[field] = join_texts([text_or_empty(block.get(field)), *pieces])
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        written = join_texts(self._pieces.get("partial_json", ()))
        if written:
            given = parse_object_text(written)
            block["input"] = given if given is not None else {} if whole else written
        return block


class MessageAccumulator(PassthroughAccumulator):
    """Assembles a message from the events of a stream."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, list[ContentBlockAccumulator]] = {}
        self._takes: dict[Any, Callable[[dict[str, Any]], None]] = {
            "content_block_delta": self._delta,
            "content_block_start": self._start,
            "message_start": self._begin,
            "message_delta": self._end,
            "message_stop": self._stop,
            "error": self._fail,
        }

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add the parsed data of one event."""
        kind = chunk.get("type")
        take = self._takes.get(kind) if isinstance(kind, str) else None
        if take is not None:
            take(chunk)
        elif kind is None and chunk.get("error"):
            self._fail(chunk)

    def end(self) -> bytes:
        """End the stream; it counts as finished once it says why it stops, even without `message_stop`."""
        held = super().end()
        self.finished = self.finished or (self.failed is None and bool(self._message.get("stop_reason")))
        return held

    def body(self) -> dict[str, Any]:
        """Build the message so far; truncated tool input is left out."""
        return self._body(whole=True)

    def answer(self) -> DecodedResponse:
        """Decode the answer so far; raises ValueError if there is none."""
        if not self._message and not self._blocks:
            raise ValueError("not a message: nothing came")
        return decode_response(self._body(whole=False))

    def _body(self, *, whole: bool) -> dict[str, Any]:
        content = [block.build(whole=whole) for index in sorted(self._blocks) for block in self._blocks[index]]
        return {**self._message, "content": content, "usage": self._usage}

    def _begin(self, chunk: dict[str, Any]) -> None:
        self._message = dict(object_or_empty(chunk.get("message")))
        self._usage = dict(object_or_empty(self._message.get("usage")))

    def _start(self, chunk: dict[str, Any]) -> None:
        block = ContentBlockAccumulator(object_or_empty(chunk.get("content_block")))
        # Some servers stream all their blocks at one index.
        self._blocks.setdefault(index_or_zero(chunk.get("index")), []).append(block)
        self.characters += block.characters

    def _delta(self, chunk: dict[str, Any]) -> None:
        blocks = self._blocks.get(index_or_zero(chunk.get("index")))
        delta = chunk.get("delta")
        if not isinstance(delta, dict):
            return
        if blocks is None:
            # Some servers do not announce their texts.
            kind = _UNANNOUNCED.get(text_or_empty(delta.get("type")))
            if kind is None:
                return
            blocks = self._blocks[index_or_zero(chunk.get("index"))] = [ContentBlockAccumulator({"type": kind})]
        self.characters += blocks[-1].add(delta)

    def _end(self, chunk: dict[str, Any]) -> None:
        self._message |= object_or_empty(chunk.get("delta"))
        usage = object_or_empty(chunk.get("usage"))
        left_out = () if any(usage.get(name) for name in _PROMPT_COUNTS) else _PROMPT_COUNTS  # some servers write zeros
        self._usage |= {name: count for name, count in usage.items() if count is not None and name not in left_out}

    def _stop(self, _: dict[str, Any]) -> None:
        self.finished = True

    def _fail(self, chunk: dict[str, Any]) -> None:
        error = chunk.get("error")
        said = text_or_empty(object_or_empty(error).get("message")) or text_or_empty(error)
        self.failed = said or "the stream failed"


_AT_THE_END: Final = ("stop_reason", "stop_sequence", "stop_details", "container")
_COUNTED_AT_THE_END: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens_details",
    "server_tool_use",
)


def encode_stream(body: Mapping[str, Any]) -> Iterator[bytes]:
    """Encode a whole message as the events of the stream that would have produced it."""
    usage = object_or_empty(body.get("usage"))
    yield _event("message_start", message={**body, **_message_start(body), "usage": {**usage, "output_tokens": 0}})
    for index, block in enumerate(list_objects(body.get("content"))):
        opening, deltas = _split_block(block)
        yield _event("content_block_start", index=index, content_block=opening)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    counted = without_none(**{name: usage.get(name) for name in _COUNTED_AT_THE_END})
    yield _event(
        "message_delta",
        delta={name: body.get(name) for name in _AT_THE_END[:2]}
        | without_none(**{n: body.get(n) for n in _AT_THE_END[2:]}),
        usage={**counted, "output_tokens": usage.get("output_tokens", 0)},
    )
    yield _event("message_stop")


def _event(kind: str, **data: Any) -> bytes:
    return encode_event({"type": kind, **data}, kind)


def _message_start(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for content and end that a message has before either is known."""
    return {"content": [], "stop_reason": None, **{name: None for name in _AT_THE_END if name in body}}


def _split_block(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split a block into its opening and the deltas that are then added to it."""
    kind = block.get("type")
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in list_objects(block.get("citations"))]
        opening = {**block, "text": "", **({"citations": []} if cited else {})}
        return opening, [{"type": "text_delta", "text": text_or_empty(block.get("text"))}, *cited]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": text_or_empty(block.get("thinking"))}]
        deltas.append({"type": "signature_delta", "signature": text_or_empty(block.get("signature"))})
        return {**block, "thinking": "", "signature": ""}, deltas
    if "input" in block:
        written = encode_json_text(block["input"])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": written}]
    return block, []
