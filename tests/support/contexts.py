"""Calls whose system prompt holds a record or retrieved passages."""

import random
from collections.abc import Callable
from datetime import timedelta

from tests.support.datasets import START

from understudies.datasets.dataset import Example
from understudies.events import Message, Request, fingerprint, split_of

REFUNDS = "Decide by the customer's record whether the request may be granted. Answer only yes or no."
FRENCH = "Translate what the user writes into French, keep the names of places, and explain nothing."
QUESTIONS = ("May I have a refund?", "Cancel my order, please.", "I want my money back.", "Send me a new card.")


def passage(rng: random.Random, words: int = 60) -> str:
    """Made-up words."""
    return " ".join("".join(rng.choices("abcdefghiklmnoprstuw", k=rng.randint(3, 9))) for _ in range(words))


def request(system: str, text: str = "Hello") -> Request:
    return Request(messages=(Message(role="system", content=system), Message(role="user", content=text)))


def record(rng: random.Random, plan: str) -> str:
    """A system prompt with a customer's record."""
    return f"{REFUNDS}\nCustomer: {passage(rng, 2)}\nPlan: {plan}\nNotes: {passage(rng, 40)}"


def examples_decided_by_record(
    n: int, answer: Callable[[str, random.Random], str] | None = None, texts: tuple[str, ...] = QUESTIONS, seed: int = 1
) -> list[Example]:
    """Calls with few texts, whose answer depends on the plan in the customer's record alone."""
    rng = random.Random(seed)
    examples = []
    for number in range(n):
        plan = rng.choice(("gold", "silver"))
        asked = request(record(rng, plan), rng.choice(texts))
        said = answer(plan, rng) if answer else ("yes" if plan == "gold" else "no")
        print_ = fingerprint(asked)
        examples.append(
            Example(
                id=f"call-{number}",
                at=START + timedelta(minutes=number),
                fingerprint=print_,
                split=split_of(print_),
                teacher="teacher-1",
                request=asked,
                answer=Message(role="assistant", content=said),
            )
        )
    return examples
