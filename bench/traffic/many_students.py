"""A borderline student every week for a year: how often one of them is promoted wrongly. Gates alone, no loop."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.traffic.scenario_summary import KeptCount

from understudies.stats.coverage import COVERAGES, Threshold
from understudies.stats.selective import SelectiveGate

_WEEKS = 52
_DAYS = 7
_A_DAY = 100
_ALPHA = 0.05
_AGREEMENTS = (0.95, 0.94)
_YEARS_A_SEED = 5

_LEVELS: Final[Mapping[str, Callable[[int], float]]] = {
    "alpha each": lambda k: _ALPHA,
    "6 alpha / (pi k)^2": lambda k: 6 * _ALPHA / (math.pi * k) ** 2,
}


def simulate_many_students(seeds: int) -> dict[str, Any]:
    """By agreement and by what the k-th student is given of alpha: false promotions by student, and years with one."""
    found: dict[str, Any] = {}
    for agreement in _AGREEMENTS:
        for name, level in _LEVELS.items():
            years = [_simulate_year(agreement, level, seed) for seed in range(seeds * _YEARS_A_SEED)]
            clean = KeptCount(sum(not year for year in years), len(years))
            by_student = sum(years) / (len(years) * _WEEKS)
            found[f"{agreement} {name}"] = {"false_by_student": round(by_student, 5), "clean_years": clean.to_json()}
    return found


def format_years(found: Mapping[str, Any]) -> list[str]:
    """One line for each."""
    return [
        f"many-students, agreement {name}: {one['false_by_student']:.4f} false promotions a student, years without: "
        f"{one['clean_years']['kept']} of {one['clean_years']['of']}"
        for name, one in found.items()
    ]


def _simulate_year(agreement: float, level: Callable[[int], float], seed: int) -> int:
    """How many of a year's students were promoted."""
    rng = random.Random(f"{agreement}:{seed}")
    return sum(_is_promoted(agreement, level(week + 1), rng) for week in range(_WEEKS))


def _is_promoted(agreement: float, alpha: float, rng: random.Random) -> bool:
    """Whether a student is promoted that is right so often, however sure it is; looked at by whole days."""
    gate = SelectiveGate([Threshold(1 - c, c) for c in COVERAGES], p0=0.95, alpha=alpha, at_marks=True)
    for _ in range(_DAYS):
        for _ in range(_A_DAY):
            gate.update(float(rng.random() < agreement), rng.random())
        gate.mark()
        if gate.decision == "promote":
            return True
    return False
