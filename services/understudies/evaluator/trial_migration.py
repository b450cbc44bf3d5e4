"""Convert snapshots of trials that older versions wrote."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from understudies.evaluator.evidence.call_gate import DAY
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import Promotion
from understudies.judges.registry import parse_judge
from understudies.stats.selective import SelectiveGate


def group_monitors(state: dict[str, Any]) -> dict[str, Any]:
    """Return the snapshot with the monitors as states of their own, whose values were the trial's before."""
    if "traffic" not in state:
        return state
    kept = {**state}
    shares = {key: kept.pop(key) for key in ("traffic", "sureness", "usual_share", "usual_sureness") if key in state}
    verdicts = {"asked": kept.pop("asked", {}), "missing": kept.pop("unjudged", {})}
    return {**kept, "confident_share": shares, "missing_verdicts": verdicts}


def migrate_trial(state: dict[str, Any], create: Callable[..., Any]) -> dict[str, Any]:
    """Return the snapshot in today's form; calls have yet to confirm what is proven. `create` makes a `Trial`."""
    promotion = Promotion.model_validate(state["story"])
    gate = SelectiveGate.from_state(state["gate"])
    marked = datetime.combine(date.fromisoformat(state["marked"]), time(), UTC)
    trial = create(
        promotion,
        judge=parse_judge(state["judge"]),
        candidates=gate.thresholds,
        used_inputs=UsedInputs(),
        p0=state["p0"],
        settings=EvaluatorSettings(
            alpha=gate.alpha, beta=gate.beta, n_max=state["n_max"], min_span_hours=state["min_span_s"] / 3600
        ),
        shape=ConversationShape.from_state(state.get("shape") or ConversationShape().state()),
        since=marked,
        expected_coverage=_expected_coverage(gate),
    )
    trial.levels.adopt(promotion, state["p0"])
    if promotion.stage == "promoted":
        trial.on_promoted(promotion)
    distinct = {key: state[key] for key in ("gate", "spent", "first", "last")}
    serving_state = {key: state[key] for key in ("drift", "audited", "confident_share")}
    return {
        **trial.state(),
        **serving_state,
        "distinct": {**distinct, "waiting": state.get("waiting", ())},
        "beyond": state.get("beyond") or trial.levels.state(),
        "next_mark": (marked + DAY).isoformat(),
    }


def _expected_coverage(gate: SelectiveGate) -> ExpectedCoverage:
    """Return the shares of calls that the candidates were chosen by."""
    confidences = [threshold.confidence for threshold in gate.thresholds]
    expected, covered = ExpectedCoverage(confidences, calls=1.0 - gate.thresholds[-1].coverage), 0.0
    for threshold in gate.thresholds:
        expected.add_tail_call(threshold.confidence, "", threshold.coverage - covered)
        covered = threshold.coverage
    return expected
