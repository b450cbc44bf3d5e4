"""Define the fields that are read of an endpoint's chat completions and chunks, with strict validation."""

import math
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from understudies.events import Message

_LEAST: Final = -1e3


class _ResponseModel(BaseModel):
    model_config = ConfigDict(extra="ignore")


class TokenAlternative(_ResponseModel):
    """Alternative token; older llama.cpp lists the chosen token only here."""

    tok_str: str | None = None
    prob: float | None = None


class TokenLogprob(_ResponseModel):
    """Token with its log-probability, or with its probability, which llama.cpp may send instead."""

    token: str | None = None
    logprob: float | None = None
    prob: float | None = None
    content: str | None = None
    probs: list[TokenAlternative] | None = None

    @property
    def text(self) -> str:
        """What the token spells; nothing if that is not reported."""
        return self.token or self.content or ""

    @property
    def log_probability(self) -> float | None:
        """The log-probability, finite and at most 0; None if it is missing or not a number."""
        logprob = self.logprob
        if logprob is None:
            chosen = self.prob
            if chosen is None:
                chosen = next((one.prob for one in self.probs or () if one.tok_str == self.content), None)
            if chosen is None or math.isnan(chosen):
                return None
            logprob = math.log(chosen) if chosen > 0 else _LEAST
        return None if math.isnan(logprob) else min(0.0, max(logprob, _LEAST))


class ChoiceLogprobs(_ResponseModel):
    """Tokens of a choice."""

    content: list[TokenLogprob] | None = None


class FunctionDelta(_ResponseModel):
    """Delta of a called function."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(_ResponseModel):
    """Delta of a tool call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class MessageDelta(_ResponseModel):
    """Part of the message that a chunk adds."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None

    @property
    def has_content(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning or self.tool_calls)


class CompletionChoice(_ResponseModel):
    """Choice of a completion, complete or partial."""

    index: int = 0
    message: Message | None = None
    delta: MessageDelta | None = None
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str | None = None


class ChatCompletion(_ResponseModel):
    """Completion, or one chunk of it; the last chunk may contain the usage and no choice."""

    choices: list[CompletionChoice] = []
    usage: dict[str, Any] | None = None
    error: Any = None
    completion_probabilities: list[TokenLogprob] | None = None
