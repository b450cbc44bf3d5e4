"""Which calls become evidence while a student serves: a sample that no student's confidence decides."""

import math
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import TASK
from tests.support.trials import (
    TRAINED,
    EvaluatorHarness,
    Rule,
    ScriptedStudent,
    audit_of,
    events_of_type,
    right,
    traffic,
)

from understudies.datasets.inputs import Input
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.evidence.call_gate import CallGate
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.pending_evidence import NOT_SERVED, Observation
from understudies.evaluator.trial import Trial
from understudies.events import Event, Invocation, Response, Route, Verdict, position
from understudies.students.base import request_text, text_answer

SERVING, SUCCESSOR = f"{TASK}@1", f"{TASK}@2"
THRESHOLD = 0.7
"""Right is surer than this of 60% of the calls."""


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def in_service(
    files: ObjectStore,
    audit_rate: float,
    serving: Rule = right,
    successor: Rule = right,
    purpose: str = f"{SUCCESSOR} is on trial",
) -> EvaluatorHarness:
    """A student that serves at full share, audited at a rate raised for that purpose, and its successor on trial."""
    bench = EvaluatorHarness(files, ScriptedStudent(serving))
    bench.students.students["successor"] = ScriptedStudent(successor)
    await bench.handle(bench.promotion("trained"), bench.promotion("trained", version=2, artifact="successor"))
    known: dict[str, Any] = {"share": 1.0, "threshold": THRESHOLD, "audit_rate": audit_rate}
    await bench.handle(bench.promotion("promoted", **known, evidence={"more_audits": purpose}))
    return bench


def trial(bench: EvaluatorHarness, student: str) -> Trial:
    return bench.app.evaluation.trials[student]


def calls_gathered(bench: EvaluatorHarness, student: str) -> int:
    return trial(bench, student).call_gate.collected


def served_by_student(call: Invocation, rule: Rule = right, *, drawn_at: float = 1.0, **route: Any) -> Invocation:
    """The call as the student served it, drawn for its audit."""
    label, confidence = rule(request_text(call.request))
    known: dict[str, Any] = {"reason": "promoted", "threshold": THRESHOLD, "drawn": True}
    update: dict[str, Any] = {
        "id": f"served-{call.id}",
        "served_by": "student",
        "student": SERVING,
        "confidence": confidence,
        "response": Response(message=text_answer(label, 1).message),
        "route": Route(**{**known, "audit_probability": drawn_at, **route}),
    }
    return call.model_copy(update=update)


def left_to_teacher(call: Invocation, reason: Any = "low_confidence", rule: Rule = right) -> Invocation:
    """The call as the teacher answered it after the student was asked."""
    route = Route(reason=reason, threshold=THRESHOLD)
    confidence = rule(request_text(call.request))[1]
    return call.model_copy(update={"student": SERVING, "confidence": confidence, "route": route})


def audited(calls: Iterable[Invocation], answer: str | None = None) -> list[Event]:
    """The calls, each followed by its audit."""
    return [
        event
        for call in calls
        for event in (call, audit_of(call, answer or right(request_text(call.request))[0]))
    ]  # fmt: skip


def binomial(n: int, rate: float) -> Any:
    """Counts within four standard deviations."""
    return pytest.approx(n * rate, abs=4 * math.sqrt(n * rate * (1 - rate)) + 1e-9)


# Of calls that the student left to the teacher, as large a part as of those that it served


@pytest.mark.parametrize("reason", ["low_confidence", "withheld", "unconfirmed", "student_error"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
async def test_of_calls_that_it_left_to_the_teacher_a_sample_at_the_audit_rate_is_evidence(
    files: ObjectStore, reason: str, rate: float
) -> None:
    bench = await in_service(files, rate)
    verdicts = events_of_type(Verdict, await bench.handle(*(left_to_teacher(c, reason) for c in traffic(0, 600))))
    sampled = {student: {v.invocation for v in verdicts if v.student == student} for student in (SERVING, SUCCESSOR)}
    assert sampled[SERVING] == sampled[SUCCESSOR]
    assert len(sampled[SUCCESSOR]) == binomial(600, rate)
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == len(sampled[SUCCESSOR])


@pytest.mark.parametrize("reason", ["critical", "unsuitable", "not_allowed", "pinned", "episode_target", "fallback"])
async def test_calls_that_no_confidence_kept_from_it_or_that_it_may_not_serve_are_not_sampled(
    files: ObjectStore, reason: str
) -> None:
    bench = await in_service(files, 1.0)
    assert events_of_type(Verdict, await bench.handle(*(left_to_teacher(c, reason) for c in traffic(0, 20)))) == []


async def test_while_the_student_that_was_asked_does_not_serve_its_calls_are_no_evidence(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    await bench.handle(bench.promotion("retired"))
    assert events_of_type(Verdict, await bench.handle(*(left_to_teacher(c) for c in traffic(0, 20)))) == []
    assert events_of_type(Verdict, await bench.handle(*audited(map(served_by_student, traffic(20, 20))))) == []
    assert calls_gathered(bench, SUCCESSOR) == 0


async def test_at_the_usual_rate_calls_on_which_a_student_was_asked_are_no_sample(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0, purpose="")
    calls = [*map(left_to_teacher, traffic(0, 20)), *audited(map(served_by_student, traffic(20, 20)))]
    assert {verdict.phase for verdict in events_of_type(Verdict, await bench.handle(*calls))} == {"audit"}
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 0
    await bench.handle(*traffic(40, 20, reason="control"))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 20


async def test_calls_of_a_student_that_is_only_on_trial_are_no_sample(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    asked = [left_to_teacher(call).model_copy(update={"student": SUCCESSOR}) for call in traffic(0, 20)]
    assert events_of_type(Verdict, await bench.handle(*asked)) == []


@pytest.mark.parametrize("rate", [0.0, 1.0])
async def test_calls_of_a_rare_class_outside_the_sample_are_evidence_for_their_class_alone(
    files: ObjectStore, rate: float
) -> None:
    bench = await in_service(files, rate)
    rare = Response(message=text_answer("never said before", 1).message)
    calls = [left_to_teacher(call).model_copy(update={"response": rare}) for call in traffic(0, 20)]
    verdicts = events_of_type(Verdict, await bench.handle(*calls))
    assert [verdict.student for verdict in verdicts].count(SERVING) == 20 * rate
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 20 * rate
    floor = trial(bench, SERVING).withholding.class_floor
    assert floor.count_verdicts("never said before") == 20


# Of calls that it served, those drawn to be audited


async def test_every_call_drawn_at_the_audit_rate_is_evidence_for_itself_and_for_its_successor(
    files: ObjectStore,
) -> None:
    bench = await in_service(files, 0.3)
    drawn = [served_by_student(call, drawn_at=0.3) for call in traffic(0, 200)]
    verdicts = events_of_type(Verdict, await bench.handle(*audited(drawn)))
    assert [v.invocation for v in verdicts if v.phase == "audit"] == [call.id for call in drawn]
    assert [(v.student, v.invocation) for v in verdicts if v.phase == "shadow"] == [
        (SUCCESSOR, call.id) for call in drawn
    ]
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 200


async def test_a_served_call_is_no_evidence_before_its_audit(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    call = served_by_student(traffic(0, 1)[0])
    assert events_of_type(Verdict, await bench.handle(call)) == []
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 0
    await bench.handle(audit_of(call, "refund"))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 1


async def test_an_audit_is_evidence_of_the_time_of_its_call(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    [_, call] = traffic(0, 2, hours=4)
    await bench.handle(served := served_by_student(call), audit_of(served, "refund", hours=3))
    assert trial(bench, SERVING).call_gate.first_at == trial(bench, SUCCESSOR).call_gate.first_at == call.at


async def test_a_successor_is_judged_by_the_teachers_answer_to_the_audit(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0, serving=lambda text: ("what the student said", right(text)[1]))
    call = served_by_student(traffic(0, 1)[0], lambda text: ("what the student said", 0.9))
    [audit, shadow] = events_of_type(Verdict, await bench.handle(*audited([call])))
    assert (audit.phase, audit.student, audit.agreed) == ("audit", SERVING, False)
    assert (shadow.phase, shadow.student, shadow.agreed, shadow.counts) == ("shadow", SUCCESSOR, True, True)
    assert shadow.at == call.at


async def test_calls_drawn_at_a_higher_probability_are_thinned_to_the_audit_rate(files: ObjectStore) -> None:
    bench = await in_service(files, 0.3)
    drawn = [served_by_student(call, drawn_at=1.0) for call in traffic(0, 600)]
    verdicts = events_of_type(Verdict, await bench.handle(*audited(drawn)))
    assert sum(verdict.phase == "audit" for verdict in verdicts) == 600, "all of them watch for drift"
    assert calls_gathered(bench, SUCCESSOR) == binomial(600, 0.3)
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR)
    assert trial(bench, SERVING).audit_count == 600


async def test_calls_drawn_at_half_as_high_a_probability_again_are_thinned_less(files: ObjectStore) -> None:
    bench = await in_service(files, 0.3)
    await bench.handle(*audited(served_by_student(call, drawn_at=0.6) for call in traffic(0, 600)))
    assert calls_gathered(bench, SUCCESSOR) == binomial(600, 0.5)


async def test_spot_checks_are_no_evidence_unless_they_were_drawn_as_well(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    spots = [served_by_student(call, spot_check=True, drawn=False) for call in traffic(0, 50)]
    await bench.handle(*audited(spots))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 0
    both = [served_by_student(call, spot_check=True, drawn=True) for call in traffic(50, 50)]
    await bench.handle(*audited(both))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 50


async def test_what_a_student_serves_for_want_of_money_is_no_sample(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    # Where it is unsure such a call is refused, and the teacher never answers it.
    found = await bench.handle(*audited(served_by_student(call, reason="over_budget") for call in traffic(0, 50)))
    assert {verdict.phase for verdict in events_of_type(Verdict, found)} == {"audit"}
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 0


async def test_while_the_budget_is_spent_nothing_of_that_day_is_sampled(files: ObjectStore) -> None:
    """Where the student is sure it serves as ever; where it is not, the call is refused without a teacher's answer."""
    bench = await in_service(files, 1.0)
    calls = traffic(0, 12, hours=2)
    refused = calls[4].model_copy(
        update={
            "response": None,
            "error": "over budget",
            "served_by": "none",
            "route": Route(reason="over_budget"),
            "student": None,
        }
    )
    await bench.handle(*audited(served_by_student(call) for call in calls[:4]))
    assert calls_gathered(bench, SUCCESSOR) == 4
    await bench.handle(refused, *audited(served_by_student(call) for call in calls[5:8]))
    await bench.handle(*map(left_to_teacher, calls[8:]))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 4
    tomorrow = (
        call.model_copy(update={"at": call.at + timedelta(days=1), "id": f"{call.id}-tomorrow"})
        for call in traffic(20, 3, hours=2)
    )
    await bench.handle(*audited(served_by_student(call) for call in tomorrow))
    assert calls_gathered(bench, SUCCESSOR) == 7


# What the teacher answered by draw


async def test_calls_outside_the_share_are_all_evidence(files: ObjectStore) -> None:
    bench = await in_service(files, 0.1)
    await bench.handle(*traffic(0, 100, reason="control"))
    assert calls_gathered(bench, SERVING) == calls_gathered(bench, SUCCESSOR) == 100


async def test_the_teacher_asked_again_about_its_own_answer_is_no_second_evidence(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    calls = [call.model_copy(update={"route": Route(reason="control", drawn=True)}) for call in traffic(0, 20)]
    calls += [
        call.model_copy(update={"route": Route(reason="low_confidence", threshold=THRESHOLD, drawn=True)})
        for call in map(left_to_teacher, traffic(20, 20))
    ]
    before = events_of_type(Verdict, await bench.handle(*calls))
    assert len(before) == 80
    again = events_of_type(Verdict, await bench.handle(*audited(calls)[1::2]))
    assert {(verdict.phase, verdict.student) for verdict in again} == {("self_agreement", "teacher")}
    assert len(again) == 40
    await bench.look(3)
    for student in (SERVING, SUCCESSOR):
        assert trial(bench, student).call_gate.tail_gate.calls == 40


async def test_inputs_that_come_often_and_are_unproven_do_not_outweigh_the_others_of_a_successor(
    files: ObjectStore,
) -> None:
    bench = await in_service(files, 0.3)
    await bench.handle(*(left_to_teacher(call, "unproven") for call in traffic(0, 600)))
    assert calls_gathered(bench, SERVING) == 600, "they prove its head, apart from the rest"
    assert calls_gathered(bench, SUCCESSOR) == binomial(600, 0.3)


# Levels


def level_counts(bench: EvaluatorHarness, student: str, stream: str) -> tuple[list[float], list[float]]:
    """Agreements and verdicts at each threshold, strictest first."""
    agreed, n = trial(bench, student).levels.levels.state()["counts"][stream]
    return agreed, n


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
async def test_levels_count_every_audit_once(files: ObjectStore, rate: float) -> None:
    bench = await in_service(files, rate)
    await bench.handle(*traffic(1000, 50, reason="control"))
    await bench.look(2.5)
    trial(bench, SERVING).levels.levels.restart()
    calls = [call.model_copy(update={"at": call.at + timedelta(days=3)}) for call in traffic(0, 400)]
    await bench.handle(*audited(served_by_student(call, lambda text: (right(text)[0], 0.99)) for call in calls))
    await bench.look(6.5)
    for stream in ("inputs", "calls"):
        _, n = level_counts(bench, SERVING, stream)
        assert max(n) == 400
        assert n[-1] == 0, "for thresholds below the one that it had to reach an audit says nothing"


async def test_levels_take_nothing_from_calls_that_the_student_left_to_the_teacher(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    trial(bench, SERVING).levels.levels.restart()
    # A confidence that would have been served: what a withheld answer may have.
    await bench.handle(*(left_to_teacher(call, "withheld") for call in traffic(0, 400)))
    await bench.look(4)
    assert trial(bench, SERVING).call_gate.tail_gate.calls == 400
    for stream in ("inputs", "calls"):
        assert max(level_counts(bench, SERVING, stream)[1]) == 0


async def test_levels_of_a_successor_take_all_of_the_sample_at_every_threshold(files: ObjectStore) -> None:
    bench = await in_service(files, 1.0)
    trial(bench, SUCCESSOR).levels.levels.restart()
    served, left = traffic(0, 300), traffic(300, 100)
    await bench.handle(*audited(map(served_by_student, served)), *map(left_to_teacher, left))
    await bench.look(4)
    for stream in ("inputs", "calls"):
        assert max(level_counts(bench, SUCCESSOR, stream)[1]) == pytest.approx(400, abs=10), "at the loosest"


def test_no_confidence_reaches_a_call_that_was_not_served() -> None:
    assert NOT_SERVED > 1.0


# The sample is unbiased


def hard(text: str) -> bool:
    return position(text, "hard") < 0.4


def unsure_where_hard(text: str) -> tuple[str, float]:
    """Serves the easy calls; wrong on a third of the hard ones, which it leaves to the teacher, and on few others."""
    label, _ = right(text)
    wrong = position(text, "serving errs") < (1 / 3 if hard(text) else 0.02)
    return ("wrong" if wrong else label), 0.3 if hard(text) else 0.9


def wrong_where_hard(text: str) -> tuple[str, float]:
    """The successor: as wrong on the hard calls, but as sure of them as of the others."""
    label, confidence = right(text)
    return ("wrong" if position(text, "successor errs") < (1 / 3 if hard(text) else 0.01) else label), confidence


@pytest.mark.parametrize(("rate", "share", "drawn_at"), [(0.25, 1.0, 3.0), (0.25, 0.4, 1.0), (0.5, 1.0, 1.0)])
async def test_the_evidence_is_as_good_as_the_calls_whoever_answered_them(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch, rate: float, share: float, drawn_at: float
) -> None:
    """Half of the audited calls are drawn at `drawn_at` times the rate, as after a disagreement."""
    scores: dict[CallGate | DistinctInputGate, list[float]] = {}

    def spy(kind: type[CallGate] | type[DistinctInputGate]) -> None:
        add: Any = kind.add

        def add_and_remember(gate: Any, call_input: Input, observation: Observation, *rest: Any) -> None:
            scores.setdefault(gate, []).append(observation.score)
            add(gate, call_input, observation, *rest)

        monkeypatch.setattr(kind, "add", add_and_remember)

    bench = await in_service(files, rate, unsure_where_hard, wrong_where_hard)
    spy(CallGate)
    spy(DistinctInputGate)
    days, per_day = 6, 2000
    events: list[Event] = []
    for number in range(days * per_day):
        [call] = traffic(number % 2000, 1)
        day = number // 2000
        at = TRAINED + timedelta(days=number / per_day, minutes=1)
        call = call.model_copy(update={"id": f"{call.id}-{day}", "at": at})
        text = request_text(call.request)
        probability = min(1.0, rate * (drawn_at if number % 2 else 1.0))
        if position(call.id, "canary") >= share:
            events.append(call.model_copy(update={"route": Route(reason="control")}))
        elif unsure_where_hard(text)[1] < THRESHOLD:
            events.append(left_to_teacher(call, rule=unsure_where_hard))
        else:
            drawn = position(call.id, "draw") < probability
            served = served_by_student(call, unsure_where_hard, drawn_at=probability, drawn=drawn)
            events += audited([served]) if drawn else [served]
    for start in range(0, len(events), 1000):
        await bench.handle(*events[start : start + 1000])

    texts = [request_text(call.request) for call in traffic(0, 2000)]
    for student, rule in ((SERVING, unsure_where_hard), (SUCCESSOR, wrong_where_hard)):
        truth = sum(rule(text)[0] == right(text)[0] for text in texts) / len(texts)
        assert 0.8 < truth < 0.9
        for gate in (trial(bench, student).call_gate, trial(bench, student).input_gate):
            found, error = scores[gate], math.sqrt(truth * (1 - truth) / len(scores[gate]))
            assert len(found) > 1500
            assert sum(found) / len(found) == pytest.approx(truth, abs=4 * error), (student, type(gate))
