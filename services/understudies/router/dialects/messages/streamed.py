"""A whole message of Anthropic's as the events of its stream."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.router.dialects.fields import (
    encode_json_text,
    list_objects,
    object_or_empty,
    text_or_empty,
    without_none,
)
from understudies.router.dialects.sse import encode_event

_AT_THE_END: Final = ("stop_reason", "stop_sequence", "stop_details", "container")
_COUNTED_AT_THE_END: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens_details",
    "server_tool_use",
)


def encode_stream(body: Mapping[str, Any]) -> Iterator[bytes]:
    """The events of the stream that would have made the message."""
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
    """What a message says of its content and its end before it has either."""
    return {"content": [], "stop_reason": None, **{name: None for name in _AT_THE_END if name in body}}


def _split_block(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it opens, and what is then added to it."""
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
