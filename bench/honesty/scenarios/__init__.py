"""Every scenario by its name: how its log is made, and what else it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.honesty.log import GeneratedLog, LogSpec
from bench.honesty.scenarios import beside, bursts, changes, heads, steady


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the log is made; at how many calls a day, and with which share of served answers spoilt on their way."""

    make: Callable[[LogSpec], GeneratedLog]
    per_day: int = 300
    corruption_rate: float = 0.0


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "stationary": Scenario(steady.stationary),
    "head-learnable": Scenario(heads.learnable_input),
    "head-outside": Scenario(heads.unlearnable_input("outside")),
    "head-inside": Scenario(heads.unlearnable_input("inside")),
    "head-contradictory": Scenario(heads.contradictory_input),
    "burst-before": Scenario(bursts.burst_before_proof, per_day=250),
    "burst-after": Scenario(bursts.burst_after_proof),
    "weekday-weekend": Scenario(changes.weekend_answers),
    "renaming-slow": Scenario(changes.slow_renaming),
    "model-change-6of50": Scenario(changes.model_change(6), per_day=400),
    "model-change-6of50-unnamed": Scenario(changes.model_change(6, named=False), per_day=400),
    "model-change-2of50": Scenario(changes.model_change(2), per_day=400),
    "model-change-rare": Scenario(changes.model_change(1, rare=True), per_day=400),
    "changing-intents": Scenario(changes.changing_intents),
    "noise-3": Scenario(steady.noisy_labels(0.03)),
    "noise-5": Scenario(steady.noisy_labels(0.05)),
    "noise-8": Scenario(steady.noisy_labels(0.08)),
    "rare-class": Scenario(steady.rare_class),
    "leaks-that-end": Scenario(beside.leak_in_prompt),
    "context-in-system-prompt": Scenario(beside.record_in_prompt),
    "tenant-80": Scenario(steady.dominant_tenant),
    "bad-ramp": Scenario(steady.stationary, corruption_rate=0.25),
}
