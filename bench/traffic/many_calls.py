"""A log as long as asked for: a month of an agent's calls in several tasks, made and written one call at a time."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import orjson
from bench.traffic.generated_log import GeneratedCall
from bench.traffic.message_source import MessageSource, choose_intents

from understudies.backtest.replay.schedule import DEFAULT_START, sample_arrival_times

DAYS = 30.0
TASKS = 10
_REPEATED_SHARE = 0.1
"""The share of calls that ask what one of the task's latest calls asked."""
_REMEMBERED = 500
_MICROSECOND = timedelta(microseconds=1)


def generate_calls(calls: int, *, tasks: int = TASKS, days: float = DAYS, seed: int = 1) -> Iterator[GeneratedCall]:
    """Yield calls in the order of their times; those of a task are a desk's with twelve intents of its own.

    A task has twice as many calls as the one after the next. The same numbers give the same calls.
    """
    rng = random.Random(f"many-calls:{seed}")
    desks = [MessageSource(choose_intents(4, 3, rng), rng) for _ in range(tasks)]
    weights = [2.0 ** (-place / 2) for place in range(tasks)]
    recent: list[list[tuple[str, str]]] = [[] for _ in range(tasks)]
    # As numbers: millions of datetimes would be 200 MB of the memory that benchmarks measure.
    times = sample_arrival_times(calls, days, DEFAULT_START, rng)
    offsets = np.fromiter(((at - DEFAULT_START) // _MICROSECOND for at in times), dtype=np.int64, count=calls)
    del times
    for offset in offsets:
        at = DEFAULT_START + int(offset) * _MICROSECOND
        place = rng.choices(range(tasks), weights)[0]
        known = recent[place]
        if known and rng.random() < _REPEATED_SHARE:
            text, answer = rng.choice(known)
        else:
            said = desks[place].sample_message()
            text, answer = said.text, said.answer
            if len(known) < _REMEMBERED:
                known.append((text, answer))
            else:
                known[rng.randrange(_REMEMBERED)] = text, answer
        yield GeneratedCall(at, text, answer, task=f"desk-{place}")


def write_log(path: Path, calls: Iterator[GeneratedCall]) -> None:
    """Write calls as JSON lines."""
    with path.open("wb") as file:
        for call in calls:
            file.write(orjson.dumps(call.to_record(), option=orjson.OPT_APPEND_NEWLINE))
