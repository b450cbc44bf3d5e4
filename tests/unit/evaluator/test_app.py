"""The evaluator on a bus that stands still."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message
from tests.support.datasets import TASK
from tests.support.trials import (
    ARTIFACT,
    TRAINED,
    EvaluatorHarness,
    ScriptedStudent,
    audit_of,
    call_of,
    dataset,
    events_of_type,
    failing_on,
    pool,
    right,
    traffic,
    wrong,
)

from understudies.datasets.object_store import ObjectStore
from understudies.events import Drift, Event, GateDecision, Invocation, Message, Response, Route, Verdict
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.stats.coverage import thin_thresholds
from understudies.students.base import request_text

STUDENT = f"{TASK}@1"
[TEACHER] = {example.teacher for example in dataset().examples}


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def on_trial(files: ObjectStore, student: ScriptedStudent | None = None, **settings: Any) -> EvaluatorHarness:
    """A student whose trial has been opened; it is always right unless another is given."""
    bench = EvaluatorHarness(files, student or ScriptedStudent(), **settings)
    await bench.handle(bench.promotion("trained"))
    return bench


async def in_service(files: ObjectStore, student: ScriptedStudent | None = None) -> EvaluatorHarness:
    """A student that serves at the loosest of its thresholds, on a kind of day that it was judged on."""
    bench = await on_trial(files, student)
    await bench.handle(*traffic(1900, 100, hours=1))
    loosest = bench.app.evaluation.trials[STUDENT].selective_gate.thresholds[-1]
    await bench.handle(bench.promotion("promoted", share=1.0, threshold=loosest.confidence))
    return bench


def served(n: int, first: int = 0, *, hours: float = 1) -> list[Invocation]:
    """Calls that the student served and that were drawn to be audited."""
    calls = traffic(first, n, hours=hours, reason="promoted", drawn=1, served_by="student", student=STUDENT)
    return [call.model_copy(update={"id": f"served-{call.id}", "confidence": 0.9}) for call in calls]


def gathered(bench: EvaluatorHarness, student: str = STUDENT) -> int:
    return bench.app.evaluation.trials[student].collected


def decision(events: list[Event]) -> GateDecision:
    [found] = events_of_type(GateDecision, events)
    return found


# Shadow


async def test_a_call_of_the_teacher_is_evidence(files: ObjectStore) -> None:
    bench = await on_trial(files)
    before = gathered(bench)
    [call] = traffic(0, 1)
    [verdict] = events_of_type(Verdict, await bench.handle(call))
    assert (verdict.phase, verdict.student, verdict.invocation) == ("shadow", STUDENT, call.id)
    assert (verdict.agreed, verdict.counts, verdict.answer_class) == (True, True, right(request_text(call.request))[0])
    assert verdict.confidence == right(request_text(call.request))[1]
    assert gathered(bench) == before + 1


async def test_an_imported_call_is_no_evidence_for_a_student_on_trial(files: ObjectStore) -> None:
    bench = await on_trial(files)
    before = gathered(bench)
    assert await bench.handle(*traffic(0, 3, origin="imported")) == []
    assert gathered(bench) == before


@pytest.mark.parametrize("origin", ["live", "audit"])
async def test_calls_of_another_tenants_task_are_neither_shown_to_a_student_nor_evidence(
    files: ObjectStore, origin: Any
) -> None:
    student = ScriptedStudent()
    bench = await on_trial(files, student)
    before, asked = gathered(bench), len(student.batches)
    others = [
        call.model_copy(update={"task": f"bolt:{TASK}", "tenant": "bolt", "origin": origin}) for call in traffic(0, 3)
    ]
    assert await bench.handle(*others) == []
    assert (gathered(bench), len(student.batches)) == (before, asked)


async def test_one_input_counts_once_for_each_student_and_every_call_of_it_forward(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(bench.promotion("trained", version=2))
    example = pool()[300]
    calls = [call_of(example, hour, id=f"repeat-{hour}") for hour in range(3)]
    verdicts = events_of_type(Verdict, [*await bench.handle(calls[0]), *await bench.handle(*calls[1:])])
    assert [(v.student, v.invocation) for v in verdicts if v.counts] == [
        (STUDENT, calls[0].id),
        (f"{TASK}@2", calls[0].id),
    ]
    assert len(verdicts) == 6
    for trial in bench.app.evaluation.trials.values():
        trial.place_bets(TRAINED + timedelta(days=1))
        assert trial.call_gate.tail_gate.calls == 3


@pytest.mark.parametrize("split", ["train", "validation", "evidence"])
async def test_inputs_of_the_dataset_do_not_count_again_but_as_calls(files: ObjectStore, split: Any) -> None:
    bench = await on_trial(files)
    before = gathered(bench)
    verdicts = events_of_type(
        Verdict, await bench.handle(*(call_of(example) for example in dataset().in_split(split)[:3]))
    )
    assert [verdict.counts for verdict in verdicts] == [False] * 3
    assert gathered(bench) == before
    forward = bench.app.evaluation.trials[STUDENT].call_gate
    assert forward.collected == 3, "as calls they do: users meet them again"


@pytest.mark.parametrize(
    ("reason", "counts"),
    [("no_student", True), ("control", True), ("drift", True), ("low_confidence", False), ("student_error", False)],
)
async def test_calls_that_the_student_passed_on_do_not_count(files: ObjectStore, reason: str, counts: bool) -> None:
    bench = await on_trial(files)
    before = gathered(bench)
    verdicts = events_of_type(Verdict, await bench.handle(*traffic(0, 1, reason=reason)))
    assert [verdict.counts for verdict in verdicts] == [True] * counts
    assert gathered(bench) == before + counts


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "synthetic"},
        {"response": None, "error": "time-out"},
        {"served_by": "student", "student": STUDENT},
        {"task": "another"},
    ],
)
async def test_what_no_teacher_answered_for_the_task_is_not_judged(files: ObjectStore, changes: dict[str, Any]) -> None:
    bench = await on_trial(files)
    assert await bench.handle(*traffic(0, 1, **changes)) == []


async def test_where_the_student_fails_the_other_calls_are_judged(files: ObjectStore) -> None:
    calls = traffic(0, 4)
    bench = await on_trial(files, ScriptedStudent(failing_on(request_text(calls[2].request))))
    verdicts = events_of_type(Verdict, await bench.handle(*calls))
    assert [verdict.invocation for verdict in verdicts] == [calls[index].id for index in (0, 1, 3)]


async def test_a_student_that_breaks_holds_up_no_audit_of_another_task(files: ObjectStore) -> None:
    def breaking(text: str) -> tuple[str, float]:
        raise RuntimeError(text)

    student = ScriptedStudent()
    bench = await in_service(files, student)
    other = "other"
    trained = bench.promotion("trained")
    await bench.handle(trained.model_copy(update={"id": "other", "task": other, "student": f"{other}@1"}))
    [call] = served(1)
    await bench.handle(call)
    student.rule = breaking
    calls = traffic(0, 2, task=other)
    verdicts = events_of_type(Verdict, await bench.handle(*calls, audit_of(call, "another")))
    assert [verdict.phase for verdict in verdicts] == ["audit"]


# Decisions


async def test_a_student_that_agrees_is_promoted_at_the_next_day(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 300))
    found = decision(await bench.look(3))
    assert (found.decision, found.student, found.at) == ("promote", STUDENT, TRAINED + timedelta(days=3))
    assert found.coverage == 1.0
    assert found.threshold == bench.app.evaluation.trials[STUDENT].selective_gate.thresholds[-1].confidence
    assert found.reason == (
        f"agrees at least 95% on the surest 100% of calls, after {gathered(bench)} verdicts on distinct inputs"
        " and 300 verdicts on calls since"
    )
    chosen: Any = found.evidence["chosen"]
    assert (chosen["threshold"], chosen["agreement"], chosen["passed"]) == (found.threshold, 1.0, True)
    assert await bench.look(3.5) == await bench.look(4) == []


async def test_a_first_call_from_a_clock_far_ahead_puts_no_look_off(files: ObjectStore) -> None:
    bench = await on_trial(files)
    first, *calls = traffic(0, 300)
    await bench.handle(first.model_copy(update={"at": first.at + timedelta(days=3650)}), *calls)
    assert decision(await bench.look(3)).decision == "promote"


async def test_a_student_that_disagrees_is_rejected_with_the_numbers(files: ObjectStore) -> None:
    bench = await on_trial(files, ScriptedStudent(wrong))
    await bench.handle(*traffic(0, 100))
    found = decision(await bench.look(3))
    assert found.decision == "reject"
    assert re.fullmatch(
        r"shown to agree less than 95% even where it is surest: agreement on the surest 11% is 0\.0% of \d+ verdicts",
        found.reason,
    )


async def test_a_student_that_proves_nothing_is_inconclusive(files: ObjectStore) -> None:
    bench = await on_trial(files, n_max=60)
    calls = traffic(0, 60)
    await bench.handle(*calls)
    found = decision(await bench.look(3))
    assert (found.decision, found.threshold, found.coverage) == ("inconclusive", None, None)
    assert found.reason.startswith(f"nothing proven after {gathered(bench)} verdicts, a better student is needed")


async def test_a_looser_threshold_is_announced_as_evidence_comes(files: ObjectStore) -> None:
    def sometimes(text: str) -> tuple[str, float]:
        label, confidence = right(text)
        return (label if confidence >= 0.6 or hash_of(text) % 2 else "wrong"), confidence

    bench = await on_trial(files, ScriptedStudent(sometimes))
    coverages: list[float] = []
    for day in range(8):
        await bench.handle(*traffic(200 * day, 200, hours=24))
        coverages += [found.coverage or 0 for found in events_of_type(GateDecision, await bench.look(day + 1))]
    assert len(coverages) > 1
    assert coverages == sorted(set(coverages))
    assert 0.6 < coverages[-1] < 1


def hash_of(text: str) -> int:
    return sum(map(ord, text))


# Beyond the promise


async def told_of(bench: EvaluatorHarness, day: float) -> GateDecision:
    """The decision of a look, which the student then serves by."""
    found = decision(await bench.look(day))
    known: dict[str, Any] = {"share": 1.0, "threshold": found.threshold, "levels": found.levels}
    await bench.handle(bench.promotion("promoted", at=found.at, **known))
    return found


async def test_a_decision_tells_what_is_proven_beyond_it(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 300))
    found = await told_of(bench, 3)
    assert found.levels[0][1] == found.threshold
    assert found.levels[0][0] >= 0.97
    assert await bench.look(4) == []


async def test_in_service_more_that_is_proven_is_told_with_the_threshold_in_force(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 300))
    first = await told_of(bench, 3)
    await bench.handle(*traffic(300, 600, reason="control"))
    more = decision(await bench.look(4))
    assert (more.decision, more.threshold, more.coverage) == ("promote", first.threshold, first.coverage)
    assert more.levels > first.levels
    assert more.reason.startswith(f"agrees at least {more.levels[-1][0]:.1%} from confidence ")


async def test_audits_prove_more_from_the_threshold_that_their_call_had_to_reach(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 300))
    first = await told_of(bench, 3)
    strict = thin_thresholds(bench.app.evaluation.trials[STUDENT].thresholds)[2].confidence
    for call in traffic(300, 700, reason="promoted", drawn=1, served_by="student", student=STUDENT, confidence=0.999):
        assert call.route is not None
        call = call.model_copy(update={"route": call.route.model_copy(update={"threshold": strict})})
        await bench.handle(call, audit_of(call, right_of(call)))
    more = decision(await bench.look(4))
    assert more.levels[0] == first.levels[0]
    assert more.levels[-1][0] > first.levels[-1][0]
    assert more.levels[-1][1] == strict


async def test_levels_that_fell_are_taken_back_at_the_next_tick(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 1000))
    first = await told_of(bench, 3)
    for number, call in enumerate(served(200, 1000)):
        answer = "something else now" if number % 12 == 0 else right_of(call)
        alarms = events_of_type(Drift, await bench.handle(call, audit_of(call, answer)))
        assert all(alarm.tier == "warn" for alarm in alarms)
    less = decision(await bench.look(3))
    assert (less.threshold, less.levels) == (first.threshold, ((0.95, first.threshold),))


# What cannot be tried


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"artifact": "nowhere"}, "cannot read 'nowhere'"),
        ({"artifact": None}, "announced as trained without dataset or artifact"),
        ({"dataset": None}, "announced as trained without dataset or artifact"),
        ({"dataset": "file:///elsewhere/0.jsonl"}, "is not under the artifact root"),
    ],
)
async def test_what_cannot_be_read_is_rejected(files: ObjectStore, changes: dict[str, Any], reason: str) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent())
    [found] = await bench.handle(bench.promotion("trained", **changes))
    assert isinstance(found, GateDecision)
    assert (found.decision, found.student) == ("reject", STUDENT)
    assert reason in found.reason
    assert bench.app.evaluation.trials == {}


async def test_a_tampered_dataset_is_rejected(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent())
    story = bench.promotion("trained")
    assert story.dataset is not None
    tamper(Path(files.root.removeprefix("file://")) / story.dataset)
    assert "was changed after it was written" in decision(await bench.handle(story)).reason


def tamper(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"refund", b"revenge"))


async def test_an_artifact_that_vanishes_ends_the_trial_and_nothing_else(files: ObjectStore) -> None:
    bench = await on_trial(files)
    bench.students.students["other"] = ScriptedStudent()
    await bench.handle(bench.promotion("trained", version=2, artifact="other"))
    del bench.students.students[ARTIFACT]
    first, second = traffic(0, 2)
    found = await bench.handle(first)
    assert decision(found).student == STUDENT
    assert decision(found).decision == "reject"
    assert decision(found).reason == "can no longer be tried: cannot read 'artifact': no such file"
    assert [verdict.student for verdict in events_of_type(Verdict, found)] == [f"{TASK}@2"]
    assert events_of_type(GateDecision, await bench.handle(second)) == []


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_trial_whose_files_are_away_is_put_off_and_opened_later(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent())
    story = bench.promotion("trained")
    with monkeypatch.context() as outage:
        outage.setattr(ObjectStore, "read", away)
        assert await bench.handle(story) == []
        assert await bench.look() == []
    if restarts:
        await bench.restart(json.loads(json.dumps(bench.app.state())))
    assert {event.task for event in await bench.look(1)} == {TASK}
    assert gathered(bench) == len(dataset().in_split("evidence"))


def away(files: ObjectStore, uri: str) -> bytes:
    raise RetryLater(f"cannot read {uri!r} now")


async def test_what_was_put_off_is_not_read_at_every_tick(files: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(files: ObjectStore, uri: str) -> bytes:
        reads.append(uri)
        return away(files, uri)

    bench = EvaluatorHarness(files, ScriptedStudent())
    monkeypatch.setattr(ObjectStore, "read", counted)
    await bench.handle(bench.promotion("trained"))
    for seconds in range(60):
        await bench.look(seconds / 86_400)
    assert len(reads) == 3


async def test_a_student_that_is_put_off_and_over_is_not_tried(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent())
    with monkeypatch.context() as outage:
        outage.setattr(ObjectStore, "read", away)
        await bench.handle(bench.promotion("trained"))
    await bench.handle(bench.promotion("retired"))
    assert await bench.look(1) == []
    assert bench.app.evaluation.trials == {}


async def test_a_student_whose_artifact_is_away_stays_on_trial(files: ObjectStore) -> None:
    bench = await on_trial(files)
    bench.students.unavailable = True
    asked_before = gathered(bench)
    assert await bench.handle(*traffic(0, 5)) == []
    bench.students.unavailable = False
    assert len(events_of_type(Verdict, await bench.handle(*traffic(5, 5)))) == 5
    assert gathered(bench) == asked_before + 5


async def test_a_student_in_service_that_cannot_be_asked_is_still_audited(files: ObjectStore) -> None:
    bench = await in_service(files)
    del bench.students.students[ARTIFACT]
    [call] = served(1)
    found = await bench.handle(*traffic(0, 1), call, audit_of(call, "refund"))
    assert [verdict.phase for verdict in events_of_type(Verdict, found)] == ["audit"]
    assert events_of_type(GateDecision, found) == []


# Audits and drift


async def test_an_audit_is_judged_once(files: ObjectStore) -> None:
    bench = await in_service(files)
    [call] = served(1)
    assert call.response is not None
    assert await bench.handle(call) == []
    [verdict] = events_of_type(Verdict, await bench.handle(audit_of(call, call.response.message.text)))
    assert (verdict.phase, verdict.student, verdict.invocation) == ("audit", STUDENT, call.id)
    assert (verdict.agreed, verdict.counts, verdict.confidence) == (True, False, 0.9)
    again = audit_of(call, "refund").model_copy(update={"id": "another audit of the same call"})
    assert await bench.handle(again) == []


async def test_an_audit_finds_its_call_after_a_restart(files: ObjectStore) -> None:
    bench = await in_service(files)
    [call] = served(1)
    await bench.handle(call)
    await bench.restart(json.loads(json.dumps(bench.app.state())))
    [verdict] = events_of_type(Verdict, await bench.handle(audit_of(call, "refund")))
    assert (verdict.phase, verdict.invocation, verdict.confidence) == ("audit", call.id, 0.9)


async def test_a_late_audit_finds_its_call_behind_any_number_that_were_not_drawn(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent(), served_memory=10)
    route = Route(reason="promoted", audit_probability=0.02, drawn=False)
    [call, *others] = [call.model_copy(update={"route": route}) for call in served(1000)]
    call = call.model_copy(update={"route": route.model_copy(update={"drawn": True})})
    await bench.handle(bench.promotion("trained"))
    await bench.handle(call, *others)
    [verdict] = events_of_type(Verdict, await bench.handle(audit_of(call, "refund")))
    assert (verdict.phase, verdict.invocation) == ("audit", call.id)
    assert bench.app.evaluation.pending_audits.unpaired == 0


async def test_repeats_of_one_input_feed_the_detectors_each_time(files: ObjectStore) -> None:
    bench = await in_service(files)
    [call] = served(1)
    alarms: list[Drift] = []
    for hour in range(4):
        repeat = call.model_copy(update={"id": f"repeat-{hour}", "at": call.at + timedelta(hours=hour)})
        alarms += events_of_type(Drift, await bench.handle(repeat, audit_of(repeat, "no")))
    assert bench.app.evaluation.trials[STUDENT].audit_count == 4
    assert [(alarm.tier, alarm.cause) for alarm in alarms] == [("contract", "agreement")]


async def test_a_spot_check_speaks_for_its_class_alone(files: ObjectStore) -> None:
    bench = await in_service(files)
    trial = bench.app.evaluation.trials[STUDENT]
    for call in served(5):
        spot = call.model_copy(update={"route": Route(reason="promoted", drawn=False, spot_check=True)})
        found = await bench.handle(spot, audit_of(spot, "never said before"))
        assert [verdict.phase for verdict in events_of_type(Verdict, found)] == ["audit"]
        assert events_of_type(Drift, found) == []
    assert trial.audit_count == 0
    assert trial.withholding.class_floor.failing_classes(trial.thresholds[-1].confidence) == ["never said before"]


async def test_a_broken_contract_is_published_with_the_agreement_after_it(files: ObjectStore) -> None:
    bench = await in_service(files)
    alarms: list[Drift] = []
    for number, call in enumerate(served(30)):
        assert call.response is not None
        answer = call.response.message.text if number < 20 else "something else now"
        alarms += events_of_type(Drift, await bench.handle(call, audit_of(call, answer)))
    found = alarms[0]
    assert (found.tier, found.student, found.drifted, found.confidence) == ("contract", STUDENT, True, 0.999)
    assert found.statistic >= 1000
    assert (found.agreement_before, found.agreement_after) == (1.0, 0.0)
    assert 22 <= found.audited <= 27


@pytest.mark.parametrize(
    "response",
    [
        Response(message=Message(role="assistant", content=None)),
        Response(message=assistant_message("let me look"), finish_reason="pause_turn"),
    ],
)
async def test_an_audit_that_the_teacher_did_not_answer_speaks_against_nobody(
    files: ObjectStore, response: Response
) -> None:
    bench = await in_service(files)
    calls = served(10)
    await bench.handle(*calls)
    audits = [audit_of(call, "").model_copy(update={"response": response}) for call in calls]
    assert await bench.handle(*audits) == []
    assert bench.app.evaluation.trials[STUDENT].audit_count == 0


async def test_an_audit_of_a_student_that_is_not_on_trial_says_nothing(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(bench.promotion("retired"))
    [call] = served(1)
    assert await bench.handle(call, audit_of(call, "no")) == []


async def test_a_student_that_is_over_is_forgotten(files: ObjectStore) -> None:
    for stage in ("rejected", "demoted", "retired"):
        bench = await on_trial(files)
        await bench.handle(bench.promotion(stage))
        assert bench.app.evaluation.trials == {}
        assert bench.students.released == [ARTIFACT]
        assert await bench.handle(*traffic(0, 1)) == []


# Self-agreement


def asked_again(call: Invocation, answer: str) -> Invocation:
    return audit_of(call, answer).model_copy(update={"student": None})


async def test_the_teacher_is_compared_with_itself_by_the_judge_of_the_trial(files: ObjectStore) -> None:
    bench = await on_trial(files)
    [call] = traffic(0, 1, reason="no_student", drawn=0.1)
    assert call.response is not None
    again = asked_again(call, f'"{call.response.message.text.upper()}."')
    [verdict] = [v for v in events_of_type(Verdict, await bench.handle(call, again)) if v.phase == "self_agreement"]
    assert (verdict.student, verdict.judge, verdict.agreed, verdict.counts) == ("teacher", "label", True, False)


async def test_without_a_trial_the_judge_comes_from_the_answers_so_far(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files)
    calls = traffic(0, 40, reason="no_student", drawn=0.1)
    assert await bench.handle(*calls[:10], asked_again(calls[0], "REFUND")) == []
    verdicts = events_of_type(
        Verdict, await bench.handle(*calls[10:], asked_again(calls[30], right_of(calls[30]).upper()))
    )
    assert [(verdict.judge, verdict.agreed) for verdict in verdicts] == [("label", True)]


async def test_without_a_trial_the_rules_name_the_judge(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files, rules=Rules(tasks={TASK: TaskRules(judge="exact")}))
    [call] = traffic(0, 1, reason="no_student", drawn=0.1)
    [verdict] = events_of_type(Verdict, await bench.handle(call, asked_again(call, right_of(call).upper())))
    assert (verdict.judge, verdict.agreed) == ("exact", False)


def right_of(call: Invocation) -> str:
    return right(request_text(call.request))[0]


# At least once


async def test_a_batch_that_comes_again_changes_nothing(files: ObjectStore) -> None:
    bench = await in_service(files)
    calls, asked = traffic(0, 20, reason="control", drawn=1), served(5, first=50)
    batch = [*calls, *asked, audit_of(asked[0], "no"), asked_again(calls[0], "no")]
    published = len(await bench.handle(*batch, *batch))
    assert published == 20 + 1 + 1
    state = bench.app.state()
    assert await bench.handle(*batch) == []
    assert bench.app.state() == state


async def test_what_was_not_published_is_published_with_the_redelivery(files: ObjectStore) -> None:
    bench = await on_trial(files)
    calls = traffic(0, 5)
    bench.recorder.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await bench.handle(*calls)
    verdicts = events_of_type(Verdict, await bench.handle(*calls))
    assert [(verdict.invocation, verdict.counts) for verdict in verdicts] == [(call.id, True) for call in calls]
    assert await bench.handle(*calls) == []


async def test_a_decision_that_was_not_published_survives_a_restart(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 300))
    bench.recorder.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await bench.look(3)
    await bench.restart(json.loads(json.dumps(bench.app.state())))
    assert decision(await bench.look(3.1)).decision == "promote"
    assert await bench.look(4) == []


async def test_the_same_story_opens_one_trial(files: ObjectStore) -> None:
    bench = await on_trial(files)
    trial = bench.app.evaluation.trials[STUDENT]
    assert await bench.handle(bench.promotion("trained").model_copy(update={"id": "told again"})) == []
    assert bench.app.evaluation.trials[STUDENT] is trial


# Restarts


@pytest.mark.parametrize("stage", ["qualified", "promoted"])
async def test_a_trial_lost_with_its_snapshot_is_opened_anew(files: ObjectStore, stage: str) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent())
    verdicts = events_of_type(Verdict, await bench.handle(bench.promotion(stage, share=0.25, threshold=0.6)))
    trial = bench.app.evaluation.trials[STUDENT]
    assert trial.selective_gate.n == len(verdicts) == len(dataset().in_split("evidence"))
    assert trial.is_serving == (trial.drift is not None) == (stage == "promoted")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 11), agrees=st.integers(0, 99))
async def test_a_snapshot_anywhere_gives_the_same_decisions(files: ObjectStore, cut: int, agrees: int) -> None:
    def rule(text: str) -> tuple[str, float]:
        return (right if hash_of(text) % 100 <= agrees else wrong)(text)

    bench = await on_trial(files, ScriptedStudent(rule))
    other = await on_trial(files, ScriptedStudent(rule))
    for half_day in range(12):
        calls = traffic(60 * half_day, 60, hours=12)
        told = [bench.promotion("promoted", threshold=0.6, share=1.0)] if half_day == 8 else []
        asked = served(3, first=1000 + 3 * half_day)
        batch = [*told, *calls, *asked, *(audit_of(call, right_of(call)) for call in asked)]
        assert await bench.handle(*batch) == await other.handle(*batch)
        assert await bench.look(half_day / 2) == await other.look(half_day / 2)
        if half_day == cut:
            ids = other.app._new_id
            await other.restart(json.loads(json.dumps(other.app.state())))
            other.app._new_id = other.app.evaluation._new_id = ids
    assert bench.app.state() == other.app.state()


async def test_it_starts_and_stops(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files)
    await bench.app.start()
    assert await bench.look() == []
    await bench.app.stop()


async def test_a_shift_of_traffic_holds_the_student_until_it_is_proven_anew(files: ObjectStore) -> None:
    bench = await in_service(files)
    unsure = [
        call.model_copy(update={"student": STUDENT, "confidence": 0.3})
        for call in traffic(0, 120, hours=12, reason="low_confidence")
    ]
    [warning] = events_of_type(Drift, await bench.handle(*unsure))
    assert (warning.tier, warning.drifted, warning.cause, warning.statistic) == ("warn", False, "traffic", 0.0)
    trial = bench.app.evaluation.trials[STUDENT]
    assert trial.call_gate.since == warning.at, "the calls before prove nothing of those to come"
    assert trial.call_gate.first_at is None or trial.call_gate.first_at > warning.at
    assert events_of_type(Drift, await bench.handle(*unsure)) == []
    held = decision(await bench.look(0.6))
    assert (held.decision, held.threshold) == ("promote", trial.promotion.threshold)
    assert held.reason.endswith(
        "; held at the canary share: it is confident on a different share of calls than was proven"
    )

    await bench.handle(*[call.model_copy(update={"at": call.at + timedelta(days=1)}) for call in traffic(400, 400)])
    assert [("held" in found.reason) for found in events_of_type(GateDecision, await bench.look(3))] == [False]


@pytest.mark.parametrize("qualified", [False, True])
async def test_a_change_after_it_was_announced_is_told_and_holds_it_until_it_is_proven_anew(
    files: ObjectStore, qualified: bool
) -> None:
    student = ScriptedStudent()
    bench = await on_trial(files, student)
    await bench.handle(*traffic(0, 300, model=TEACHER))
    announced = decision(await bench.look(3))
    if qualified:
        # Its snapshot is lost meanwhile.
        await bench.restart()
        await bench.handle(bench.promotion("qualified", at=TRAINED + timedelta(days=3)))
    student.rule = wrong
    changed = [
        call.model_copy(update={"at": call.at + timedelta(days=4)}) for call in traffic(300, 20, model="teacher-2")
    ]
    [drift] = events_of_type(Drift, await bench.handle(*changed))
    assert (drift.student, drift.tier, drift.cause, drift.drifted) == (STUDENT, "warn", "teacher", False)

    # It was promoted before that was known.
    at = TRAINED + timedelta(days=4, hours=1)
    await bench.handle(bench.promotion("promoted", at=at, share=1.0, threshold=announced.threshold))
    held = decision(await bench.look(4.1))
    assert (held.decision, held.evidence["held"]) == ("promote", "teacher")


async def test_a_change_before_anything_is_announced_begins_the_proof_anew_and_is_no_news(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*traffic(0, 100, hours=12, model=TEACHER))
    calls = traffic(100, 300, model="teacher-2")
    changed = [call.model_copy(update={"at": call.at + timedelta(days=1)}) for call in calls]
    assert events_of_type(Drift, await bench.handle(*changed)) == []
    found = decision(await bench.look(4))
    assert (found.decision, found.evidence["held"]) == ("promote", None)
    assert bench.app.evaluation.trials[STUDENT].changes.restriction is None


async def test_an_alarm_of_calls_that_are_read_late_comes_after_what_was_decided_before(files: ObjectStore) -> None:
    bench = await in_service(files)
    await bench.handle(*traffic(0, 300))
    announced = decision(await bench.look(3))
    assert announced.at == TRAINED + timedelta(days=3)
    await bench.restart(json.loads(json.dumps(bench.app.state())))
    unsure = [
        call.model_copy(update={"student": STUDENT, "confidence": 0.3})
        for call in traffic(400, 120, hours=12, reason="low_confidence")
    ]
    [warning] = events_of_type(Drift, await bench.handle(*unsure))
    assert (warning.cause, warning.at > announced.at) == ("traffic", True)

    ramped = bench.promotion("promoted", at=TRAINED + timedelta(days=4), share=1.0, threshold=announced.threshold)
    calls = served(4)
    await bench.handle(ramped, *calls)
    [alarm] = events_of_type(Drift, await bench.handle(*(audit_of(call, "another") for call in calls)))
    assert (alarm.tier, alarm.at) == ("contract", ramped.at), "routers heed an alarm since the promotion"


async def test_what_a_student_serves_for_want_of_money_is_no_shift_of_traffic(files: ObjectStore) -> None:
    bench = await in_service(files)
    strict = bench.app.evaluation.trials[STUDENT].thresholds[2]
    assert strict.coverage < 0.3
    await bench.handle(
        bench.promotion("promoted", at=TRAINED + timedelta(hours=1), threshold=strict.confidence, share=1.0)
    )
    sure = [
        call.model_copy(update={"student": STUDENT, "confidence": 1.0})
        for call in traffic(0, 240, hours=12, reason="over_budget")
    ]
    assert events_of_type(Drift, await bench.handle(*sure[:120])) == []
    route = Route(reason="promoted")
    [warning] = events_of_type(
        Drift, await bench.handle(*[call.model_copy(update={"route": route}) for call in sure[120:]])
    )
    assert warning.cause == "traffic"
