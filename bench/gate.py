"""One verdict through all the gates of a student: the vectorised selective gate against a loop over plain gates.

Run as `python bench/gate.py`; the last line is one JSON object. Every verdict reaches all thresholds, the worst case.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

from understudies.stats.coverage import COVERAGES, Threshold
from understudies.stats.gate import Gate
from understudies.stats.selective import SelectiveGate

VERDICTS = 4_000
ROUNDS = 5
BUDGET_MICROSECONDS = 50.0


def make_candidates() -> list[Threshold]:
    return [Threshold(1.0 - coverage, coverage) for coverage in COVERAGES]


def play_selective_gate(scores: list[float]) -> None:
    gate = SelectiveGate(make_candidates(), n_max=10**9)
    for score in scores:
        gate.update(score, 1.0)


def play_plain_gates(scores: list[float]) -> None:
    thresholds = make_candidates()
    gates = [Gate() for _ in thresholds]
    for score in scores:
        gates = [
            gate.update(score) if threshold.confidence <= 1.0 else gate
            for gate, threshold in zip(gates, thresholds, strict=True)
        ]


def measure_microseconds(play: Callable[[list[float]], None], scores: list[float]) -> float:
    """Best of several rounds, per verdict: other processes only ever add time."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        play(scores)
        best = min(best, time.perf_counter() - start)
    return best / len(scores) * 1e6


def main() -> None:
    draw = random.Random(1)
    scores = [float(draw.random() < 0.97) for _ in range(VERDICTS)]
    fast, slow = (
        measure_microseconds(play_selective_gate, scores),
        measure_microseconds(play_plain_gates, scores[: VERDICTS // 8]),
    )
    print(f"{len(COVERAGES)} thresholds, {VERDICTS} verdicts, best of {ROUNDS} rounds")
    print(
        json.dumps(
            {
                "bench": "gate",
                "thresholds": len(COVERAGES),
                "selective_us_per_verdict": round(fast, 2),
                "plain_us_per_verdict": round(slow, 2),
                "ratio": round(slow / fast, 2),
                "budget_us": BUDGET_MICROSECONDS,
                "within_budget": fast <= BUDGET_MICROSECONDS,
            }
        )
    )


if __name__ == "__main__":
    main()
