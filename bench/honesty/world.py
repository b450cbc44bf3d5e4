"""A made-up task: intents, how often each occurs, and messages that are easy or hard to tell."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.honesty.words import MATTERS, VAGUE, WISHES

from understudies.backtest.generator.call import Slots, filled, misspelt, slots_of
from understudies.backtest.generator.tickets import ASKS, CLOSINGS, DETAILS, GREETINGS, WORDS

_TYPOS = 0.02


class Intent(NamedTuple):
    """A matter and what is wanted of it."""

    matter: str
    wish: str

    @property
    def label(self) -> str:
        return f"{self.matter}-{self.wish}"


def intents(matters: int, wishes: int, rng: random.Random) -> list[Intent]:
    """That many matters with that many wishes each."""
    chosen = rng.sample(sorted(MATTERS), matters)
    return [Intent(matter, wish) for matter in chosen for wish in rng.sample(sorted(WISHES), wishes)]


@dataclass(frozen=True, slots=True)
class Said:
    """A message and the answer that a careful teacher gives to it."""

    text: str
    answer: str
    intent: Intent


class World:
    """Messages of one desk.

    A share `vague` of them names the matter alone: the teacher's answer is one of the matter's, by odds. A share
    `double` names two wishes, of which the first mostly counts. No reader of the text can be right there all the time,
    and a student can tell that these are hard.
    """

    def __init__(
        self, intents: Sequence[Intent], rng: random.Random, *, vague: float = 0.16, double: float = 0.06
    ) -> None:
        self.intents = list(intents)
        self._rng = rng
        self._vague, self._double = vague, double
        self._weights = [1.0 / (place + 6) for place in range(len(self.intents))]
        self._slots: Slots = slots_of(rng, WORDS)

    def say(self, extra: Sequence[str] = ()) -> Said:
        """One message of an intent drawn by its weight; one of `extra` is said too, where there are some."""
        return self.of(self._rng.choices(self.intents, self._weights)[0], extra)

    def of(self, intent: Intent, extra: Sequence[str] = ()) -> Said:
        """A message of an intent, as easy or hard as they come."""
        rng, draw = self._rng, self._rng.random()
        if draw < self._vague:
            siblings = [other for other in self.intents if other.matter == intent.matter]
            meant = rng.choices(siblings, [0.5**place for place in range(len(siblings))])[0]
            return Said(self._message(self._about(rng.choice(VAGUE), intent.matter), extra), meant.label, meant)
        body = self._wish(intent)
        if draw < self._vague + self._double:
            other = rng.choice(self.intents)
            body += " Also, " + self._wish(other)
            if rng.random() < 0.25:
                return Said(self._message(body, extra), other.label, other)
        return Said(self._message(body, extra), intent.label, intent)

    def plain(self, intent: Intent) -> str:
        """What an intent is in the words of most: an easy message without anything around it."""
        return filled(self._about(WISHES[intent.wish][0], intent.matter), self._slots)

    def clear(self, intent: Intent) -> Said:
        """An easy message of an intent."""
        return Said(self._message(self._wish(intent), ()), intent.label, intent)

    def other(self, answer: str) -> str:
        """Any other answer of this desk."""
        return self._rng.choice([intent.label for intent in self.intents if intent.label != answer])

    def _wish(self, intent: Intent) -> str:
        return self._about(self._rng.choice(WISHES[intent.wish]), intent.matter)

    def _about(self, template: str, matter: str) -> str:
        return template.replace("{matter}", self._rng.choice(MATTERS[matter]))

    def _message(self, body: str, extra: Sequence[str]) -> str:
        rng = self._rng
        parts = [rng.choice(GREETINGS), body]
        if rng.random() < 0.3:
            parts.append(rng.choice(DETAILS))
        if extra:
            parts.append(rng.choice(extra))
        parts += [rng.choice(ASKS), rng.choice(CLOSINGS)]
        text = filled(" ".join(part for part in parts if part), self._slots)
        return misspelt(text.lower() if rng.random() < 0.15 else text, rng, _TYPOS)
