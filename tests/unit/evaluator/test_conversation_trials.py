"""Conversations and episodes on trial: what is proven holds for every turn, not for the first."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.conversations import conversation_request
from tests.support.datasets import START, TASK
from tests.support.distinct_words import distinct_words
from tests.support.trials import TRAINED, EvaluatorHarness, Rule, ScriptedStudent, audit_of, events_of_type

from understudies.datasets.dataset import Example, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.trial import Trial
from understudies.events import (
    GateDecision,
    Invocation,
    Request,
    Response,
    Route,
    Verdict,
    fingerprint,
    position,
    split_of,
)
from understudies.students.base import text_answer

Turn = Callable[[int, int], Request]
TURNS = 3


def chat(case: int, turn: int) -> Request:
    """A turn that holds the ones before it."""
    said = [f"case {case}: step 0, question {case * 7919}: {distinct_words(case)}"]
    for step in range(1, turn + 1):
        said += [f"reply {step}", f"step {step}, follow-up {case * 31 + step}"]
    return conversation_request(*said, system="Support agent.")


def step(case: int, turn: int) -> Request:
    """A step of an agent that shows nothing of the steps before."""
    return conversation_request(
        f"case {case}: step {turn}, {distinct_words(TURNS * case + turn)}", system="Support agent."
    )


SHAPES: dict[str, tuple[Turn, bool]] = {"conversations": (chat, False), "episodes": (step, True)}


def answer(turn: int) -> str:
    return "search" if turn == 0 else f"act {turn}"


def sure(text: str) -> float:
    return 0.5 + position(text, "confidence") / 2


def turn_of(text: str) -> int:
    return max(turn for turn in range(TURNS) if f"step {turn}" in text)


def on_the_first_turn(text: str) -> tuple[str, float]:
    """Right on the first turn alone."""
    return "search", sure(text)


def always(text: str) -> tuple[str, float]:
    """Right on every turn."""
    return answer(turn_of(text)), sure(text)


def example(shape: str, case: int, turn: int) -> Example:
    """A turn of the dataset; whole conversations lie in one split, as the observer makes them."""
    make, has_episode = SHAPES[shape]
    request, first = make(case, turn), make(case, 0)
    return Example(
        id=f"example-{case}-{turn}",
        at=START + timedelta(minutes=4 * case + turn),
        fingerprint=fingerprint(request),
        split=split_of(fingerprint(first)),
        teacher="teacher-1",
        request=request,
        answer=text_answer(answer(turn), 1).message,
        episode=f"episode {case}" if has_episode else None,
    )


def calls(
    shape: str, first: int, cases: int, day: float, *, apart: timedelta = timedelta(minutes=1)
) -> list[Invocation]:
    """Live conversations over most of a day, their turns some time apart, by time."""
    make, has_episode = SHAPES[shape]
    found = []
    for case in range(first, first + cases):
        begins = TRAINED + timedelta(days=day, hours=20 * (case - first) / cases)
        for turn in range(TURNS):
            request = make(case, turn)
            found.append(
                Invocation(
                    id=f"live-{case}-{turn}",
                    at=begins + turn * apart,
                    task=TASK,
                    request=request,
                    response=Response(message=text_answer(answer(turn), 1).message),
                    fingerprint=fingerprint(request),
                    episode=f"episode {case}" if has_episode else None,
                )
            )
    return sorted(found, key=lambda call: call.at)


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def on_trial(files: ObjectStore, shape: str, rule: Rule, cases: int = 120, **settings: Any) -> EvaluatorHarness:
    """A student whose trial opened with a dataset of conversations of three turns."""
    bench = EvaluatorHarness(files, ScriptedStudent(rule), **settings)
    examples = [example(shape, case, turn) for case in range(cases) for turn in range(TURNS)]
    await bench.handle(bench.promotion("trained", dataset=write_dataset(files, TASK, examples)[0]))
    return bench


def trial(bench: EvaluatorHarness) -> Trial:
    [found] = bench.app.evaluation.trials.values()
    return found


async def decisions(bench: EvaluatorHarness, shape: str, days: int, cases: int = 60) -> list[GateDecision]:
    """What is decided over some days of live conversations."""
    found: list[GateDecision] = []
    for day in range(days):
        heard = calls(shape, 1000 + day * cases, cases, day)
        for start in range(0, len(heard), 50):
            await bench.handle(*heard[start : start + 50])
        found += events_of_type(GateDecision, await bench.look(day + 1))
    return found


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_student_right_on_first_turns_alone_is_not_promoted(files: ObjectStore, shape: str) -> None:
    bench = await on_trial(files, shape, on_the_first_turn)
    [decision] = await decisions(bench, shape, 3)
    assert decision.decision == "reject"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_student_right_on_every_turn_is_promoted_for_all_of_them(files: ObjectStore, shape: str) -> None:
    bench = await on_trial(files, shape, always)
    [decision] = await decisions(bench, shape, 1, cases=500)
    assert (decision.decision, decision.coverage) == ("promote", 1.0)
    gates = [trial(bench).selective_gate, trial(bench).call_gate.tail_gate]
    inputs, calls = (f"{gate.calls} verdicts in {gate.n} conversations" for gate in gates)
    assert decision.reason.endswith(f"after {inputs} on distinct inputs and {calls} on calls since")
    assert trial(bench).selective_gate.calls == TURNS * trial(bench).selective_gate.n


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_held_out_conversation_is_one_bet_of_all_its_turns(files: ObjectStore, shape: str) -> None:
    bench = await on_trial(files, shape, always)
    held_out = [case for case in range(120) if example(shape, case, 0).split == "evidence"]
    assert trial(bench).shape.w_max == TURNS
    assert (trial(bench).selective_gate.n, trial(bench).selective_gate.calls) == (len(held_out), TURNS * len(held_out))


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_live_conversation_waits_for_the_day_and_is_bet_once(files: ObjectStore, shape: str) -> None:
    bench = await on_trial(files, shape, always)
    before = trial(bench).selective_gate.n
    turns = calls(shape, 1000, 1, 0)
    for call in turns[:2]:
        assert len(events_of_type(Verdict, await bench.handle(call))) == 1
    assert trial(bench).selective_gate.n == before
    await bench.look(1)
    assert trial(bench).selective_gate.n == before + 1
    [verdict] = events_of_type(Verdict, await bench.handle(turns[2]))
    assert not verdict.counts, "what goes on from a bet is no new input"
    await bench.look(2)
    assert trial(bench).selective_gate.n == before + 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("split", ["train", "validation"])
async def test_what_goes_on_from_a_conversation_that_was_learned_never_counts(
    files: ObjectStore, shape: str, split: str
) -> None:
    bench = await on_trial(files, shape, always, cases=119)
    make, has_episode = SHAPES[shape]
    case = next(case for case in range(119) if example(shape, case, 0).split == split)
    [last] = calls(shape, case, 1, 0)[-1:]
    more = chat(case, 3) if make is chat else conversation_request("step 1 of something new")
    on = last.model_copy(update={"request": more, "fingerprint": fingerprint(more), "id": "goes on"})
    assert on.episode == (f"episode {case}" if has_episode else None)
    [verdict] = events_of_type(Verdict, await bench.handle(on))
    assert not verdict.counts


async def test_a_conversation_that_may_go_on_after_midnight_waits_for_its_end(files: ObjectStore) -> None:
    bench = await on_trial(files, "conversations", always)
    assert trial(bench).shape.duration == timedelta(minutes=2)
    before = trial(bench).selective_gate.n
    late = calls("conversations", 1000, 1, 0.9999)
    assert [call.at.date() for call in late] == [late[0].at.date()] + [late[0].at.date() + timedelta(days=1)] * 2
    await bench.handle(*late[:1])
    await bench.look(1)
    assert trial(bench).selective_gate.n == before
    await bench.handle(*late[1:])
    await bench.look(2)
    assert (trial(bench).selective_gate.n, trial(bench).selective_gate.calls) == (before + 1, TURNS * (before + 1))


async def test_turns_a_day_apart_are_heard_too(files: ObjectStore) -> None:
    bench = EvaluatorHarness(files, ScriptedStudent(on_the_first_turn))
    spread = [
        one.model_copy(update={"at": START + timedelta(days=turn, minutes=case)})
        for case in range(120)
        for turn in range(TURNS)
        for one in [example("conversations", case, turn)]
    ]
    opened = TRAINED + timedelta(days=2)
    await bench.handle(bench.promotion("trained", at=opened, dataset=write_dataset(files, TASK, spread)[0]))
    assert trial(bench).shape.duration == timedelta(days=2)
    heard = calls("conversations", 1000, 200, 2, apart=timedelta(days=1))
    found: list[GateDecision] = []
    for day in range(3, 8):
        until = TRAINED + timedelta(days=day)
        await bench.handle(*[call for call in heard if until - timedelta(days=1) <= call.at < until])
        found += events_of_type(GateDecision, await bench.look(day))
    assert [decision.decision for decision in found] == ["reject"]
    assert trial(bench).selective_gate.n > 150


async def test_greetings_that_many_share_do_not_make_their_conversations_one(files: ObjectStore) -> None:
    def greeted(case: int, turn: int) -> Example:
        said = ["hi", "Hello! How can I help?", f"case {case}: step 1, {distinct_words(case)}"][: 1 + 2 * turn]
        request = conversation_request(*said)
        return example("conversations", case, turn).model_copy(
            update={"request": request, "fingerprint": fingerprint(request), "split": split_of(fingerprint(request))}
        )

    bench = EvaluatorHarness(files, ScriptedStudent(always))
    data = [greeted(0, 0), *(greeted(case, 1) for case in range(400))]
    await bench.handle(bench.promotion("trained", dataset=write_dataset(files, TASK, data)[0]))
    assert trial(bench).selective_gate.n >= 30
    live = calls("conversations", 500, 1, 0)[0]
    fresh = greeted(777, 1)
    on = live.model_copy(update={"request": fresh.request, "fingerprint": fresh.fingerprint})
    assert len(events_of_type(Verdict, await bench.handle(on))) == 1


async def test_a_long_conversation_is_heard_as_often_as_the_bound_says_whatever_the_time(files: ObjectStore) -> None:
    bench = await on_trial(files, "episodes", always)
    first = calls("episodes", 1000, 1, 0)[0]
    before = trial(bench).selective_gate.calls
    long = []
    for n in range(30):
        request = conversation_request(f"case 1000: step {n % TURNS}, number {n}")
        update = {"id": f"long-{n}", "request": request, "fingerprint": fingerprint(request)}
        long.append(first.model_copy(update=update))
    await bench.handle(*long)
    await bench.look(1)
    assert trial(bench).selective_gate.calls == before + TURNS


async def test_once_enough_wait_only_what_goes_on_from_them_is_asked(files: ObjectStore) -> None:
    bench = await on_trial(files, "conversations", always)
    limit = trial(bench).selective_gate.n + 1
    bench = await on_trial(files, "conversations", always, n_max=limit)
    one, other = calls("conversations", 1000, 1, 0), calls("conversations", 1001, 1, 0)
    heard = events_of_type(Verdict, await bench.handle(one[0], other[0], *one[1:], *other[1:]))
    assert [verdict.invocation for verdict in heard if verdict.counts] == [call.id for call in one]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_snapshot_keeps_what_waits(files: ObjectStore, shape: str) -> None:
    bench, other = await on_trial(files, shape, always), await on_trial(files, shape, always)
    heard = calls(shape, 1000, 400, 0)
    await bench.handle(*heard)
    await other.handle(*heard[:50])
    await other.restart(json.loads(json.dumps(other.app.state())))
    await other.handle(*heard[50:])
    # Ids of decisions begin anew with a restart.
    [one], [same] = await bench.look(1), await other.look(1)
    assert same.model_copy(update={"id": one.id}) == one
    assert trial(bench).state() == trial(other).state()


async def test_the_audit_that_speaks_for_a_conversation_is_not_always_the_first(files: ObjectStore) -> None:
    bench = await on_trial(files, "episodes", on_the_first_turn, min_span_hours=0)
    loosest = trial(bench).selective_gate.thresholds[-1].confidence
    await bench.handle(bench.promotion("promoted", threshold=loosest, share=1.0))
    trial(bench).levels.levels.restart()
    student = trial(bench).student
    for call in calls("episodes", 1000, 300, 0):
        served = call.model_copy(update={"served_by": "student", "student": student, "confidence": 0.9})
        served = served.model_copy(update={"route": Route(reason="promoted", audit_probability=1)})
        agreed = answer(0) if call.id.endswith("-0") else "something else"
        served = served.model_copy(update={"response": Response(message=text_answer(answer(0), 1).message)})
        await bench.handle(served, audit_of(served, agreed))
    await bench.look(2)
    agree, n = trial(bench).levels.levels.state()["counts"]["inputs"]
    assert n[-1] == 300
    assert 70 < agree[-1] < 130


def at_noon(day: int) -> datetime:
    return TRAINED + timedelta(days=day, hours=12)


async def test_a_look_while_calls_of_the_day_before_are_unread_decides_nothing(files: ObjectStore) -> None:
    bench = await on_trial(files, "conversations", always)
    heard = calls("conversations", 1000, 400, 0)
    await bench.handle(*heard[:30])
    before = trial(bench).selective_gate.n
    assert bench.app.is_period_due(at_noon(1))
    bench.app.is_behind = True
    assert await bench.look(1.5) == []
    assert trial(bench).selective_gate.n == before
    await bench.handle(*heard[30:], *calls("conversations", 2000, 50, 1))
    bench.app.is_behind = False
    [decision] = events_of_type(GateDecision, await bench.look(1.6))
    assert decision.decision == "promote"
    assert trial(bench).selective_gate.n == before + 400, "what began on the new day waits for its end"
    assert not bench.app.is_period_due(at_noon(1))
