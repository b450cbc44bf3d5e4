"""One student's gates and detectors, fed by hand."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.datasets import START, TASK

from understudies.evaluator import EvaluatorSettings
from understudies.evaluator.inputs import Inputs
from understudies.evaluator.trial import Trial, candidates_of
from understudies.evaluator.waiting import Piece
from understudies.events import Promotion
from understudies.judges import judge_named
from understudies.stats import Threshold
from understudies.students import Input

HIGH, LOW = Threshold(0.9, 0.5), Threshold(0.1, 1.0)


def story(stage: Any = "trained", **changes: Any) -> Promotion:
    return Promotion(id=stage, at=START, task=TASK, student=f"{TASK}@1", stage=stage, **changes)


def one(name: str) -> Input:
    return Input(name)


def new(**settings: Any) -> Trial:
    return Trial(
        story(),
        judge=judge_named("label"),
        candidates=[HIGH, LOW],
        off_limits=Inputs(["learned"]),
        p0=0.95,
        settings=EvaluatorSettings(**settings),
    )


def after(days: float) -> datetime:
    return START + timedelta(days=days)


def feed(trial: Trial, n: int, score: float = 1, confidence: float = 0.95, kind: str | None = None) -> None:
    """Evidence over a day and a half, each piece on its own input."""
    before = trial.gathered
    for number in range(n):
        trial.add(score, confidence, one(f"{before}-{number}"), kind, after(1.5 * number / n))
    trial.add(1, confidence, one(f"{before}-last"), None, after(1.5))


def test_it_decides_at_the_first_look_of_a_day() -> None:
    trial = new()
    feed(trial, 93)
    assert trial.look(after(0.9)) is None
    assert trial.look(after(2)) == ("promote", 0.1, 1.0)
    assert trial.look(after(2.01)) is None
    assert trial.look(after(3)) is None


def test_evidence_after_the_first_look_of_a_day_waits_for_the_next() -> None:
    trial = new()
    feed(trial, 20)
    assert trial.look(after(2)) is None
    feed(trial, 100)
    assert trial.look(after(2.9)) is None
    assert trial.look(after(3)) == ("promote", 0.1, 1.0)


def test_it_waits_for_a_day_of_evidence() -> None:
    trial = new()
    for number in range(200):
        trial.add(1, 0.95, one(str(number)), None, after(number / 200))
    assert trial.look(after(5)) is None
    trial.add(1, 0.95, one("a day after the first"), None, after(1))
    assert trial.look(after(5.01)) is None, "not in the middle of a day"
    assert trial.look(after(6)) == ("promote", 0.1, 1.0)


def test_without_evidence_there_is_nothing_to_say() -> None:
    assert new().look(after(9)) is None


def test_a_looser_threshold_is_news_and_a_stricter_one_is_not() -> None:
    trial = new()
    feed(trial, 100)
    feed(trial, 20, score=0, confidence=0.5)
    feed(trial, 60, confidence=0.5)
    assert trial.look(after(2)) == ("promote", 0.9, 0.5)
    feed(trial, 700, confidence=0.5)
    assert trial.look(after(3)) == ("promote", 0.1, 1.0)
    # One class of answers now breaks its floor among the less sure calls.
    feed(trial, 25, score=0, confidence=0.5, kind="refund")
    assert trial.look(after(4)) is None
    assert trial.gate.passed is not None
    assert trial.gate.passed.confidence == 0.9
    assert trial.announced == ("promote", 0.1)


def test_disagreement_where_it_is_surest_rejects_once() -> None:
    trial = new()
    feed(trial, 10, score=0)
    assert trial.look(after(2)) == ("reject", None, None)
    assert trial.look(after(3)) is None


def test_it_gives_up_when_the_verdicts_run_out() -> None:
    trial = new(n_max=60)
    feed(trial, 58)
    assert trial.look(after(2)) is None
    feed(trial, 2, score=0)
    assert trial.look(after(3)) == ("inconclusive", None, None)


def test_in_service_only_a_promotion_is_news() -> None:
    trial = new()
    trial.promoted(story("promoted", threshold=0.9, share=1.0))
    feed(trial, 40, score=0)
    assert trial.look(after(2)) is None
    assert trial.gate.decision == "reject"


def test_a_trial_opened_again_does_not_take_back_what_was_proven() -> None:
    trial = new()
    trial.promoted(story("promoted", threshold=0.1, share=1.0))
    feed(trial, 100)
    feed(trial, 20, score=0, confidence=0.5)
    assert trial.look(after(2)) is None
    assert trial.gate.passed is not None
    assert trial.gate.passed.confidence == 0.9


def test_an_input_counts_once_and_never_if_learned() -> None:
    trial = new()
    assert not trial.counts(one("learned"))
    assert trial.counts(one("fresh"))
    trial.add(1, 0.95, one("fresh"), None, START)
    assert not trial.counts(one("fresh"))


def test_an_audited_input_counts_once_a_day() -> None:
    trial = new()
    trial.promoted(story("promoted", threshold=0.1))
    assert [trial.audit(1, "a", after(0.1)), trial.audit(1, "a", after(0.2)), trial.audit(1, "b", after(0.3))] == [
        True,
        False,
        True,
    ]
    assert trial.audit(1, "a", after(1))
    assert trial.audited == 3


def test_disagreements_in_a_row_break_the_contract_whatever_the_share_does_meanwhile() -> None:
    trial = new()
    feed(trial, 100)
    trial.look(after(2))
    trial.promoted(story("promoted", threshold=0.1, share=0.05))
    for number in range(4):
        assert trial.drift is not None
        assert trial.drift.tier is None
        trial.promoted(story("promoted", threshold=0.1, share=0.25))
        trial.audit(0, str(number), after(3))
    assert trial.drift is not None
    assert trial.drift.tier == "contract"
    assert trial.drift.baseline == 1.0


def test_the_evidence_names_the_chosen_threshold_and_every_other() -> None:
    trial = new()
    feed(trial, 99)
    trial.look(after(2))
    evidence = trial.evidence_at(0.1)
    assert (evidence["verdicts"], evidence["p0"]) == (100, 0.95)
    assert evidence["chosen"] == evidence["curve"][1]
    assert [(point["threshold"], point["n"], point["passed"]) for point in evidence["curve"]] == [
        (0.9, 100, True),
        (0.1, 100, True),
    ]
    assert trial.evidence_at(None)["chosen"] is None
    assert json.loads(json.dumps(evidence)) == evidence


def test_an_answer_without_any_confidence_is_never_served() -> None:
    assert [threshold.confidence for threshold in candidates_of([0.0, 0.0, 0.5, 0.9])] == [0.9, 0.5]
    assert candidates_of([0.0, 0.0]) == []
    assert candidates_of([]) == []


Act = Callable[[Trial], Any]
days = st.floats(0, 6, allow_nan=False)
inputs = st.sampled_from(["learned", *"abcdefgh"])


def adding(score: float, confidence: float, n: int, kind: str | None, start: float) -> Act:
    def act(trial: Trial) -> None:
        for number in range(n):
            trial.add(score, confidence, one(f"{trial.gathered}"), kind, after(start + number / n))

    return act


acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(
        adding, st.sampled_from([0.0, 1.0]), st.sampled_from([0.05, 0.5, 0.95]), st.integers(1, 120),
        st.sampled_from([None, "refund"]), days,
    ),
    st.builds(lambda day: lambda trial: trial.look(after(day)), days),
    st.builds(lambda score, input_, day: lambda trial: trial.audit(score, input_, after(day)),
              st.sampled_from([0.0, 1.0]), inputs, days),
    st.builds(lambda low: lambda trial: trial.promoted(story("promoted", threshold=low)), st.sampled_from([0.1, 0.9])),
    st.builds(lambda input_: lambda trial: trial.counts(one(input_)), inputs),
    st.builds(lambda n, score: lambda trial: audited(trial, n, score), st.integers(1, 60), st.sampled_from([0.0, 1.0])),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, max_size=12), st.lists(acts, max_size=12))
def test_a_restored_trial_goes_on_as_if_nothing_had_happened(before: list[Act], later: list[Act]) -> None:
    trial = new(n_max=300)
    for act in before:
        act(trial)
    restored = Trial.from_state(json.loads(json.dumps(trial.state())))
    assert [act(restored) for act in later] == [act(trial) for act in later]
    assert restored.state() == trial.state()


@pytest.mark.parametrize("stage", ["trained", "promoted"])
def test_a_snapshot_is_json_from_the_first_moment(stage: str) -> None:
    trial = new()
    if stage == "promoted":
        trial.promoted(story("promoted", threshold=0.9))
    state = trial.state()
    assert Trial.from_state(json.loads(json.dumps(state))).state() == state


def test_a_class_that_falls_below_the_floor_in_service_ends_it_or_tightens_it() -> None:
    trial = new()
    feed(trial, 100)
    assert trial.look(after(2)) == ("promote", 0.1, 1.0)
    trial.promoted(story("promoted", threshold=0.1, share=1.0))
    feed(trial, 2000)
    feed(trial, 25, score=0, confidence=0.5, kind="rare")
    assert trial.look(after(3)) == ("promote", 0.9, 0.5), "the surest half does not hold the class"
    assert trial.failing_classes == ["rare"]
    trial.promoted(story("promoted", threshold=0.9, share=1.0))
    assert trial.look(after(4)) is None
    feed(trial, 25, score=0, confidence=0.95, kind="rare")
    assert trial.look(after(5)) == ("reject", None, None)


# Beyond the promise


def serving(n: int = 200, threshold: float = 0.1) -> Trial:
    """A student in service whose evidence agreed throughout."""
    trial = new()
    feed(trial, n - 1)
    assert trial.look(after(2)) == ("promote", 0.1, 1.0)
    trial.promoted(story("promoted", threshold=threshold, share=1.0, levels=trial.beyond.told))
    return trial


def audited(trial: Trial, n: int, score: float = 1, served_from: float = 0.1, name: str = "audit") -> None:
    for number in range(n):
        trial.audited_call(Piece(score, 0.95, after(1.5)), served_from, one(f"{name}-{number}"))


def test_a_promotion_says_what_is_proven_beyond_it() -> None:
    assert serving().beyond.told == ((0.975, 0.1),)


def test_in_service_more_that_is_proven_is_news_once_a_day() -> None:
    trial = serving()
    feed(trial, 300)
    assert trial.look(after(2.9)) is None
    assert trial.look(after(3)) == ("promote", 0.1, 1.0)
    assert trial.beyond.told == ((0.99, 0.1),)
    assert trial.look(after(4)) is None


def test_before_it_serves_more_that_is_proven_is_no_news() -> None:
    trial = new()
    feed(trial, 199)
    assert trial.look(after(2)) == ("promote", 0.1, 1.0)
    feed(trial, 300)
    assert trial.look(after(3)) is None


def test_audits_prove_more_each_input_once() -> None:
    trial = serving()
    for _ in range(3):
        audited(trial, 150)
    assert trial.look(after(3)) == ("promote", 0.1, 1.0)
    assert trial.beyond.told == ((0.985, 0.1),)


def test_an_audit_of_an_input_that_was_learned_or_judged_proves_nothing() -> None:
    trial = serving()
    for _ in range(300):
        trial.audited_call(Piece(1, 0.95, after(1.5)), 0.1, one("learned"))
    assert trial.look(after(3)) is None


def test_an_audited_input_counts_for_the_gates_and_not_again_beyond_them() -> None:
    trial = serving()
    audited(trial, 300)
    assert trial.look(after(3)) is not None
    before = trial.gate.n, trial.beyond.levels.state()
    for number in range(300):
        trial.add(1, 0.95, one(f"audit-{number}"), None, after(3))
    trial.look(after(4))
    assert trial.gate.n == before[0] + 300
    assert trial.beyond.levels.state() == before[1]


def test_an_audit_counts_from_the_threshold_that_its_call_had_to_reach() -> None:
    trial = serving()
    audited(trial, 400, served_from=0.9)
    assert trial.look(after(3)) == ("promote", 0.1, 1.0)
    assert trial.beyond.told == ((0.975, 0.1), (0.99, 0.9))


def test_a_level_that_has_fallen_is_withdrawn_at_the_next_look() -> None:
    trial = serving()
    audited(trial, 4, score=0)
    assert trial.look(after(2)) == ("promote", 0.1, 1.0), "on the day that was looked at already"
    assert trial.beyond.told == ((0.95, 0.1),)
    assert trial.look(after(2)) is None


def test_nothing_is_said_of_the_levels_of_a_student_whose_contract_is_broken() -> None:
    trial = serving()
    audited(trial, 4, score=0)
    for number in range(4):
        trial.audit(0, str(number), after(2))
    trial.audit(1, "later", after(2))
    assert trial.look(after(2)) is None
    assert trial.look(after(3)) is None


def test_a_trial_opened_again_keeps_the_levels_that_were_told() -> None:
    trial = new()
    trial.promoted(story("promoted", threshold=0.1, levels=((0.95, 0.1), (0.985, 0.9))))
    feed(trial, 100)
    assert trial.look(after(2)) is None
    assert trial.beyond.told == ((0.95, 0.1), (0.985, 0.9))


def test_a_class_below_its_floor_withholds_the_levels_of_its_threshold() -> None:
    trial = serving(100)
    feed(trial, 25, score=0, confidence=0.95, kind="rare")
    feed(trial, 3000)
    trial.look(after(3))
    assert trial.beyond.told == ()


def test_a_snapshot_from_before_there_were_levels_is_read() -> None:
    trial = serving()
    state = trial.state()
    del state["beyond"]
    restored = Trial.from_state(json.loads(json.dumps(state)))
    assert restored.beyond.told == ((0.975, 0.1),)
    assert restored.look(after(3)) is None
