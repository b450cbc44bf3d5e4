"""A made-up task: intents, how often each occurs, and messages that are easy or hard to tell."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.traffic.vocabulary import ACTION_PHRASES, TOPIC_PHRASES, VAGUE_PHRASES

from understudies.backtest.generator.synthetic_call import SlotFiller, add_typos, fill_template, random_slot_filler
from understudies.backtest.generator.ticket_phrases import ASKS, CLOSINGS, DETAILS, GREETINGS, WORDS

_TYPOS = 0.02


class Intent(NamedTuple):
    """A matter and what is wanted of it."""

    topic: str
    action: str

    @property
    def label(self) -> str:
        return f"{self.topic}-{self.action}"


def choose_intents(matters: int, wishes: int, rng: random.Random) -> list[Intent]:
    """That many matters with that many wishes each."""
    chosen = rng.sample(sorted(TOPIC_PHRASES), matters)
    return [Intent(matter, wish) for matter in chosen for wish in rng.sample(sorted(ACTION_PHRASES), wishes)]


@dataclass(frozen=True, slots=True)
class LabelledMessage:
    """A message and the answer that a careful teacher gives to it."""

    text: str
    answer: str
    intent: Intent


class MessageSource:
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
        self._slots: SlotFiller = random_slot_filler(rng, WORDS)

    def sample_message(self, extra: Sequence[str] = ()) -> LabelledMessage:
        """One message of an intent drawn by its weight; one of `extra` is said too, where there are some."""
        return self.message_for(self._rng.choices(self.intents, self._weights)[0], extra)

    def message_for(self, intent: Intent, extra: Sequence[str] = ()) -> LabelledMessage:
        """A message of an intent, as easy or hard as they come."""
        rng, draw = self._rng, self._rng.random()
        if draw < self._vague:
            siblings = [other for other in self.intents if other.topic == intent.topic]
            meant = rng.choices(siblings, [0.5**place for place in range(len(siblings))])[0]
            return LabelledMessage(
                self._compose(self._fill_topic(rng.choice(VAGUE_PHRASES), intent.topic), extra), meant.label, meant
            )
        body = self._action_phrase(intent)
        if draw < self._vague + self._double:
            other = rng.choice(self.intents)
            body += " Also, " + self._action_phrase(other)
            if rng.random() < 0.25:
                return LabelledMessage(self._compose(body, extra), other.label, other)
        return LabelledMessage(self._compose(body, extra), intent.label, intent)

    def plain_text(self, intent: Intent) -> str:
        """What an intent is in the words of most: an easy message without anything around it."""
        return fill_template(self._fill_topic(ACTION_PHRASES[intent.action][0], intent.topic), self._slots)

    def clear_message(self, intent: Intent) -> LabelledMessage:
        """An easy message of an intent."""
        return LabelledMessage(self._compose(self._action_phrase(intent), ()), intent.label, intent)

    def other_answer(self, answer: str) -> str:
        """Any other answer of this desk."""
        return self._rng.choice([intent.label for intent in self.intents if intent.label != answer])

    def _action_phrase(self, intent: Intent) -> str:
        return self._fill_topic(self._rng.choice(ACTION_PHRASES[intent.action]), intent.topic)

    def _fill_topic(self, template: str, matter: str) -> str:
        return template.replace("{matter}", self._rng.choice(TOPIC_PHRASES[matter]))

    def _compose(self, body: str, extra: Sequence[str]) -> str:
        rng = self._rng
        parts = [rng.choice(GREETINGS), body]
        if rng.random() < 0.3:
            parts.append(rng.choice(DETAILS))
        if extra:
            parts.append(rng.choice(extra))
        parts += [rng.choice(ASKS), rng.choice(CLOSINGS)]
        text = fill_template(" ".join(part for part in parts if part), self._slots)
        return add_typos(text.lower() if rng.random() < 0.15 else text, rng, _TYPOS)
