"""The events of Anthropic's streams, put together on their way to the caller."""

from collections.abc import Callable
from typing import Any

from understudies.router.dialects.base import Answered
from understudies.router.dialects.fields import mapping_of, place_of, text_of
from understudies.router.dialects.messages.answered import answered
from understudies.router.dialects.messages.block import Block
from understudies.router.dialects.passing import PassingAssembler


class MessagesAssembler(PassingAssembler):
    """Puts a stream's events together."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, Block] = {}
        self._takes: dict[Any, Callable[[dict[str, Any]], None]] = {
            "content_block_delta": self._delta,
            "content_block_start": self._start,
            "message_start": self._begin,
            "message_delta": self._end,
            "message_stop": self._stop,
            "error": self._fail,
        }

    def take(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event."""
        kind = chunk.get("type")
        take = self._takes.get(kind) if isinstance(kind, str) else None
        if take is not None:
            take(chunk)

    def body(self) -> dict[str, Any]:
        """The message as far as known; input that broke off is left out."""
        return self._body(whole=True)

    def answer(self) -> Answered:
        """What was answered so far; raises ValueError where nothing was."""
        if not self._message and not self._blocks:
            raise ValueError("not a message: nothing came")
        return answered(self._body(whole=False))

    def _body(self, *, whole: bool) -> dict[str, Any]:
        content = [self._blocks[index].block(whole=whole) for index in sorted(self._blocks)]
        return {**self._message, "content": content, "usage": self._usage}

    def _begin(self, chunk: dict[str, Any]) -> None:
        self._message = dict(mapping_of(chunk.get("message")))
        self._usage = dict(mapping_of(self._message.get("usage")))

    def _start(self, chunk: dict[str, Any]) -> None:
        block = Block(mapping_of(chunk.get("content_block")))
        self._blocks[place_of(chunk.get("index"))] = block
        self.chars += block.chars

    def _delta(self, chunk: dict[str, Any]) -> None:
        block = self._blocks.get(place_of(chunk.get("index")))
        delta = chunk.get("delta")
        if block is not None and isinstance(delta, dict):
            self.chars += block.add(delta)

    def _end(self, chunk: dict[str, Any]) -> None:
        self._message |= mapping_of(chunk.get("delta"))
        usage = mapping_of(chunk.get("usage"))
        self._usage |= {name: count for name, count in usage.items() if count is not None}

    def _stop(self, _: dict[str, Any]) -> None:
        self.finished = True

    def _fail(self, chunk: dict[str, Any]) -> None:
        self.failed = text_of(mapping_of(chunk.get("error")).get("message")) or "the stream failed"
