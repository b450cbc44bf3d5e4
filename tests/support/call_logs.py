"""Small logs of recorded calls, one task for each way that a backtest can end."""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

START = datetime(2026, 1, 5, tzinfo=UTC)
LogEntry = tuple[datetime, dict[str, Any]]
AnswerRule = Callable[[str, float, random.Random], str]

LABELS = ("refund", "delivery", "password", "cancel")
_SAID = {
    "refund": ("pay me back for", "I want my money back for", "refund the price of"),
    "delivery": ("where is the parcel with", "when will you deliver", "the courier never brought"),
    "password": ("I cannot sign in to order", "reset my password, I want to buy", "my login is locked, I need"),
    "cancel": ("stop my order of", "please cancel", "I no longer want you to send"),
}
_THINGS = ("the kettle", "a lamp", "two chairs", "the red blanket", "a mirror", "the knife set", "a bookshelf")


def build_record(task: str | None, user: str, answer: str, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """One recorded call in the native form."""
    known: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Name the queue of this message."},
            {"role": "user", "content": user},
            {"role": "assistant", "content": answer},
        ]
    }
    if task is not None:
        known["task"] = task
    if at is not None:
        known["created"] = at.timestamp()
    return {**known, **more}


def constant_answer(label: str, place: float, rng: random.Random) -> str:
    """A teacher who knows."""
    return label


def random_answer(label: str, place: float, rng: random.Random) -> str:
    """A teacher who draws one of four labels, whatever was asked."""
    return rng.choice(LABELS)


def skewed_answer(label: str, place: float, rng: random.Random) -> str:
    """A teacher who says the same to 96 of 100, and something else to 4 at random."""
    return LABELS[0] if rng.random() < 0.96 else LABELS[1]


def changing_answer(place_of_change: float) -> AnswerRule:
    """A teacher who from then on, as a share of the time, names every queue otherwise."""
    return lambda label, place, rng: label if place < place_of_change else f"desk-{LABELS.index(label)}"


def essay_answer(label: str, place: float, rng: random.Random) -> str:
    """A teacher who writes."""
    words = [rng.choice(("soft", "wool", "morning", "quiet", "light", "stone", "paper", "slow")) for _ in range(60)]
    return f"{' '.join(words)}, {rng.random():.12f}."


def task_entries(
    name: str | None,
    count: int,
    *,
    days: float,
    answer: AnswerRule = constant_answer,
    unclear: float = 0.0,
    seed: int = 1,
    **more: Any,
) -> Iterator[LogEntry]:
    """Calls of one task, evenly over some days, each input nearly always another.

    A share of the messages can be `unclear`: nothing in them tells the label.
    """
    rng = random.Random(f"{seed}:{name}")
    for number in range(count):
        place = number / count
        at = START + timedelta(days=days * place, seconds=rng.random())
        label = rng.choice(LABELS)
        said = "I am writing about" if rng.random() < unclear else rng.choice(_SAID[label])
        user = f"{said} {rng.choice(_THINGS)}, number {rng.randint(1, 99_999)}."
        yield at, build_record(name, user, answer(label, place, rng), at, **more)


def write_log(path: Path, *tasks: Iterable[LogEntry]) -> Path:
    """The calls of all tasks in order of time, as JSON lines."""
    entries = sorted((entry for entries in tasks for entry in entries), key=lambda entry: entry[0])
    path.write_bytes(b"".join(orjson.dumps(call, option=orjson.OPT_APPEND_NEWLINE) for _, call in entries))
    return path
