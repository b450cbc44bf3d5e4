"""Token counts where a model reported none, by what its complete calls have taught."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from understudies.events import Usage

_FIRST_GUESS: Final = 4.0
"""Bytes of a request per prompt token, and characters of an answer per completion token, before any is known."""
_DECAY: Final = 0.98
"""What a complete call still weighs after the next one."""
_PLAUSIBLE: Final = (0.02, 100.0)
"""Below it thinking is hidden or a conversation is kept by the provider, above it pictures are sent."""
_MAX_MODELS: Final = 1000


@dataclass(slots=True)
class _Ratio:
    """Size per token, a mean over the calls in which later ones weigh more."""

    size: float = 0.0
    tokens: float = 0.0

    @property
    def value(self) -> float:
        return self.size / self.tokens if self.tokens else _FIRST_GUESS

    def add(self, size: int, tokens: int) -> None:
        if tokens > 0 and _PLAUSIBLE[0] <= size / tokens <= _PLAUSIBLE[1]:
            self.size = self.size * _DECAY + size
            self.tokens = self.tokens * _DECAY + tokens


class TokenEstimator:
    """Learns each model's bytes per prompt token and characters per completion token."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, tuple[_Ratio, _Ratio]] = OrderedDict()

    def add(self, model: str, request_bytes: int, answer_characters: int, usage: Usage) -> None:
        """Take note of a complete call; sizes that are no measure of its tokens, as of pictures, are passed over."""
        prompt, completion = self._ratios_of(model)
        prompt.add(request_bytes, usage.prompt_tokens)
        completion.add(answer_characters, usage.completion_tokens)

    def estimate(self, model: str, request_bytes: int, answer_characters: int, known: Usage | None = None) -> Usage:
        """The likely usage of a call; what `known` counts already is taken from there."""
        prompt, completion = self._models.get(model) or (_Ratio(), _Ratio())
        known = known or Usage()
        return Usage(
            prompt_tokens=known.prompt_tokens or round(request_bytes / prompt.value),
            completion_tokens=max(known.completion_tokens, round(answer_characters / completion.value)),
            cached_tokens=known.cached_tokens,
        )

    def _ratios_of(self, model: str) -> tuple[_Ratio, _Ratio]:
        found = self._models.get(model)
        if found is None:
            if len(self._models) >= _MAX_MODELS:
                self._models.popitem(last=False)
            found = self._models[model] = (_Ratio(), _Ratio())
        return found
