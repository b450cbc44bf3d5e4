"""The events of Anthropic's streams, put together on their way to the caller."""

from collections.abc import Callable
from typing import Any

from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.fields import index_or_zero, object_or_empty, text_or_empty
from understudies.router.dialects.messages.answered import decode_response
from understudies.router.dialects.messages.block import ContentBlockAccumulator
from understudies.router.dialects.passing import PassthroughAccumulator


class MessageAccumulator(PassthroughAccumulator):
    """Puts a stream's events together."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, ContentBlockAccumulator] = {}
        self._takes: dict[Any, Callable[[dict[str, Any]], None]] = {
            "content_block_delta": self._delta,
            "content_block_start": self._start,
            "message_start": self._begin,
            "message_delta": self._end,
            "message_stop": self._stop,
            "error": self._fail,
        }

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event."""
        kind = chunk.get("type")
        take = self._takes.get(kind) if isinstance(kind, str) else None
        if take is not None:
            take(chunk)

    def body(self) -> dict[str, Any]:
        """The message as far as known; input that broke off is left out."""
        return self._body(whole=True)

    def answer(self) -> DecodedResponse:
        """What was answered so far; raises ValueError where nothing was."""
        if not self._message and not self._blocks:
            raise ValueError("not a message: nothing came")
        return decode_response(self._body(whole=False))

    def _body(self, *, whole: bool) -> dict[str, Any]:
        content = [self._blocks[index].build(whole=whole) for index in sorted(self._blocks)]
        return {**self._message, "content": content, "usage": self._usage}

    def _begin(self, chunk: dict[str, Any]) -> None:
        self._message = dict(object_or_empty(chunk.get("message")))
        self._usage = dict(object_or_empty(self._message.get("usage")))

    def _start(self, chunk: dict[str, Any]) -> None:
        block = ContentBlockAccumulator(object_or_empty(chunk.get("content_block")))
        self._blocks[index_or_zero(chunk.get("index"))] = block
        self.characters += block.characters

    def _delta(self, chunk: dict[str, Any]) -> None:
        block = self._blocks.get(index_or_zero(chunk.get("index")))
        delta = chunk.get("delta")
        if block is not None and isinstance(delta, dict):
            self.characters += block.add(delta)

    def _end(self, chunk: dict[str, Any]) -> None:
        self._message |= object_or_empty(chunk.get("delta"))
        usage = object_or_empty(chunk.get("usage"))
        self._usage |= {name: count for name, count in usage.items() if count is not None}

    def _stop(self, _: dict[str, Any]) -> None:
        self.finished = True

    def _fail(self, chunk: dict[str, Any]) -> None:
        self.failed = text_or_empty(object_or_empty(chunk.get("error")).get("message")) or "the stream failed"
