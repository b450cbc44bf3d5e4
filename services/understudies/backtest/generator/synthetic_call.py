"""A synthetic call, and functions that vary its text."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class SyntheticCall:
    """A request and the teacher's answer."""

    system: str
    user: str
    answer: str


class SlotFiller(Protocol):
    """Fills the slot of a template by its name."""

    def __call__(self, name: str) -> str: ...


def fill_template(template: str, slot: SlotFiller) -> str:
    """Fill each `{name}` of the template."""
    return _SLOT.sub(lambda match: slot(match[1]), template)


def random_slot_filler(rng: random.Random, words: Mapping[str, Sequence[str]]) -> SlotFiller:
    """Return a filler with random words of a lexicon; `order`, `amount` and `n` get random numbers."""

    def slot(name: str) -> str:
        if name == "order":
            return f"{rng.choice('ABDKLRTX')}{rng.randint(10_000, 99_999)}"
        if name == "amount":
            return f"{rng.randint(3, 480)}.{rng.choice(('00', '50', '90', '95', '99'))}"
        if name == "n":
            return str(rng.randint(2, 14))
        return rng.choice(words[name])

    return slot


def add_typos(text: str, rng: random.Random, rate: float) -> str:
    """Add typing errors: in some words two inner letters are swapped, one is lost or one is doubled."""
    return " ".join(_add_typo(word, rng) if len(word) > 4 and rng.random() < rate else word for word in text.split(" "))


def _add_typo(word: str, rng: random.Random) -> str:
    inner = [k for k, (a, b) in enumerate(pairwise(word)) if k > 0 and a.isalpha() and b.isalpha()]
    if not inner:
        return word
    k = rng.choice(inner)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
    return word[:k] + word[k + 1 :] if kind == 1 else word[:k] + word[k] + word[k:]
