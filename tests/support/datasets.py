"""Small datasets of made-up calls."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from tests.support.chat_messages import assistant_message, user_request

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message, fingerprint, split_of

START = datetime(2026, 1, 5, tzinfo=UTC)
TASK = "triage"
INTENTS = {
    "refund": ("money back for order", "refund of my purchase", "return this and pay me back, order"),
    "card arrival": ("where is my new card", "card has not come by post", "when does the card arrive, letter"),
    "change pin": ("set another pin", "forgot the pin of my card", "choose a new secret number, pin"),
}


def example(text: str, answer: Message, number: int = 0, *, temperature: float | None = 0) -> Example:
    """One call, a minute after the one before."""
    request = user_request(text, system="Name the intent.", temperature=temperature)
    print_ = fingerprint(request)
    return Example(
        id=f"call-{number}",
        at=START + timedelta(minutes=number),
        fingerprint=print_,
        split=split_of(print_),
        teacher="teacher-1",
        request=request,
        answer=answer,
    )


def dataset(calls: Iterable[tuple[str, Message]]) -> Dataset:
    """The calls as a dataset, oldest first."""
    return Dataset(TASK, tuple(example(text, answer, number) for number, (text, answer) in enumerate(calls)))


def intents(n: int, answer: Callable[[str, int], Message] = lambda intent, _: assistant_message(intent)) -> Dataset:
    """`n` messages of three intents, easy to tell apart; `answer` makes the teacher's answer of intent and number."""
    names = list(INTENTS)
    calls = []
    for number in range(n):
        intent = names[number % 3]
        text = f"{INTENTS[intent][number // 3 % 3]} number {number * 7919 % 10_007}"
        calls.append((text, answer(intent, number)))
    return dataset(calls)
