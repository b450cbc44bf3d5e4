"""Every scenario by its name: how its log is made, and what else it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.traffic.generated_log import GeneratedLog, LogSpec
from bench.traffic.scenarios import bursts, changes, hidden_context, popular_inputs, stationary


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the log is made; at how many calls a day, and with which share of served answers spoilt on their way."""

    make: Callable[[LogSpec], GeneratedLog]
    per_day: int = 300
    corruption_rate: float = 0.0


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "stationary": Scenario(stationary.stationary),
    "head-learnable": Scenario(popular_inputs.learnable_input),
    "head-outside": Scenario(popular_inputs.unlearnable_input("outside")),
    "head-inside": Scenario(popular_inputs.unlearnable_input("inside")),
    "head-contradictory": Scenario(popular_inputs.contradictory_input),
    "burst-before": Scenario(bursts.burst_before_proof, per_day=250),
    "burst-after": Scenario(bursts.burst_after_proof),
    "weekday-weekend": Scenario(changes.weekend_answers),
    "renaming-slow": Scenario(changes.slow_renaming),
    "model-change-6of50": Scenario(changes.model_change(6), per_day=400),
    "model-change-6of50-unnamed": Scenario(changes.model_change(6, named=False), per_day=400),
    "model-change-2of50": Scenario(changes.model_change(2), per_day=400),
    "model-change-rare": Scenario(changes.model_change(1, rare=True), per_day=400),
    "changing-intents": Scenario(changes.changing_intents),
    "noise-3": Scenario(stationary.noisy_labels(0.03)),
    "noise-5": Scenario(stationary.noisy_labels(0.05)),
    "noise-8": Scenario(stationary.noisy_labels(0.08)),
    "rare-class": Scenario(stationary.rare_class),
    "leaks-that-end": Scenario(hidden_context.leak_in_prompt),
    "context-in-system-prompt": Scenario(hidden_context.record_in_prompt),
    "tenant-80": Scenario(stationary.dominant_tenant),
    "bad-ramp": Scenario(stationary.stationary, corruption_rate=0.25),
}
