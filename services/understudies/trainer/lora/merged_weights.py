"""Merge an adapter into its base's weights with PEFT, and read what was written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.prompt import Turn
from understudies.trainer.lora.base_weights import generate_answers, load_base, stored_dtype

_AT_ONCE: Final = 16
_HALF: Final = (torch.bfloat16, torch.float16)


class AdaptedBase:
    """Base in single precision with an adapter from its files, which answers and is then merged."""

    def __init__(self, weights: Path, adapter: Path) -> None:
        base, self._tokenizer = load_base(weights, torch.float32)
        stored = stored_dtype(weights)
        self._dtype = stored if stored in _HALF else torch.float16
        self._peft: Any = PeftModel.from_pretrained(base, adapter).eval()

    def answer(self, chats: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
        """Return the greedy answers to some chats."""
        return _answer(self._peft, self._tokenizer, chats, max_tokens)

    def merge(self, target: Path) -> None:
        """Write base and adapter as one model in 16 bits, with the tokenizer; the object is of no use afterwards.

        Their format is the base's own, if that has 16 bits, else float16, which is finer than bfloat16. Raises
        ArtifactError for numbers that it does not hold.
        """
        merged = self._peft.merge_and_unload(safe_merge=True)
        merged.to(self._dtype)
        if not all(one.isfinite().all() for one in merged.parameters()):
            raise ArtifactError("the merged weights exceed what 16 bits hold: serve base and adapter instead")
        merged.generation_config.eos_token_id = self._tokenizer.eos_token_id
        merged.generation_config.pad_token_id = self._tokenizer.pad_token_id
        merged.save_pretrained(target, safe_serialization=True)
        self._tokenizer.save_pretrained(target)


def answer_by_merged(folder: Path, chats: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
    """Return the greedy answers of a merged model as it was written."""
    model, tokenizer = load_base(folder, torch.float32)
    return _answer(model.eval(), tokenizer, chats, max_tokens)


def _answer(model: Any, tokenizer: Any, chats: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
    answers: list[str] = []
    for start in range(0, len(chats), _AT_ONCE):
        answers += generate_answers(model, tokenizer, chats[start : start + _AT_ONCE], max_tokens)
    return answers
