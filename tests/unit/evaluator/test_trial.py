"""One student's gates and detectors, fed by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.datasets import START, TASK

from understudies.datasets.inputs import Input
from understudies.evaluator.change_monitor import CanaryRestriction
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.gate_decisions import decision_evidence
from understudies.evaluator.open_trial import candidate_thresholds
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.trial import Trial
from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD, TrialResult
from understudies.events import ALWAYS, Promotion
from understudies.judges.registry import parse_judge
from understudies.stats.class_floor import Confusion
from understudies.stats.coverage import Threshold
from understudies.stats.fallback import sequence_weights

HIGH, LOW = Threshold(0.9, 0.5), Threshold(0.1, 1.0)
Said = tuple[str, float | None, float]


def story(stage: Any = "trained", **changes: Any) -> Promotion:
    known: dict[str, Any] = {"id": stage, "at": START, "task": TASK, "student": f"{TASK}@1", "stage": stage}
    return Promotion(**{**known, **changes})


def one(name: str) -> Input:
    return Input(name)


def reach_of(head: dict[str, float] | None = None) -> ExpectedCoverage:
    """Half of the calls are surer than .9; an input of the head has as many as ten of the others."""
    reach = ExpectedCoverage([HIGH.confidence, LOW.confidence])
    for confidence in (0.95, 0.5):
        reach.add_tail_call(confidence, "answer", 50)
    for name, sure in (head or {}).items():
        reach.add_head_call(name, sure, 10)
    return reach


def new(
    *,
    head: dict[str, float] | None = None,
    trained: dict[str, int] | None = None,
    closed_set: bool = True,
    **settings: Any,
) -> Trial:
    return Trial(
        story(),
        judge=parse_judge("label"),
        candidates=[HIGH, LOW],
        used_inputs=UsedInputs(["learned"]),
        p0=0.95,
        settings=EvaluatorSettings(**settings),
        expected_coverage=reach_of(head),
        training_classes=trained,
        closed_set=closed_set,
    )


def after(days: float) -> datetime:
    return START + timedelta(days=days)


FIRST = 0.001
"""When the first call comes, in days: days of calls are counted from it."""


def feed(
    trial: Trial,
    n: int,
    score: float = 1,
    confidence: float = 0.95,
    kind: str | None = None,
    *,
    day: float = 0,
    **known: Any,
) -> None:
    """Evidence over a day and a half, each piece on its own input."""
    before = trial.collected + trial.call_gate.collected
    for number in range(n):
        at = after(day + FIRST + 1.5 * number / n)
        piece = Observation(score, confidence, at, answer_class=kind, **{"answer": "answer", **known})
        trial.add(one(f"{before}-{day}-{number}"), piece)


def repeat(
    trial: Trial, n: int, score: float = 1, confidence: float = 0.95, name: str = "learned", **known: Any
) -> None:
    """Calls over a day and a half that all have the same input."""
    for number in range(n):
        at = after(FIRST + 1.5 * number / n)
        trial.add(one(name), Observation(score, confidence, at, answer="answer", **known))


def audit(trial: Trial, name: str, score: float, day: float, confidence: float = 0.95, *, drawn: bool = True) -> bool:
    return trial.add_audit(one(name), Observation(score, confidence, after(day), answer="answer"), drawn=drawn)


def told(found: TrialResult | None) -> Said | None:
    return None if found is None else (found.outcome, found.threshold, found.coverage)


def test_it_decides_when_a_day_of_calls_has_ended() -> None:
    trial = new()
    trial.add(one("held out"), Observation(1, 0.95, START - timedelta(days=1)), held_out=True)
    feed(trial, 150)
    assert trial.look(after(0.9)) is None
    assert trial.look(after(1)) is None, "at midnight it has not"
    assert told(trial.look(after(1.01))) == ("promote", 0.1, 1.0)
    assert trial.look(after(1.02)) is None
    assert trial.look(after(3)) is None


def test_evidence_after_the_look_at_a_day_waits_for_the_next() -> None:
    trial = new()
    feed(trial, 20)
    assert trial.look(after(1.1)) is None
    feed(trial, 100)
    assert trial.look(after(2)) is None
    assert told(trial.look(after(2.01))) == ("promote", 0.1, 1.0)


def test_a_look_that_comes_days_late_takes_all_whole_days() -> None:
    trial = new()
    feed(trial, 150)
    assert trial.look(after(9.5)) is not None
    assert (trial.selective_gate.n, trial.call_gate.looked_days) == (150, 9)
    assert not trial.is_due(after(9.9))


def test_it_waits_for_a_day_of_evidence() -> None:
    trial = new()
    for number in range(200):
        trial.add(one(str(number)), Observation(1, 0.95, after(FIRST + 0.9 * number / 200)))
    assert trial.look(after(5.1)) is None
    trial.add(one("a day after the first"), Observation(1, 0.95, after(FIRST + 1)))
    assert trial.look(after(5.2)) is None, "not in the middle of a day"
    assert told(trial.look(after(6.1))) == ("promote", 0.1, 1.0)


def test_without_evidence_there_is_nothing_to_say() -> None:
    assert new().look(after(9)) is None


def test_a_looser_threshold_is_news() -> None:
    trial = new()
    feed(trial, 100)
    feed(trial, 20, score=0, confidence=0.5)
    feed(trial, 60, confidence=0.5)
    assert told(trial.look(after(2.1))) == ("promote", 0.9, 0.5)
    feed(trial, 700, confidence=0.5)
    assert told(trial.look(after(3.1))) == ("promote", 0.1, 1.0)
    feed(trial, 25, score=0, confidence=0.5)
    assert trial.look(after(4.1)) is None, "and what was proven is not taken back"


def test_disagreement_where_it_is_surest_rejects_once() -> None:
    trial = new()
    feed(trial, 10, score=0)
    assert told(trial.look(after(2.1))) == ("reject", None, 0.0)
    assert trial.look(after(3.1)) is None


def test_it_gives_up_when_the_verdicts_run_out() -> None:
    trial = new(n_max=60)
    feed(trial, 59)
    assert trial.look(after(2.1)) is None
    feed(trial, 2, score=0)
    assert told(trial.look(after(3.1))) == ("inconclusive", None, 0.0)


def test_in_service_only_a_promotion_is_news() -> None:
    trial = new()
    trial.on_promoted(story("promoted", threshold=0.9, share=1.0))
    feed(trial, 40, score=0)
    assert trial.look(after(2.1)) is None
    assert trial.selective_gate.decision == "reject"


def test_a_trial_opened_again_does_not_take_back_what_was_proven() -> None:
    trial = new()
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0))
    feed(trial, 100)
    feed(trial, 20, score=0, confidence=0.5)
    assert trial.look(after(2.1)) is None
    assert trial.selective_gate.loosest_passed is not None
    assert trial.selective_gate.loosest_passed.confidence == 0.9


def test_an_input_counts_once_and_never_if_learned() -> None:
    trial = new()
    assert not trial.is_new_input(one("learned"))
    assert trial.is_new_input(one("fresh"))
    assert trial.add(one("fresh"), Observation(1, 0.95, after(0.1)))
    assert not trial.is_new_input(one("fresh"))
    assert not trial.add(one("fresh"), Observation(1, 0.95, after(0.2)))
    assert not trial.add(one("learned"), Observation(1, 0.95, after(0.2)))


# Both gates


def test_distinct_inputs_alone_do_not_promote() -> None:
    trial = new()
    for number in range(300):
        trial.add(one(str(number)), Observation(1, 0.95, after(1.5 * number / 300)), held_out=True)
    feed(trial, 60)
    assert trial.look(after(2.1)) is None
    assert (trial.selective_gate.passed_flags, trial.call_gate.tail_gate.passed_flags) == ([True, True], [False, False])


def test_calls_of_inputs_that_were_learned_do_not_promote() -> None:
    trial = new()
    feed(trial, 60)
    repeat(trial, 300)
    assert trial.look(after(2.1)) is None
    assert (trial.selective_gate.passed_flags, trial.call_gate.tail_gate.passed_flags) == ([False, False], [True, True])
    feed(trial, 60)
    assert told(trial.look(after(3.1))) == ("promote", 0.1, 1.0)


def test_an_input_that_is_often_and_wrong_holds_up_what_distinct_inputs_prove() -> None:
    trial = new()
    feed(trial, 850)
    repeat(trial, 150, score=0)
    assert told(trial.look(after(2.1))) == ("reject", None, 0.0)
    assert trial.selective_gate.passed_flags == [True, True]


def test_calls_from_before_the_datasets_last_are_none_to_come() -> None:
    trial = new()
    for number in range(300):
        trial.add(one(str(number)), Observation(1, 0.95, START - timedelta(hours=number)))
    assert trial.call_gate.collected == 0


# The head


def head_calls(trial: Trial, n: int, score: float = 1, name: str = "often", confidence: float = 1.0) -> None:
    for number in range(n):
        piece = Observation(score, confidence, after(FIRST + 1.5 * number / n), answer="answer", head=name)
        assert not trial.add(one(name), piece), "no distinct input"


def test_a_proven_head_is_served_beside_the_rest() -> None:
    trial = new(head={"often": 1.0})
    head_calls(trial, 200)
    feed(trial, 200)
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.threshold, found.head_threshold, found.coverage) == (0.1, 1.0, 1.0)


def test_a_head_that_is_answered_wrongly_holds_up_nothing_else() -> None:
    trial = new(head={"often": 1.0})
    head_calls(trial, 200, score=0)
    feed(trial, 200)
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.threshold, found.head_threshold) == (0.1, None)
    assert found.coverage == pytest.approx(100 / 110)
    assert found.withheld.inputs == ("often",)


def test_where_nothing_else_is_proven_the_head_is_served_alone() -> None:
    trial = new(head={"often": 1.0})
    head_calls(trial, 200)
    feed(trial, 20)
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.threshold, found.head_threshold) == (UNREACHABLE_THRESHOLD, 1.0)
    assert found.coverage == pytest.approx(10 / 110)


def test_with_a_head_both_strata_share_the_error_budget() -> None:
    trial, other = new(head={"often": 1.0}), new()
    assert trial.call_gate.head_gate is not None
    assert (trial.call_gate.head_gate.alpha, trial.call_gate.tail_gate.alpha, trial.selective_gate.alpha) == (
        0.025,
        0.025,
        0.05,
    )
    assert (other.call_gate.head_gate, other.call_gate.tail_gate.alpha) == (None, 0.05)


def test_alpha_can_be_spent_over_all_students_of_a_task() -> None:
    def alpha(version: int) -> float:
        return Trial(
            story(student=f"{TASK}@{version}"),
            judge=parse_judge("label"),
            candidates=[HIGH, LOW],
            used_inputs=UsedInputs(),
            p0=0.95,
            settings=EvaluatorSettings(over_all_students=True),
        ).selective_gate.alpha

    assert [round(alpha(version), 4) for version in (1, 2, 4)] == [0.0304, 0.0076, 0.0019]


# What is withheld


def test_a_class_that_is_always_wrong_is_withheld_and_nothing_else() -> None:
    trial = new()
    feed(trial, 300)
    feed(trial, 3, score=0, kind="rare", answer="mistaken", confidence=0.97)
    found = trial.look(after(2.1))
    assert told(found) == ("promote", 0.1, 1.0)
    assert found is not None
    assert found.withheld.answers == {"mistaken": 0.97}
    assert trial.failing_classes() == {"rare": {"mistaken": Confusion(0.97, 3)}}


def test_where_it_is_as_sure_as_ever_the_answer_is_withheld_altogether() -> None:
    trial = new()
    feed(trial, 300)
    feed(trial, 3, score=0, kind="rare", confidence=0.97)
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.outcome, found.withheld.answers, found.coverage) == ("reject", {"answer": ALWAYS}, 0.0)


def test_a_class_that_falls_below_the_floor_in_service_is_withheld_at_once() -> None:
    trial = serving()
    feed(trial, 2, score=0, kind="rare", answer="mistaken", confidence=0.5)
    found = trial.look(after(2.11))
    assert told(found) == ("promote", 0.1, 1.0)
    assert found is not None
    assert found.withheld.answers == {"mistaken": 0.5}
    assert trial.look(after(2.12)) is None


def test_what_is_withheld_is_no_evidence_of_what_is_served() -> None:
    trial = serving()
    feed(trial, 2, score=0, kind="rare", answer="mistaken", confidence=0.5)
    trial.look(after(2.11))
    before = trial.collected, trial.call_gate.collected
    feed(trial, 50, score=0, answer="mistaken", confidence=0.4)
    assert (trial.collected, trial.call_gate.collected) == before
    feed(trial, 50, score=0, answer="mistaken", confidence=0.6)
    assert trial.collected == before[0] + 50


def test_an_audit_speaks_for_the_class_of_its_answer() -> None:
    trial = serving()
    for number in range(2):
        piece = Observation(0, 0.95, after(2), answer_class="rare", answer="mistaken")
        trial.add_audit(one(str(number)), piece, drawn=False)
    found = trial.look(after(2.11))
    assert found is not None
    assert found.withheld.answers == {"mistaken": 0.95}
    assert trial.audit_count == 0


def test_a_tenant_on_which_it_fails_is_withheld() -> None:
    trial = new()
    feed(trial, 1500, groups=("tenant=good",))
    feed(trial, 40, score=0, groups=("tenant=bad",))
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.outcome, found.withheld.groups) == ("promote", ("tenant=bad",))


# Changes


def test_a_change_while_on_trial_begins_the_proof_anew_with_nothing_announced() -> None:
    trial = new()
    feed(trial, 200, confidence=0.5)
    assert told(trial.look(after(2.1))) == ("promote", 0.1, 1.0)
    assert trial.apply_restriction(CanaryRestriction("teacher", after(2.2)))
    assert trial.announced is None
    assert trial.look(after(2.3)) is None
    feed(trial, 150, day=3)
    assert told(trial.look(after(5.1))) == ("promote", 0.1, 1.0)


def test_after_a_change_it_serves_from_where_it_is_proven_anew() -> None:
    trial = new()
    feed(trial, 200, confidence=0.5)
    trial.look(after(2.1))
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0))
    assert trial.apply_restriction(trial.changes.on_coverage_shift(after(2.2)))
    held = trial.look(after(2.3))
    assert held is not None
    assert (held.threshold, held.held) == (0.1, "traffic")
    feed(trial, 150, day=3)
    feed(trial, 30, day=3, confidence=0.5, score=0)
    found = trial.look(after(5.1))
    assert found is not None
    assert (found.threshold, found.held) == (0.9, None), "stricter than before: of the rest nothing is known"


def test_without_a_change_nothing_is_held() -> None:
    trial = serving()
    assert not trial.apply_restriction(None)
    assert trial.look(after(2.2)) is None


def test_a_kind_of_day_that_is_not_judged_yet_is_held_until_it_agrees() -> None:
    trial = serving()
    saturday = 5.5
    hold = trial.changes.observe_served(after(saturday), 0.1)
    assert trial.apply_restriction(hold)
    assert trial.call_gate.tail_gate.n > 0, "what is proven for other days stays proven"
    found = trial.look(after(saturday))
    assert found is not None
    assert found.held == "calendar"
    for number in range(59):
        audit(trial, str(number), 1, saturday)
    assert trial.look(after(saturday)) is None
    audit(trial, "the sixtieth", 1, saturday)
    found = trial.look(after(saturday))
    assert found is not None
    assert (found.threshold, found.held) == (0.1, None)


def test_a_hold_that_ended_before_anybody_looked_is_told_to_be_over() -> None:
    trial = serving()
    saturday = 5.5
    assert trial.apply_restriction(trial.changes.observe_served(after(saturday), 0.1))
    for number in range(60):
        audit(trial, str(number), 1, saturday)
    found = trial.look(after(saturday))
    assert found is not None
    assert found.held is None
    assert trial.look(after(saturday)) is None


def test_shifted_traffic_that_it_was_proven_on_again_is_usual() -> None:
    trial = new()
    feed(trial, 200, confidence=0.5)
    trial.look(after(2.1))
    trial.on_promoted(story("promoted", threshold=0.9, share=1.0))
    assert trial.apply_restriction(trial.changes.on_coverage_shift(after(2.2)))
    feed(trial, 150, day=3)
    found = trial.look(after(5.1))
    assert found is not None
    assert (found.threshold, found.held) == (0.1, None)
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0))
    assert not any(trial.observe_confidence(0.95, after(6)) for _ in range(300))


def test_less_sure_than_usual_is_a_shift_until_it_is_proven_on_such_traffic() -> None:
    """All calls reach the threshold as ever, but none the stricter confidence that half of them reached."""
    trial = serving()
    shifted = [trial.observe_confidence(0.5, after(2.2)) for _ in range(60)]
    assert shifted == [False] * 59 + [True]
    assert trial.apply_restriction(trial.changes.on_coverage_shift(after(2.2)))
    feed(trial, 150, confidence=0.5, day=3)
    found = trial.look(after(5.1))
    assert found is not None
    assert (found.threshold, found.held) == (0.1, None)
    restored = Trial.from_state(json.loads(json.dumps(trial.state())))
    for again in (trial, restored):
        assert not any(again.observe_confidence(0.5, after(6)) for _ in range(300))


def test_calls_counted_by_another_threshold_are_no_fall() -> None:
    trial = new()
    feed(trial, 200, confidence=0.5)
    trial.look(after(2.1))
    trial.on_promoted(story("promoted", threshold=0.9, share=1.0))
    trial.confident_share.sureness.recent = [False] * 60
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0))
    assert not trial.observe_confidence(0.95, after(2.2))


def test_a_snapshot_from_before_monitors_had_states_of_their_own_is_read() -> None:
    trial = serving()
    trial.observe_confidence(0.5, after(2.2))
    trial.count_verdict(after(2.2), given=False)
    state = trial.state()
    older = {**state}
    shares, verdicts = older.pop("confident_share"), older.pop("missing_verdicts")
    older |= {**shares, "asked": verdicts["asked"], "unjudged": verdicts["missing"]}
    assert shares["traffic"]["asked"] == len(verdicts["missing"]) == 1
    assert Trial.from_state(older).state() == state
    for key in ("asked", "unjudged", "usual_share", "usual_sureness", "sureness"):
        del older[key]
    assert Trial.from_state(older).confident_share.coverage_shift.asked == 1


def test_a_kind_of_day_on_which_it_fails_is_withheld() -> None:
    trial = serving()
    saturday = 5.5
    trial.apply_restriction(trial.changes.observe_served(after(saturday), 0.1))
    for number in range(60):
        trial.add(one(f"weekend-{number}"), Observation(float(number % 5 > 0), 0.95, after(saturday), answer="answer"))
    found = trial.look(after(saturday))
    assert found is not None
    assert (found.withheld.groups, found.held) == (("day=weekend",), None)


# Audits


def test_an_audited_input_counts_each_time() -> None:
    trial = new()
    trial.on_promoted(story("promoted", threshold=0.1))
    assert all([audit(trial, "a", 1, 0.1), audit(trial, "a", 1, 0.2), audit(trial, "b", 1, 0.3)])
    assert trial.audit_count == 3
    assert not audit(trial, "a", 0, 0.4, drawn=False), "but not as the first of its answer on a day"
    assert trial.audit_count == 3


def test_disagreements_in_a_row_break_the_contract_whatever_the_share_does_meanwhile() -> None:
    trial = new()
    feed(trial, 150)
    trial.look(after(2.1))
    trial.on_promoted(story("promoted", threshold=0.1, share=0.05))
    for _ in range(4):
        assert trial.drift is not None
        assert trial.drift.tier is None
        trial.on_promoted(story("promoted", threshold=0.1, share=0.25))
        audit(trial, "the same each time", 0, 3)
    assert trial.drift is not None
    assert trial.drift.tier == "contract"
    assert trial.drift.baseline == 1.0


def test_the_evidence_names_the_chosen_threshold_and_every_other() -> None:
    trial = new()
    feed(trial, 100)
    found = trial.look(after(2.1))
    evidence = decision_evidence(trial, found)
    assert (evidence["verdicts"], evidence["p0"]) == (100, 0.95)
    assert evidence["chosen"] == evidence["curve"][1]
    assert [(point["threshold"], point["n"], point["passed"]) for point in evidence["curve"]] == [
        (0.9, 100, True),
        (0.1, 100, True),
    ]
    assert decision_evidence(new())["chosen"] is None
    assert json.loads(json.dumps(evidence)) == evidence


def test_an_answer_without_any_confidence_is_never_served() -> None:
    assert [threshold.confidence for threshold in candidate_thresholds([0.0, 0.0, 0.5, 0.9])] == [0.9, 0.5]
    assert candidate_thresholds([0.0, 0.0]) == []
    assert candidate_thresholds([]) == []


# Snapshots


Act = Callable[[Trial], Any]
days = st.floats(0, 6, allow_nan=False)
inputs = st.sampled_from(["learned", *"abcdefgh"])
scores = st.sampled_from([0.0, 1.0])


def adding(piece: Observation, n: int, start: float) -> Act:
    def act(trial: Trial) -> None:
        for number in range(n):
            at = after(start + number / n)
            trial.add(one(f"{trial.collected}-{trial.call_gate.collected}"), replace(piece, at=at))

    return act


pieces = st.builds(
    Observation, scores, st.sampled_from([0.05, 0.5, 0.95]), st.just(START),
    answer_class=st.sampled_from([None, "refund"]), answer=st.sampled_from(["answer", "other"]),
    groups=st.sampled_from([(), ("tenant=a",)]),
    head=st.sampled_from([None, None, "often"]), copies=st.none(),
)  # fmt: skip
acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(adding, pieces, st.integers(1, 120), days),
    st.builds(lambda day: lambda trial: trial.look(after(day)), days),
    st.builds(lambda score, name, day: lambda trial: audit(trial, name, score, day), scores, inputs, days),
    st.builds(
        lambda low: lambda trial: trial.on_promoted(story("promoted", threshold=low)), st.sampled_from([0.1, 0.9])
    ),
    st.builds(lambda input_: lambda trial: trial.is_new_input(one(input_)), inputs),
    st.builds(lambda n, score: lambda trial: audited(trial, n, score), st.integers(1, 60), scores),
    st.builds(
        lambda day: lambda trial: trial.apply_restriction(trial.changes.observe_teacher("other", after(day))), days
    ),
    st.builds(lambda day: lambda trial: trial.apply_restriction(trial.changes.observe_served(after(day), 0.1)), days),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, max_size=12), st.lists(acts, max_size=12))
def test_a_restored_trial_goes_on_as_if_nothing_had_happened(before: list[Act], later: list[Act]) -> None:
    trial = new(n_max=300, head={"often": 1.0}, trained={"refund": 30})
    for act in before:
        act(trial)
    restored = Trial.from_state(json.loads(json.dumps(trial.state())))
    assert [act(restored) for act in later] == [act(trial) for act in later]
    assert restored.state() == trial.state()


@pytest.mark.parametrize("stage", ["trained", "promoted"])
def test_a_snapshot_is_json_from_the_first_moment(stage: str) -> None:
    trial = new()
    if stage == "promoted":
        trial.on_promoted(story("promoted", threshold=0.9))
    state = trial.state()
    assert Trial.from_state(json.loads(json.dumps(state))).state() == state


def before_calls_counted(stage: str, *without: str) -> Trial:
    """A trial from a snapshot that the version before calls counted took, with a student at that stage."""
    state = json.loads(Path(__file__).with_name("before_calls_counted.json").read_text(encoding="utf-8"))[stage]
    for key in without:
        del state[key]
    return Trial.from_state(state)


def test_a_snapshot_from_before_calls_counted_keeps_its_distinct_inputs() -> None:
    trial = before_calls_counted("trained")
    assert (trial.selective_gate.n, trial.collected, trial.call_gate.collected) == (20, 33, 0)
    assert not trial.is_new_input(one("learned"))
    assert not trial.is_new_input(one("0-0.95-3"))
    assert not trial.is_new_input(one("0-0.95-25")), "one that waits"
    feed(trial, 61, day=2)
    assert trial.look(after(4.1)) is None
    assert trial.selective_gate.passed_flags == [True, True], "20 that were bet, 13 that waited and 61 are 94"
    feed(trial, 34, day=2)
    assert told(trial.look(after(5.1))) == ("promote", 0.1, 1.0)


def test_a_snapshot_from_before_calls_counted_keeps_a_student_in_service() -> None:
    trial = before_calls_counted("promoted")
    assert trial.levels.announced == ((0.965, 0.1),)
    assert (trial.is_serving, trial.audit_count) == (True, 2)
    assert trial.drift is not None
    assert trial.drift.contract.n == 2
    assert trial.look(after(4.1)) is None, "what is in force stays so and is no news"
    assert trial.changes.observe_teacher("teacher-1", after(4.2)) is None
    assert [trial.changes.observe_teacher("teacher-2", after(4.3)) is not None for _ in range(3)] == [
        False,
        False,
        True,
    ]
    assert Trial.from_state(json.loads(json.dumps(trial.state()))).state() == trial.state()


def test_a_snapshot_from_before_verdicts_waited_is_read() -> None:
    trial = before_calls_counted("trained", "shape", "waiting")
    assert (trial.selective_gate.n, trial.collected, trial.shape.w_max) == (20, 20, 1)


def test_a_snapshot_from_before_there_were_levels_is_read() -> None:
    trial = before_calls_counted("promoted", "beyond")
    assert trial.levels.announced == ((0.965, 0.1),)
    assert trial.look(after(3.1)) is None


# Beyond the promise


def serving(n: int = 200, threshold: float = 0.1) -> Trial:
    """A student in service whose evidence agreed throughout."""
    trial = new()
    feed(trial, n)
    assert told(trial.look(after(2.1))) == ("promote", 0.1, 1.0)
    trial.on_promoted(story("promoted", threshold=threshold, share=1.0, levels=trial.levels.announced))
    return trial


def audited(trial: Trial, n: int, score: float = 1, served_from: float = 0.1, name: str = "audit") -> None:
    for number in range(n):
        trial.add_audited_call(Observation(score, 0.95, after(1.5)), served_from, one(f"{name}-{number}"))


def test_a_promotion_says_what_is_proven_beyond_it() -> None:
    assert serving().levels.announced == ((0.975, 0.1),)


def test_in_service_more_that_is_proven_is_news_once_a_day() -> None:
    trial = serving()
    feed(trial, 300)
    assert trial.look(after(3)) is None
    assert told(trial.look(after(3.1))) == ("promote", 0.1, 1.0)
    assert trial.levels.announced == ((0.99, 0.1),)
    assert trial.look(after(4.1)) is None


def test_before_it_serves_more_that_is_proven_is_no_news() -> None:
    trial = new()
    feed(trial, 199)
    assert told(trial.look(after(2.1))) == ("promote", 0.1, 1.0)
    feed(trial, 300)
    assert trial.look(after(3.1)) is None
    trial.on_promoted(story("promoted", threshold=0.1, share=0.05, levels=((0.95, 0.1),)))
    feed(trial, 1)
    assert told(trial.look(after(4.1))) == ("promote", 0.1, 1.0)
    assert trial.levels.announced == ((0.99, 0.1),)


def test_audits_prove_more_each_input_once() -> None:
    trial = serving()
    for _ in range(3):
        audited(trial, 150)
    assert told(trial.look(after(3.1))) == ("promote", 0.1, 1.0)
    assert trial.levels.announced == ((0.985, 0.1),)


def test_an_audit_of_an_input_that_was_learned_or_judged_proves_nothing() -> None:
    trial = serving()
    for _ in range(300):
        trial.add_audited_call(Observation(1, 0.95, after(1.5)), 0.1, one("learned"))
    assert trial.look(after(3.1)) is None


def test_an_audited_input_counts_for_the_gates_and_not_again_beyond_them() -> None:
    trial = serving()
    audited(trial, 300)
    assert trial.look(after(3.1)) is not None
    before = trial.selective_gate.n, trial.levels.levels.state()["counts"]
    for number in range(300):
        trial.add(one(f"audit-{number}"), Observation(1, 0.95, after(3)))
    trial.look(after(4.1))
    assert trial.selective_gate.n == before[0] + 300
    counts = trial.levels.levels.state()["counts"]
    assert counts["inputs"] == before[1]["inputs"]
    assert counts["calls"][1][-1] == before[1]["calls"][1][-1] + 300, "as a call it counts whatever its input"


def test_an_audit_counts_from_the_threshold_that_its_call_had_to_reach() -> None:
    trial = serving()
    audited(trial, 400, served_from=0.9)
    assert told(trial.look(after(3.1))) == ("promote", 0.1, 1.0)
    assert trial.levels.announced == ((0.975, 0.1), (0.99, 0.9))


def test_a_level_that_has_fallen_is_withdrawn_at_the_next_look() -> None:
    trial = serving()
    audited(trial, 4, score=0)
    assert told(trial.look(after(2.1))) == ("promote", 0.1, 1.0), "on the day that was looked at already"
    assert trial.levels.announced == ((0.95, 0.1),)
    assert trial.look(after(2.1)) is None


def test_nothing_is_said_of_the_levels_of_a_student_whose_contract_is_broken() -> None:
    trial = serving()
    audited(trial, 4, score=0)
    for number in range(4):
        audit(trial, str(number), 0, 2)
    audit(trial, "later", 1, 2)
    assert trial.look(after(2.1)) is None
    assert trial.look(after(3.1)) is None


def test_a_trial_opened_again_keeps_the_levels_that_were_told() -> None:
    trial = new()
    trial.on_promoted(story("promoted", threshold=0.1, levels=((0.95, 0.1), (0.985, 0.9))))
    feed(trial, 100)
    assert trial.look(after(2.1)) is None
    assert trial.levels.announced == ((0.95, 0.1), (0.985, 0.9))


# Audits that come faster than usual


@pytest.mark.parametrize(
    ("audit_rate", "evidence", "failures"),
    [
        (0.5, {}, 4),
        (0.5, {"usual_audit_rate": 0.5}, 4),
        (0.05, {"usual_audit_rate": 0.5}, 4),
        (0.5, {"usual_audit_rate": 0.0}, 4),
        (0.5, {"usual_audit_rate": 0.05}, 5),
        (0.5, {"usual_audit_rate": 0.005}, 6),
    ],
)
def test_the_more_often_audits_come_than_usual_the_more_of_them_break_the_contract(
    audit_rate: float, evidence: dict[str, Any], failures: int
) -> None:
    trial = new()
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0, audit_rate=audit_rate, evidence=evidence))
    for number in range(1, failures + 1):
        audit(trial, str(number), 0, 2)
        assert trial.drift is not None
        assert (trial.drift.tier == "contract") == (number == failures)


def test_with_usual_audits_again_the_detectors_go_on_at_their_usual_pace() -> None:
    trial = new()
    more: dict[str, Any] = {"usual_audit_rate": 0.005}
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0, audit_rate=0.5, evidence=more))
    for number in range(3):
        audit(trial, str(number), 0, 2)
    trial.on_promoted(story("promoted", threshold=0.1, share=1.0, audit_rate=0.005))
    audit(trial, "3", 0, 2)
    assert trial.drift is not None
    assert trial.drift.tier == "contract"


# Evidence for the gates alone


def test_evidence_for_the_gates_moves_nothing_else() -> None:
    trial, other = serving(), serving()
    piece = Observation(0, 0.95, after(3), answer_class="rare", answer="mistaken")
    assert trial.add_evidence(one("fresh"), piece)
    assert not trial.add_evidence(one("fresh"), piece), "an input counts once"
    assert trial.collected == other.collected + 1
    assert trial.call_gate.collected == other.call_gate.collected + 2
    assert trial.withholding.state() == other.withholding.state()
    assert trial.changes.state() == other.changes.state()
    assert (trial.drift, trial.audit_count) == (other.drift, 0)


def test_evidence_on_what_is_withheld_is_none_for_the_gates() -> None:
    trial = serving()
    feed(trial, 2, score=0, kind="rare", answer="mistaken", confidence=0.5)
    trial.look(after(2.11))
    before = trial.collected, trial.call_gate.collected
    assert not trial.add_evidence(one("fresh"), Observation(0, 0.4, after(3), answer="mistaken"))
    assert (trial.collected, trial.call_gate.collected) == before


# Many candidates


def fine(start: int = 40) -> Trial:
    """A candidate for each hundredth of the calls, the sequence beginning at half of them."""
    candidates = [Threshold(1 - step / 100, step / 100) for step in range(10, 101)]
    reach = ExpectedCoverage([one.confidence for one in candidates])
    for step in range(100):
        reach.add_tail_call(1 - step / 100, "answer", 1)
    return Trial(
        story(),
        judge=parse_judge("label"),
        candidates=candidates,
        used_inputs=UsedInputs(),
        p0=0.95,
        settings=EvaluatorSettings(),
        expected_coverage=reach,
        start=start,
    )


def test_levels_are_tested_at_every_twentieth_of_the_calls() -> None:
    trial = fine()
    assert len(trial.thresholds) == 91
    assert trial.levels.levels.state()["confidences"] == pytest.approx([1 - step / 20 for step in range(2, 21)])


def test_a_trial_begins_where_it_is_told_and_goes_on_candidate_by_candidate() -> None:
    trial = fine()
    feed(trial, 160, confidence=0.4)
    feed(trial, 30, score=0, confidence=0.225)
    assert trial.look(after(2.1)) is None, "where it begins nothing is known"
    feed(trial, 90, confidence=0.55)
    found = trial.look(after(3.1))
    assert found is not None
    assert found.outcome == "promote"
    assert found.threshold == pytest.approx(0.23), "up to where it errs"


def test_both_gates_spend_their_budget_from_where_they_are_told_to_begin() -> None:
    trial = fine(45)
    assert trial.selective_gate.weights == sequence_weights(91, 45)
    assert trial.call_gate.tail_gate.weights == trial.call_gate.capped_gate.weights == sequence_weights(91, 45)
    assert new().selective_gate.weights == [0.5, 0.5]


def test_the_curve_shows_every_twentieth_and_the_chosen_candidate() -> None:
    trial = fine()
    chosen = trial.thresholds[13]
    evidence: Any = decision_evidence(trial, TrialResult("promote", chosen.confidence))
    shown = [point["coverage"] for point in evidence["curve"]]
    assert shown == pytest.approx([0.1, 0.15, 0.2, 0.23, *(step / 20 for step in range(5, 21))])
    assert evidence["chosen"]["threshold"] == chosen.confidence
    assert len(decision_evidence(trial)["curve"]) == 19


@pytest.mark.parametrize(("closed_set", "withheld"), [(True, {"mistaken": 0.97}), (False, {})])
def test_answers_that_form_no_closed_set_are_no_classes(closed_set: bool, withheld: dict[str, float]) -> None:
    trial = new(closed_set=closed_set)
    feed(trial, 300)
    feed(trial, 3, score=0, kind="rare", answer="mistaken", confidence=0.97)
    found = trial.look(after(2.1))
    assert found is not None
    assert (found.outcome, found.withheld.answers) == ("promote", withheld)
    assert Trial.from_state(json.loads(json.dumps(trial.state()))).withholding.closed_set is closed_set
