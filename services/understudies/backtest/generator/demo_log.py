"""Generate fourteen days of an agent's calls: five tasks of different value."""

import gzip
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from understudies.backtest.generator.copywriting import generate_copywriting
from understudies.backtest.generator.extraction import generate_extraction
from understudies.backtest.generator.refunds import generate_refunds
from understudies.backtest.generator.routing import generate_routing
from understudies.backtest.generator.synthetic_call import SyntheticCall
from understudies.backtest.generator.triage import generate_triage
from understudies.backtest.replay.schedule import DEFAULT_START, sample_arrival_times

DEFAULT_CALLS = 9000
_DAYS = 14.0
_MODEL = "gpt-frontier"
_USD_PER_PROMPT_TOKEN = 15e-6
_USD_PER_COMPLETION_TOKEN = 60e-6
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class _TaskSpec:
    name: str
    share: float
    make: Callable[[random.Random, int], Iterator[SyntheticCall]]
    temperature: float = 0.0
    critical: bool = False


_TASKS = (
    _TaskSpec("ticket-triage", 4000 / 9000, generate_triage),
    _TaskSpec("order-extraction", 2300 / 9000, generate_extraction),
    _TaskSpec("marketing-copy", 580 / 9000, generate_copywriting, temperature=0.9),
    _TaskSpec("refund-approval", 120 / 9000, generate_refunds, critical=True),
    _TaskSpec("language-routing", 2000 / 9000, generate_routing),
)


def generate_demo_log(path: str | Path, *, seed: int = 7, calls: int = DEFAULT_CALLS) -> None:
    """Write about that many recorded calls as JSON lines; the same seed and number give the same bytes.

    `ticket-triage` has eight labels, `order-extraction` open values and many resent notices, `marketing-copy` no two
    answers alike, `refund-approval` few calls that are critical, and the teacher of `language-routing` renames its
    largest class after three quarters of the time.
    """
    timed = [entry for task in _TASKS for entry in _generate_calls(task, seed, max(round(calls * task.share), 1))]
    timed.sort(key=lambda entry: entry[0])
    lines = b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for _, record in timed)
    target = Path(path)
    target.write_bytes(gzip.compress(lines, mtime=0) if target.suffix == ".gz" else lines)


def _generate_calls(task: _TaskSpec, seed: int, count: int) -> Iterator[tuple[datetime, dict[str, Any]]]:
    rng = random.Random(f"{seed}:{task.name}")
    moments = sample_arrival_times(count, _DAYS, DEFAULT_START, rng)
    for at, call in zip(moments, task.make(rng, count), strict=True):
        yield at, _build_record(task, call, at, rng)


def _build_record(task: _TaskSpec, call: SyntheticCall, at: datetime, rng: random.Random) -> dict[str, Any]:
    prompt = _estimate_tokens(call.system) + _estimate_tokens(call.user)
    thought = round(rng.lognormvariate(5.2, 0.3))
    completion = _estimate_tokens(call.answer) + thought
    cost = prompt * _USD_PER_PROMPT_TOKEN + completion * _USD_PER_COMPLETION_TOKEN
    record: dict[str, Any] = {
        "task": task.name,
        "created": round(at.timestamp(), 3),
        "model": _MODEL,
        "temperature": task.temperature,
        "messages": [
            {"role": "system", "content": call.system},
            {"role": "user", "content": call.user},
            {"role": "assistant", "content": call.answer},
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "completion_tokens_details": {"reasoning_tokens": thought},
            "cost": round(cost, 9),
        },
        "latency_ms": round(rng.lognormvariate(6.2, 0.25) + 8.0 * completion, 1),
    }
    if task.critical:
        record["critical"] = True
    return record


def _estimate_tokens(text: str) -> int:
    return max(len(text) // _CHARACTERS_PER_TOKEN, 1)
