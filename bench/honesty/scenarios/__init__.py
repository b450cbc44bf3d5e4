"""Every scenario by its name: how its log is made, and what else it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.honesty.log import Frame, Log
from bench.honesty.scenarios import beside, bursts, changes, heads, steady


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the log is made; at how many calls a day, and with which share of served answers spoilt on their way."""

    make: Callable[[Frame], Log]
    per_day: int = 300
    spoilt: float = 0.0


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "stationary": Scenario(steady.stationary),
    "head-learnable": Scenario(heads.learnable),
    "head-outside": Scenario(heads.not_learnable("outside")),
    "head-inside": Scenario(heads.not_learnable("inside")),
    "head-contradictory": Scenario(heads.contradictory),
    "burst-before": Scenario(bursts.before, per_day=250),
    "burst-after": Scenario(bursts.after),
    "weekday-weekend": Scenario(changes.weekends),
    "renaming-slow": Scenario(changes.renaming),
    "model-change-6of50": Scenario(changes.new_model(6), per_day=400),
    "model-change-6of50-unnamed": Scenario(changes.new_model(6, named=False), per_day=400),
    "model-change-2of50": Scenario(changes.new_model(2), per_day=400),
    "model-change-rare": Scenario(changes.new_model(1, rare=True), per_day=400),
    "changing-intents": Scenario(changes.changing_intents),
    "noise-3": Scenario(steady.noisy(0.03)),
    "noise-5": Scenario(steady.noisy(0.05)),
    "noise-8": Scenario(steady.noisy(0.08)),
    "rare-class": Scenario(steady.rare_class),
    "leaks-that-end": Scenario(beside.leak),
    "context-in-system-prompt": Scenario(beside.record_in_prompt),
    "tenant-80": Scenario(steady.tenant),
    "bad-ramp": Scenario(steady.stationary, spoilt=0.25),
}
