"""Agreements of a judge that errs: offered at random, marked, and given to `understudies judge`."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.sample_events import START, event_ids, make_invocation
from tests.support.stores import open_migrated_store

from understudies.console.reads.disagreements import (
    Search,
    fetch_disagreements,
    fetch_marked_pairs,
    is_known,
    store_mark,
)
from understudies.events import Invocation, Response, Verdict, encode, usd
from understudies.runtime.store import Store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_migrated_store() as opened:
        yield opened


def make_call(number: int, *, agreed: bool = True, shown: bool = True) -> tuple[Invocation, Verdict]:
    """A call that the teacher answered, and the verdict on the student's answer in shadow."""
    at = START + timedelta(minutes=number)
    call = make_invocation(f"call {number}", at=at).model_copy(
        update={"response": Response(message=assistant_message(f"teacher {number}"))}
    )
    verdict = Verdict(
        id=f"v-{number:02}", at=at, task="triage", invocation=call.id, student="triage@1", phase="shadow",
        agreed=agreed, score=float(agreed), judge="semantic", confidence=0.9, fingerprint=event_ids(at),
        student_answer=f"student {number}" if shown else None, judge_cost_usd=usd("0.0001"),
    )  # fmt: skip
    return call, verdict


async def insert(store: Store, *made: tuple[Invocation, Verdict]) -> None:
    await store.insert("invocations", [encode(call) for call, _ in made])
    await store.insert("verdicts", [encode(verdict) for _, verdict in made])


async def test_agreements_are_offered_in_random_order_until_they_are_marked(store: Store) -> None:
    plain = make_call(50, shown=False)
    await insert(store, *(make_call(number) for number in range(8)), make_call(40, agreed=False), plain)
    page = await fetch_disagreements(store, "triage", Search(mark="agreements"))
    offered = [row.id for row in page.rows]
    assert sorted(offered) == [f"v-{number:02}" for number in range(8)]
    assert offered not in (sorted(offered), sorted(offered, reverse=True))
    assert {(row.teacher_answer, row.student_answer) for row in page.rows} >= {("teacher 3", "student 3")}
    assert page.next_before is None
    await store_mark(store, "triage", offered[0], "wrong", by="ann", note="", at=START)
    left = await fetch_disagreements(store, "triage", Search(mark="agreements"))
    assert [row.id for row in left.rows] == offered[1:], "the order stays, so that nobody chooses"
    assert await is_known(store, "triage", "v-00")
    assert not await is_known(store, "triage", "v-50"), "an agreement by a judge that does not err is not marked"
    newest = await fetch_disagreements(store, "triage", Search())
    assert [row.id for row in newest.rows] == ["v-40"]


async def test_marks_are_given_with_both_answers(store: Store) -> None:
    await insert(store, *(make_call(number) for number in range(3)), make_call(40, agreed=False))
    for verdict, mark in (("v-00", "right"), ("v-01", "wrong"), ("v-40", "right"), ("v-02", "")):
        await store_mark(store, "triage", verdict, mark, by="ann", note="", at=START)  # type: ignore[arg-type]
    found = {pair["verdict"]: pair for pair in await fetch_marked_pairs(store, "triage")}
    assert {name: (pair["agree"], pair["agreed"]) for name, pair in found.items()} == {
        "v-00": (True, True),
        "v-01": (False, True),
        "v-40": (True, False),
    }
    assert (found["v-01"]["teacher"], found["v-01"]["student"]) == ("teacher 1", "student 1")
    assert await fetch_marked_pairs(store, "another") == []
