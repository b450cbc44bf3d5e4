"""What the store tells after a restart."""

from decimal import Decimal

from tests.support.sample_events import make_invocation, make_promotion
from tests.support.stores import open_migrated_store

from understudies.events import Promotion, Route, Steering, SteeringAction, encode, steer
from understudies.observer.queries import fetch_latest_promotions, fetch_spending


async def test_the_latest_stage_of_every_student_is_in_force_in_order() -> None:
    stories = [
        make_promotion("authorised", minutes=0),
        make_promotion("collected", minutes=0, dataset="file:///d", evidence={"counts": {"train": 7}}),
        make_promotion("trained", minutes=0, artifact="file:///a"),
        make_promotion("authorised", task="other", minutes=1),
        make_promotion("promoted", minutes=2, share=0.25, threshold=0.9, audit_rate=0.1, artifact="file:///a"),
        make_promotion("authorised", version=2, minutes=3),
        make_promotion("collected", version=2, minutes=3, dataset="file:///d2", evidence={"teachers": ["a"], "n": 1.5}),
    ]
    async with open_migrated_store() as store:
        await store.insert("promotions", [encode(story) for story in reversed(stories)])
        await store.insert("promotions", [encode(stories[4])])
        assert await fetch_latest_promotions(store) == [stories[3], stories[4], stories[6]]


async def test_decisions_of_people_are_in_force_beside_the_stages() -> None:
    def decided(action: SteeringAction, minutes: int) -> Promotion:
        steering = Steering(action=action, by="ada", student="triage@1" if action == "pin" else None)
        at = make_promotion("trained", minutes=minutes).at
        return steer("triage", steering, "why", at=at, event_id=f"{action}{minutes}")

    stage = make_promotion("trained", minutes=0)
    pause, resume, pin, again = decided("pause", 1), decided("resume", 2), decided("pin", 3), decided("pause", 4)
    async with open_migrated_store() as store:
        await store.insert("promotions", [encode(event) for event in (again, pin, resume, pause, stage)])
        assert await fetch_latest_promotions(store) == [stage, resume, pin, again]


async def test_nothing_is_in_force_at_the_start() -> None:
    async with open_migrated_store() as store:
        assert await fetch_latest_promotions(store) == []


async def test_spending_adds_up_exactly() -> None:
    calls = [make_invocation(f"question {n}", cost_usd="0.000000001") for n in range(1000)]
    served = make_invocation("cheap", served_by="student", student="triage@1", cost_usd="0.1")
    async with open_migrated_store() as store:
        await store.insert("invocations", [encode(call) for call in [*calls, *calls[:100], served]])
        student, teacher = await fetch_spending(store)
        assert (student.served_by, student.calls, student.cost_usd) == ("student", 1, Decimal("0.1"))
        assert (teacher.served_by, teacher.calls, teacher.cost_usd) == ("teacher", 1000, Decimal("0.000001"))
        assert teacher.first_at == calls[0].at
        assert (student.unpriced, teacher.unpriced) == (0, 0)


async def test_calls_that_came_without_a_price_are_counted() -> None:
    unpriced = make_invocation("who knows")
    others = [
        make_invocation("free", free=True),
        make_invocation("by the router", route=Route(reason="no_student")),
        make_invocation("failed", response=None, error="down"),
        make_invocation("paid", cost_usd="0.1"),
    ]
    async with open_migrated_store() as store:
        await store.insert("invocations", [encode(call) for call in [unpriced, *others]])
        [teacher] = await fetch_spending(store)
        assert (teacher.calls, teacher.unpriced, teacher.cost_usd) == (5, 1, Decimal("0.1"))
        assert [call.priced for call in (unpriced, *others)] == [False, True, True, True, True]
