"""An answer as a model writes it: its text and calls so far, and how likely they were."""

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from understudies.dialects.openai_chat.response import decode_usage
from understudies.events import FunctionCall, Message, ToolCall, Usage
from understudies.students.endpoint.schema import ChatCompletion, CompletionChoice, TokenLogprob, ToolCallDelta

_BAD_ENDS: Final = frozenset({"abort", "content_filter", "error"})
STREAM_END: Final = b"[DONE]"


class Generation:
    """Grows by chunks, or comes whole; what is no chat completion is a ValueError.

    `prompt_chars` are the characters of what was asked, for an estimate of tokens where none are reported.
    """

    def __init__(self, prompt_chars: int = 0) -> None:
        self._prompt_chars = prompt_chars
        self._text: list[str] = []
        self._calls: dict[int, _ToolCallBuilder] = {}
        self._message: Message | None = None
        self._log_sum = 0.0
        self._counted = 0
        self._chunks = 0
        self._usage: Usage | None = None
        self.finish_reason: str | None = None

    def add_chunk(self, chunk: bytes) -> None:
        """The next chunk of a stream."""
        if chunk == STREAM_END:
            return
        read = _parse(chunk)
        for choice in read.choices:
            if choice.index == 0 and choice.delta is not None:
                self._append(choice)
        self._count(read, [choice for choice in read.choices if choice.index == 0])

    def set_whole(self, body: bytes) -> None:
        """The whole answer."""
        read = _parse(body)
        choice = next(iter(read.choices), None)
        if choice is None or choice.message is None:
            raise ValueError("it has no choice with a message")
        self._message = choice.message
        self.finish_reason = choice.finish_reason or "stop"
        self._count(read, [choice])

    @property
    def tokens(self) -> int:
        """Tokens so far; chunks that say something, where tokens are not told apart."""
        return max(self._counted, self._chunks)

    @property
    def log_sum(self) -> float:
        """The sum of the log-probabilities so far, at most 0: it can only fall."""
        return self._log_sum

    @property
    def log_probability(self) -> float | None:
        """The logarithm of the whole answer's probability; None where it was not told for half of its tokens."""
        expected = max(self._usage.completion_tokens if self._usage else 0, self._chunks)
        return self._log_sum if self._counted and 2 * self._counted >= expected else None

    @property
    def usage(self) -> Usage:
        """As reported; where it was not, the tokens seen, and those of the prompt estimated at four characters each."""
        return self._usage or Usage(prompt_tokens=-(-self._prompt_chars // 4), completion_tokens=self.tokens)

    def message(self) -> Message:
        """The whole message; raises ValueError where it is empty or has not come to its end."""
        if self.finish_reason is None:
            raise ValueError("it broke off before its end")
        if self.finish_reason in _BAD_ENDS:
            raise ValueError(f"it ended for the reason {self.finish_reason!r}")
        message = self._message or self._assemble()
        if not message.text and not message.tool_calls:
            raise ValueError("it is empty")
        return message

    def _append(self, choice: CompletionChoice) -> None:
        delta = choice.delta
        if delta is not None and delta.has_content:
            self._chunks += 1
            self._text.append(delta.content or "")
            for piece in delta.tool_calls or ():
                self._call_for(piece).add(piece)
        self.finish_reason = choice.finish_reason or self.finish_reason

    def _call_for(self, piece: ToolCallDelta) -> "_ToolCallBuilder":
        """The call that a piece belongs to; without an index, one with an id begins another."""
        latest = max(self._calls, default=-1)
        index = piece.index if piece.index is not None else latest + 1 if piece.id else max(latest, 0)
        return self._calls.setdefault(index, _ToolCallBuilder())

    def _count(self, read: ChatCompletion, choices: Sequence[CompletionChoice]) -> None:
        if read.usage is not None:
            self._usage = decode_usage(read.usage).plausible
        tokens: list[TokenLogprob] = []
        for choice in choices:
            tokens += (choice.logprobs.content if choice.logprobs else None) or ()
        for token in tokens or read.completion_probabilities or ():
            known = token.log_probability
            if known is not None:
                self._log_sum += known
                self._counted += 1

    def _assemble(self) -> Message:
        calls = tuple(self._calls[index].build() for index in sorted(self._calls))
        return Message(role="assistant", content="".join(self._text) or None, tool_calls=calls or None)


class _ToolCallBuilder:
    """A tool call in pieces."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, piece: ToolCallDelta) -> None:
        self._id = self._id or piece.id or ""
        if piece.function is not None:
            self._name = self._name or piece.function.name or ""
            self._arguments.append(piece.function.arguments or "")

    def build(self) -> ToolCall:
        if not self._name:
            raise ValueError("it calls a tool without a name")
        return ToolCall(id=self._id, function=FunctionCall(name=self._name, arguments="".join(self._arguments) or "{}"))


def _parse(text: bytes) -> ChatCompletion:
    try:
        read = ChatCompletion.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("it is no chat completion") from error
    if read.error:
        raise ValueError("it reports an error")
    return read
