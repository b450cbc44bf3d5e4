"""Trials under ordinary traffic: what comes often, contradicts itself, comes in bursts, changes or is rare."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.datasets import TASK, example
from tests.support.distinct_words import distinct_words
from tests.support.trials import (
    ARTIFACT,
    TRAINED,
    EvaluatorHarness,
    Rule,
    ScriptedStudent,
    audit_of,
    call_of,
    events_of_type,
    pool,
    right,
    traffic,
)

from understudies.datasets.dataset import Example, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.trial import Trial
from understudies.events import Drift, GateDecision, Invocation, Response
from understudies.judges.answer_key import answer_key
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.students.base import text_answer
from understudies.students.head_inputs import HeadInputs, add_head, input_name

STUDENT = f"{TASK}@1"
OFTEN = example("please look at my account: " + distinct_words(1), assistant_message("refund"), 5000)


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


def trial(bench: EvaluatorHarness) -> Trial:
    return bench.app.evaluation.trials[STUDENT]


async def on_trial(
    files: ObjectStore, rule: Rule = right, examples: Sequence[Example] = pool()[:200], **rules: Any
) -> EvaluatorHarness:
    bench = EvaluatorHarness(files, ScriptedStudent(rule), rules=Rules(tasks={TASK: TaskRules(**rules)}))
    await bench.handle(bench.promotion("trained", dataset=write_dataset(files, TASK, examples)[0]))
    return bench


def days(n: int, per_day: int = 200, **changes: Any) -> list[Invocation]:
    return traffic(0, n * per_day, hours=24 * n, **changes)


def repeated(of_: Example, n: int, *, hours: float = 48, **changes: Any) -> list[Invocation]:
    """So many calls of one input over some hours."""
    return [call_of(of_, hours * number / n, id=f"repeated-{of_.id}-{number}", **changes) for number in range(n)]


def by_time(*calls: Invocation) -> list[Invocation]:
    return sorted(calls, key=lambda call: call.at)


def wrong_on_the_popular(text: str) -> tuple[str, float]:
    return ("card arrival", 0.99) if text.startswith("please look") else right(text)


async def decided(bench: EvaluatorHarness, days: float) -> GateDecision | None:
    found = events_of_type(GateDecision, await bench.look(days))
    return found[-1] if found else None


async def promoted(bench: EvaluatorHarness, found: GateDecision, share: float = 1.0) -> None:
    known: dict[str, Any] = {"threshold": found.threshold, "levels": found.levels, "withheld": found.withheld}
    await bench.handle(
        bench.promotion("promoted", at=found.at, share=share, head_threshold=found.head_threshold, **known)
    )


async def test_an_input_that_is_a_sixth_of_the_calls_and_wrong_is_not_served(files: ObjectStore) -> None:
    bench = await on_trial(files, wrong_on_the_popular)
    await bench.handle(*by_time(*days(4), *repeated(OFTEN, 150, hours=96)))
    found = await decided(bench, 4.1)
    assert found is not None
    assert trial(bench).selective_gate.passed_flags[-1], "by distinct inputs it would be"
    assert trial(bench).call_gate.tail_gate.passed_flags[-1] is False
    assert (found.decision, found.threshold) == ("reject", None), "it is as sure of that input as of any"


async def test_where_the_head_is_a_stratum_of_its_own_the_rest_is_served(files: ObjectStore) -> None:
    examples = [*pool()[:200], OFTEN.model_copy(update={"calls": 35, "at": pool()[199].at})]
    head = HeadInputs.find(examples, parse_judge("label"))
    assert head.input_names == {input_name(OFTEN.request)}
    bench = EvaluatorHarness(files)
    bench.students.students[ARTIFACT] = add_head(ScriptedStudent(wrong_on_the_popular), head)
    await bench.handle(bench.promotion("trained", dataset=write_dataset(files, TASK, examples)[0]))
    await bench.handle(*by_time(*days(2), *repeated(OFTEN, 75)))
    found = await decided(bench, 2.1)
    assert found is not None
    assert (found.decision, found.head_threshold) == ("promote", None)
    assert found.withheld.inputs == (input_name(OFTEN.request),)
    assert found.threshold == trial(bench).thresholds[-1].confidence
    assert found.coverage == pytest.approx(200 / 235, abs=1e-6)


async def test_a_head_that_the_teacher_contradicts_itself_on_stays_with_the_teacher(files: ObjectStore) -> None:
    contested = OFTEN.model_copy(
        update={
            "calls": 36,
            "at": pool()[199].at,
            "repeats": tuple(assistant_message("refund" if n % 2 else "change pin") for n in range(35)),
        }
    )
    examples = [*pool()[:200], contested]
    head = HeadInputs.find(examples, parse_judge("label"))
    assert head.contested == {input_name(OFTEN.request)}
    bench = EvaluatorHarness(files)
    bench.students.students[ARTIFACT] = add_head(ScriptedStudent(), head)
    await bench.handle(bench.promotion("trained", dataset=write_dataset(files, TASK, examples)[0]))
    answers = [
        call.model_copy(update={"response": Response(message=assistant_message("refund" if n % 2 else "change pin"))})
        for n, call in enumerate(repeated(OFTEN, 75))
    ]
    await bench.handle(*by_time(*days(2), *answers))
    found = await decided(bench, 2.1)
    assert found is not None
    assert (found.decision, found.head_threshold) == ("promote", None)
    assert trial(bench).repeats == (35, 0)
    told: Any = found.evidence["repeats"]
    assert told == {"answers": 35, "alike": 0}


async def test_a_burst_of_near_copies_does_not_promote(files: ObjectStore) -> None:
    bench = await on_trial(files)
    burst = [
        call_of(
            example(f"disk full on the host number {n}, please look at it now", assistant_message("refund"), 9000 + n),
            20 + n / 400,
        )
        for n in range(400)
    ]

    def known(text: str) -> tuple[str, float]:
        return ("refund", 0.99) if text.startswith("disk full") else right(text)

    bench.students.students[ARTIFACT] = ScriptedStudent(known)
    usual = traffic(0, 12, hours=36)
    await bench.handle(*by_time(*usual, *burst))
    assert await decided(bench, 2.1) is None
    assert trial(bench).call_gate.tail_gate.passed_flags[-1], "by calls it would be"
    assert trial(bench).selective_gate.n < 44 + 12 + 25, "of 400 copies a twentieth of the day's verdicts count"


async def test_a_new_teacher_model_restarts_the_proof_and_holds_the_student(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*days(2, model="teacher-1"))
    found = await decided(bench, 2.1)
    assert found is not None
    await promoted(bench, found)
    later = traffic(400, 300, hours=30, reason="control", model="teacher-2")
    later = [call.model_copy(update={"at": call.at + timedelta(days=2.2)}) for call in later]
    assert events_of_type(Drift, await bench.handle(*later[:2])) == []
    [alarm] = events_of_type(Drift, await bench.handle(later[2]))
    assert (alarm.tier, alarm.cause, alarm.drifted) == ("warn", "teacher", False)
    assert trial(bench).call_gate.since == later[2].at
    held = await decided(bench, 2.3)
    assert held is not None
    assert (held.decision, held.threshold, held.evidence["held"]) == ("promote", found.threshold, "teacher")
    assert events_of_type(Drift, await bench.handle(*later[3:])) == []
    again = await decided(bench, 4.5)
    assert again is not None
    assert (again.decision, again.evidence["held"]) == ("promote", None)


async def test_a_new_teacher_on_trial_restarts_the_proof_without_an_alarm(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*days(1, model="teacher-1"))
    later = [call.model_copy(update={"at": call.at + timedelta(days=1)}) for call in traffic(200, 3, model="teacher-2")]
    assert events_of_type(Drift, await bench.handle(*later)) == []
    assert trial(bench).call_gate.collected == 0
    assert await decided(bench, 2.1) is None


RARE = tuple(
    example(f"chargeback of {distinct_words(number)}", assistant_message("chargeback"), 7000 + number)
    for number in range(8)
)


def mistaken(text: str) -> tuple[str, float]:
    return ("refund", 0.6) if text.startswith("chargeback") else right(text)


async def test_a_class_that_is_always_wrong_is_withheld(files: ObjectStore) -> None:
    bench = await on_trial(files, mistaken)
    await bench.handle(*by_time(*days(4), *(call_of(one, 5 * n + 1) for n, one in enumerate(RARE))))
    found = await decided(bench, 4.1)
    assert found is not None
    assert found.decision == "promote"
    refund = answer_key(text_answer("refund", 1).message)
    assert found.withheld.answers == {refund: 0.6}, "surer than that it goes on"
    assert 0.8 < (found.coverage or 0) < 1
    assert found.reason.endswith("; withheld: 1 answer (too often wrong for chargeback)")


async def test_the_failing_classes_go_on_to_a_successor_until_it_has_learned_them(files: ObjectStore) -> None:
    bench = await on_trial(files, mistaken)
    await bench.handle(*by_time(*days(2), *(call_of(one, 5 * n + 1) for n, one in enumerate(RARE))))
    assert await decided(bench, 2.1) is not None
    await bench.handle(bench.promotion("demoted"))
    await bench.restart(bench.app.state())
    await bench.handle(bench.promotion("trained", version=2, at=TRAINED + timedelta(days=3)))
    successor = bench.app.evaluation.trials[f"{TASK}@2"]
    assert list(successor.failing_classes()) == []
    refund = answer_key(text_answer("refund", 1).message)
    assert list(successor.withholding.compute_withheld(0.5).answers) == [refund]

    def learned(text: str) -> tuple[str, float]:
        return ("chargeback", 0.7) if text.startswith("chargeback") else right(text)

    bench.students.students[ARTIFACT] = ScriptedStudent(learned)
    await bench.handle(*(call_of(one, 80 + n, id=f"later-{n}") for n, one in enumerate(RARE)))
    assert list(successor.withholding.compute_withheld(0.5).answers) == []


async def test_a_tenant_on_which_the_student_fails_is_withheld(files: ObjectStore) -> None:
    def rule(text: str) -> tuple[str, float]:
        label, sure = right(text)
        return ("something else" if text.endswith(distinct_words(0)[-4:]) else label), sure

    bench = await on_trial(files, rule, watch=["tenant"])
    calls = [call.model_copy(update={"tenant": "good"}) for call in days(8)]
    bad = [
        call_of(
            example(
                f"refund of my purchase {distinct_words(9000 + n, 7)} {distinct_words(0)}",
                assistant_message("refund"),
                9000 + n,
            ),
            n,
        )
        for n in range(25)
    ]
    await bench.handle(*by_time(*calls, *(call.model_copy(update={"tenant": "bad"}) for call in bad)))
    found = await decided(bench, 8.1)
    assert found is not None
    assert (found.decision, found.withheld.groups) == ("promote", ("tenant=bad",))


async def test_an_audit_of_the_same_input_counts_each_time(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*days(2))
    found = await decided(bench, 2.1)
    assert found is not None
    await promoted(bench, found)
    served = repeated(OFTEN, 4, reason="promoted", drawn=1, served_by="student", student=STUDENT, confidence=0.99)
    alarms: list[Drift] = []
    for call in served:
        late = call.model_copy(update={"at": call.at + timedelta(days=2.2)})
        alarms += events_of_type(Drift, await bench.handle(late, audit_of(late, "change pin")))
    assert trial(bench).audit_count == 4
    assert {alarm.cause for alarm in alarms} == {"agreement"}
    assert [alarm.tier for alarm in alarms if alarm.tier == "contract"] == [alarms[-1].tier], "at the fourth"


async def test_a_weekend_that_was_not_judged_is_held_until_it_is(files: ObjectStore) -> None:
    bench = await on_trial(files)
    await bench.handle(*days(2))
    found = await decided(bench, 2.1)
    assert found is not None
    await promoted(bench, found)

    def on_saturday(calls: list[Invocation]) -> list[Invocation]:
        return [call.model_copy(update={"at": call.at + timedelta(days=4.1)}) for call in calls]

    [served] = on_saturday(traffic(900, 1, reason="promoted", served_by="student", student=STUDENT, confidence=0.99))
    assert served.at.weekday() == 5
    [alarm] = events_of_type(Drift, await bench.handle(served))
    assert (alarm.cause, alarm.tier) == ("calendar", "warn")
    held = await decided(bench, 4.2)
    assert held is not None
    assert held.evidence["held"] == "calendar"
    await bench.handle(*on_saturday(traffic(1000, 70, hours=10, reason="control")))
    ended = await decided(bench, 4.6)
    assert ended is not None
    assert (ended.threshold, ended.evidence["held"]) == (found.threshold, None)
