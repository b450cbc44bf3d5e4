"""Assemble an answer as a model generates it: its text and tool calls so far, and their log-probability."""

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from understudies.dialects.openai_chat.response import decode_usage
from understudies.events import FunctionCall, Message, ToolCall, Usage
from understudies.students.endpoint.answer_tokens import AnswerTokens
from understudies.students.endpoint.schema import ChatCompletion, CompletionChoice, TokenLogprob, ToolCallDelta

_BAD_ENDS: Final = frozenset({"abort", "content_filter", "error"})
STREAM_END: Final = b"[DONE]"


class Generation:
    """Answer assembled from chunks or read whole; raises ValueError for anything but a chat completion.

    `prompt_chars` is the number of characters of the request, to estimate its tokens if none are reported.
    """

    def __init__(self, prompt_chars: int = 0) -> None:
        self._prompt_chars = prompt_chars
        self._text: list[str] = []
        self._calls: dict[int, _ToolCallBuilder] = {}
        self._message: Message | None = None
        self._tokens = AnswerTokens()
        self._chunks = 0
        self._usage: Usage | None = None
        self.finish_reason: str | None = None

    def add_chunk(self, chunk: bytes) -> None:
        """Add the next chunk of a stream."""
        if chunk == STREAM_END:
            return
        completion = _parse(chunk)
        choices = [choice for choice in completion.choices if choice.index == 0]
        deltas = [choice.delta for choice in choices if choice.delta is not None]
        for choice in choices:
            self._append(choice)
        text = "".join(delta.content or "" for delta in deltas)
        is_text_only = all(bool(delta.content) or not delta.has_content for delta in deltas)
        self._tokens.add(self._read_tokens(completion, choices), text, is_text_only=is_text_only)

    def set_whole(self, body: bytes) -> None:
        """Set the complete answer from the body of a response."""
        completion = _parse(body)
        choice = next(iter(completion.choices), None)
        if choice is None or choice.message is None:
            raise ValueError("it has no choice with a message")
        self._message = choice.message
        self.finish_reason = choice.finish_reason or "stop"
        tokens = self._read_tokens(completion, [choice])
        self._tokens.add_whole(tokens, "" if choice.message.tool_calls else choice.message.text)

    @property
    def tokens(self) -> int:
        """The number of tokens so far; of chunks with content, if tokens are not reported individually."""
        return max(self._tokens.count, self._chunks)

    @property
    def log_sum(self) -> float:
        """The sum of the log-probabilities so far, at most 0; it never rises."""
        return self._tokens.log_sum

    @property
    def log_probability(self) -> float | None:
        """The logarithm of the whole answer's probability; None if fewer than half of its tokens have one."""
        expected = max(self._usage.completion_tokens if self._usage else 0, self._chunks)
        return self._tokens.log_sum if self._tokens.count and 2 * self._tokens.count >= expected else None

    @property
    def usage(self) -> Usage:
        """The reported usage; else the tokens seen, with those of the prompt estimated at four characters each."""
        return self._usage or Usage(prompt_tokens=-(-self._prompt_chars // 4), completion_tokens=self.tokens)

    def message(self) -> Message:
        """Return the complete message; raises ValueError if it is empty or has not ended properly."""
        if self.finish_reason is None:
            raise ValueError("it was truncated")
        if self.finish_reason in _BAD_ENDS:
            raise ValueError(f"it ended with finish reason {self.finish_reason!r}")
        message = self._message or self._assemble()
        if not message.text and not message.tool_calls:
            raise ValueError("it is empty")
        return message

    def _append(self, choice: CompletionChoice) -> None:
        delta = choice.delta
        if delta is not None and delta.has_content:
            self._chunks += 1
            self._text.append(delta.content or "")
            for call_delta in delta.tool_calls or ():
                self._call_for(call_delta).add(call_delta)
        self.finish_reason = choice.finish_reason or self.finish_reason

    def _call_for(self, delta: ToolCallDelta) -> "_ToolCallBuilder":
        """Return the call that a delta belongs to; without an index, a delta with an id begins a new call."""
        latest = max(self._calls, default=-1)
        index = delta.index if delta.index is not None else latest + 1 if delta.id else max(latest, 0)
        return self._calls.setdefault(index, _ToolCallBuilder())

    def _read_tokens(self, completion: ChatCompletion, choices: Sequence[CompletionChoice]) -> list[TokenLogprob]:
        """Read the usage, and return the tokens."""
        if completion.usage is not None:
            self._usage = decode_usage(completion.usage).plausible
        tokens: list[TokenLogprob] = []
        for choice in choices:
            tokens += (choice.logprobs.content if choice.logprobs else None) or ()
        return tokens or completion.completion_probabilities or []

    def _assemble(self) -> Message:
        calls = tuple(self._calls[index].build() for index in sorted(self._calls))
        return Message(role="assistant", content="".join(self._text) or None, tool_calls=calls or None)


class _ToolCallBuilder:
    """Builder of a tool call from deltas."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        self._id = self._id or delta.id or ""
        if delta.function is not None:
            self._name = self._name or delta.function.name or ""
            self._arguments.append(delta.function.arguments or "")

    def build(self) -> ToolCall:
        if not self._name:
            raise ValueError("it calls a tool without a name")
        return ToolCall(id=self._id, function=FunctionCall(name=self._name, arguments="".join(self._arguments) or "{}"))


def _parse(text: bytes) -> ChatCompletion:
    try:
        completion = ChatCompletion.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("it is not a chat completion") from error
    if completion.error:
        raise ValueError("it reports an error")
    return completion
