"""Chat completions as endpoints send them, whole and in chunks: what is read of them, strictly."""

import math
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from understudies.events import Message

_LEAST: Final = -1e3


class _ResponseModel(BaseModel):
    model_config = ConfigDict(extra="ignore")


class TokenAlternative(_ResponseModel):
    """A token that could have been; older llama.cpp lists the one chosen only here."""

    tok_str: str | None = None
    prob: float | None = None


class TokenLogprob(_ResponseModel):
    """A token with its log-probability, or its probability as llama.cpp may give it."""

    logprob: float | None = None
    prob: float | None = None
    content: str | None = None
    probs: list[TokenAlternative] | None = None

    @property
    def log_probability(self) -> float | None:
        """At most 0 and finite; None where it was not given or is no number."""
        known = self.logprob
        if known is None:
            chosen = self.prob
            if chosen is None:
                chosen = next((one.prob for one in self.probs or () if one.tok_str == self.content), None)
            if chosen is None or math.isnan(chosen):
                return None
            known = math.log(chosen) if chosen > 0 else _LEAST
        return None if math.isnan(known) else min(0.0, max(known, _LEAST))


class ChoiceLogprobs(_ResponseModel):
    """The tokens of a choice."""

    content: list[TokenLogprob] | None = None


class FunctionDelta(_ResponseModel):
    """A piece of a called function."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(_ResponseModel):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class MessageDelta(_ResponseModel):
    """What a chunk adds to the message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None

    @property
    def has_content(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning or self.tool_calls)


class CompletionChoice(_ResponseModel):
    """The first of a completion's choices, whole or in part."""

    index: int = 0
    message: Message | None = None
    delta: MessageDelta | None = None
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str | None = None


class ChatCompletion(_ResponseModel):
    """A completion, or one chunk of it; the last chunk may hold the usage and no choice."""

    choices: list[CompletionChoice] = []
    usage: dict[str, Any] | None = None
    error: Any = None
    completion_probabilities: list[TokenLogprob] | None = None
