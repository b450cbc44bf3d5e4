"""A teacher's retirement, through router, evaluator and budget on one bus: its student is proven against the successor.

The test stands in for observer and trainer: it announces the dataset and the student that the budget asked for.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from tests.support.chat_server import ChatServer, chat_server, completion
from tests.support.datasets import INTENTS, START, TASK
from tests.support.distinct_words import distinct_words
from tests.support.router_fixtures import StubLoader
from tests.support.trials import ARTIFACT, FakeStudentCache, ScriptedStudent, dataset, events_of_type, right

from understudies.budget.app import create_app as create_budget
from understudies.budget.settings import BudgetSettings
from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.app import create_app as create_evaluator
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import (
    DRIFT,
    INVOCATIONS,
    PROMOTIONS,
    VERDICTS,
    Drift,
    Event,
    GateDecision,
    Invocation,
    Promotion,
    SeededIds,
    Verdict,
    position,
)
from understudies.router.factory import create_app as create_router
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.memory_bus import MemoryBus, MemoryTopics
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import VirtualClock
from understudies.runtime.rules.rules import Rules
from understudies.runtime.runner import Runner
from understudies.runtime.settings import BusSettings

STUDENT: Final = f"{TASK}@1"
TEACHER, SUCCESSOR = "teacher-1", "teacher-2"
PRICE: Final = Decimal("0.01")
STEP: Final = timedelta(hours=3)
CALLS_A_STEP: Final = 24
RETIRES_AFTER: Final = 8
ASKED_FROM: Final = 4
"""The day from which the successor is asked: `succession_days` before the retirement."""
SAMPLE: Final = 0.5
RETIREMENT: Final = START + timedelta(days=RETIRES_AFTER)


def message(number: int) -> str:
    """A message of the task; no two are near copies."""
    intent = list(INTENTS)[number % 3]
    return f"{INTENTS[intent][number // 3 % 3]} number {number}: {distinct_words(number)}"


class World:
    """Router, evaluator and budget on a bus in memory, whose time is that of the calls; and all that they publish."""

    def __init__(self, teacher: ChatServer, clock: VirtualClock, files: ObjectStore, stack: AsyncExitStack) -> None:
        self.teacher = teacher
        self.events: list[Event] = []
        self.served_by: list[str] = []
        self._files = files
        self._stack = stack
        self._clock = clock
        self._in_flight = InFlightTracker()
        self._topics = MemoryTopics()
        self._test_bus = self._connect("test")
        self._asked = 0
        self._http: aiohttp.ClientSession
        rules = Rules.model_validate(
            {
                "defaults": {"succession_days": RETIRES_AFTER - ASKED_FROM, "succession_sample": SAMPLE},
                "teachers": {
                    "own": {
                        "base_url": teacher.base_url,
                        "auth": "none",
                        "price_usd": str(PRICE),
                        "retires": {TEACHER: RETIREMENT.date()},
                        "successors": {TEACHER: SUCCESSOR},
                    }
                },
            }
        )
        students = FakeStudentCache(**{ARTIFACT: ScriptedStudent()})
        buses = {name: self._connect(name) for name in ("evaluator", "budget", "router")}
        self.evaluator = create_evaluator(
            EvaluatorSettings(min_span_hours=20),
            bus=buses["evaluator"],
            object_store=files,
            students=students.cache,
            rules=rules,
            new_id=SeededIds("evaluator"),
        )
        self.budget = create_budget(
            # One student is enough: no further one is ever due.
            BudgetSettings(min_examples=150, examples_per_class=0, growth=50, growth_after_rejection=50),
            bus=buses["budget"],
            rules=rules,
            new_id=SeededIds("budget"),
        )
        self.router = create_router(
            RouterSettings(port=0, auto_deliver=False),
            bus=buses["router"],
            clock=self._clock,
            files=files,
            new_id=SeededIds("router"),
            load=StubLoader(ScriptedStudent()),
            sample=random.Random(1).random,
            rules=rules,
        )
        apps = (self.evaluator, self.budget, self.router)
        self._runners = [Runner(app, buses[app.name]) for app in apps]

    def _connect(self, service: str) -> MemoryBus:
        return MemoryBus(self._topics, BusSettings(bootstrap="memory", group_prefix=None), service, self._in_flight)

    async def start(self) -> None:
        self._test_bus.consume((INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT), self._on_records)
        await self._test_bus.start()
        self._stack.push_async_callback(self._test_bus.stop)
        for runner in self._runners:
            await runner.start()
            self._stack.push_async_callback(runner.stop)
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession())

    async def _on_records(self, records: Sequence[Record]) -> None:
        self.events += await self._test_bus.decode_events(records)

    async def run(self, days: float, model: str = TEACHER) -> None:
        """Let an agent ask for so many days of virtual time; every service decides after each step."""
        end = self._clock.now() + timedelta(days=days)
        while self._clock.now() < end:
            begin = self._clock.now()
            for index in range(CALLS_A_STEP):
                self._clock.set(begin + STEP * index / CALLS_A_STEP)
                await self._ask(model)
            await self._handle_all()
            self._clock.set(begin + STEP)
            for runner in self._runners:
                await runner.tick(self._clock.now())
                await self._handle_all()

    async def _ask(self, model: str) -> None:
        body = {
            "model": model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": "Name the intent."},
                {"role": "user", "content": message(self._asked)},
            ],
        }
        self._asked += 1
        headers = {"x-understudies-task": TASK}
        async with self._http.post(f"{self.router.url}/v1/chat/completions", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            answer = (await response.json())["choices"][0]["message"]["content"]
        self.served_by.append(response.headers["x-understudies-served-by"])
        if self.served_by[-1] == "student":
            assert answer == right(message(self._asked - 1))[0]
        await self.router.call_service.wait_idle()

    async def _handle_all(self) -> None:
        await self.router.recorder.flush()
        await self._in_flight.wait_until_idle()

    async def train(self) -> None:
        """Announce the student that the budget asked for, as observer and trainer do."""
        [authorised] = self.promotions("authorised")
        uri, _ = write_dataset(self._files, TASK, dataset().examples)
        story = {"at": self._clock.now(), "dataset": uri, "evidence": {"cost_usd": "0.01"}}
        for stage, fields in (("collected", {}), ("trained", {"artifact": ARTIFACT})):
            update = {"id": f"{stage}-{STUDENT}", "stage": stage, **story, **fields}
            await self._test_bus.publish(authorised.model_copy(update=update))
        await self._in_flight.wait_until_idle()

    async def serve_until_asked(self) -> None:
        """Let the student be trained, proven and ramped up by the day from which the successor is asked."""
        await self.run(1)
        await self.train()
        await self.run(ASKED_FROM - 1)
        assert self.serving_share == 1.0

    @property
    def serving_share(self) -> float:
        """The share of the calls that the student may serve."""
        serving = self.budget.task_state(TASK).serving
        return 0.0 if serving is None else serving.promotion.share

    def promotions(self, stage: str) -> list[Promotion]:
        return [event for event in events_of_type(Promotion, self.events) if event.stage == stage]

    def calls(self, origin: str) -> list[Invocation]:
        return [event for event in events_of_type(Invocation, self.events) if event.origin == origin]

    def decided_from_the_day_on(self) -> list[Event]:
        """Return the decisions and alarms from the day of the retirement on."""
        return [
            event
            for event in self.events
            if isinstance(event, Promotion | GateDecision | Drift) and event.at >= RETIREMENT
        ]

    def verdicts(self, phase: str) -> list[Verdict]:
        return [event for event in events_of_type(Verdict, self.events) if event.phase == phase]


@asynccontextmanager
async def open_world(folder: Path, successor: Callable[[str], str]) -> AsyncIterator[World]:
    """The services before a teacher that answers rightly until its last day, and whose successor answers as told."""
    clock = VirtualClock(START)

    def reply(body: dict[str, Any]) -> dict[str, Any] | web.StreamResponse:
        if body["model"] == TEACHER and clock.now() >= RETIREMENT:
            return web.json_response({"error": {"message": "no such model", "code": "model_not_found"}}, status=404)
        text = body["messages"][-1]["content"]
        answer = successor(text) if body["model"] == SUCCESSOR else right(text)[0]
        return {**completion({"content": answer}), "model": body["model"]}

    async with chat_server(reply) as teacher, AsyncExitStack() as stack:
        world = World(teacher, clock, ObjectStore(f"file://{folder}"), stack)
        await world.start()
        yield world


def agreeing(text: str) -> str:
    return right(text)[0]


def renaming_refunds(text: str) -> str:
    return "repayment" if right(text)[0] == "refund" else right(text)[0]


def renaming_all(_: str) -> str:
    return "something else"


async def test_a_student_that_agrees_with_the_successor_serves_on_through_the_retirement(tmp_path: Path) -> None:
    async with open_world(tmp_path, agreeing) as world:
        await world.serve_until_asked()
        assert world.calls("succession") == [], "nothing is asked before the days that the rules say"
        await world.run(RETIRES_AFTER - ASKED_FROM)

        since = START + timedelta(days=ASKED_FROM)
        live = [call for call in world.calls("live") if call.at >= since]
        asked = world.calls("succession")
        assert [call.audits for call in asked] == [
            call.id for call in live if position(call.id, "succession") < SAMPLE
        ], "drawn by the id alone, whoever served the call"
        assert {(call.model, call.served_by, call.cost_usd) for call in asked} == {(SUCCESSOR, "teacher", PRICE)}
        verdicts = world.verdicts("succession")
        assert [(one.invocation, one.student, one.agreed) for one in verdicts] == [
            (call.id, STUDENT, True) for call in asked
        ]
        ledger = world.budget.task_state(TASK).ledger
        assert ledger.audit == PRICE * (len(asked) + len(world.calls("audit"))), "what was asked is paid, to the cent"

        # The agent moves to the successor: its teacher no longer answers.
        served_before = len(world.served_by)
        await world.run(1, model=SUCCESSOR)
        assert set(world.served_by[served_before:]) == {"student"}
        decision, promoted = world.decided_from_the_day_on()
        assert isinstance(decision, GateDecision)
        assert (decision.decision, decision.evidence["held"]) == ("promote", None)
        assert isinstance(promoted, Promotion)
        assert (promoted.stage, promoted.student, promoted.share) == ("promoted", STUDENT, 1.0)
        assert promoted.threshold == decision.threshold
        assert [level for level, _ in promoted.levels] == [0.95], "those above the contract are to be proven anew"

        # Nor is a student left unwatched whose agent still names the teacher: nothing else is asked of it.
        served_before = len(world.served_by)
        await world.run(0.5)
        assert set(world.served_by[served_before:]) == {"student"}
        checks = [call for call in world.calls("audit") if call.at >= RETIREMENT]
        assert {(call.model, call.error) for call in checks} == {(SUCCESSOR, None)}
        late = [call.audits for call in checks if call.at >= RETIREMENT + timedelta(days=1)]
        assert late
        assert {one.invocation for one in world.verdicts("audit") if one.agreed} >= set(late)


async def test_what_the_successor_names_otherwise_is_withheld_and_the_rest_proven_anew(tmp_path: Path) -> None:
    async with open_world(tmp_path, renaming_refunds) as world:
        await world.serve_until_asked()
        await world.run(RETIRES_AFTER - ASKED_FROM)
        assert {(one.answer_class, one.agreed) for one in world.verdicts("succession")} == {
            (answer, answer != "repayment") for answer in ("repayment", "card arrival", "change pin")
        }
        assert world.serving_share == 0.25, "back to the canary share on the day"
        await world.run(1, model=SUCCESSOR)
        assert world.serving_share == 0.25
        causes = [(one.cause, one.drifted) for one in events_of_type(Drift, world.decided_from_the_day_on())]
        assert causes == [("teacher", False)] * 2, "by the calendar, and once the successor is seen to answer"
        assert set(world.promotions("promoted")[-1].withheld.answers) == {"label:refund"}
        served = [call for call in world.calls("live") if call.at >= RETIREMENT + STEP and call.served_by == "student"]
        assert {call.response.message.text for call in served if call.response} == {"card arrival", "change pin"}


async def test_a_student_that_the_successor_contradicts_is_demoted(tmp_path: Path) -> None:
    async with open_world(tmp_path, renaming_all) as world:
        await world.serve_until_asked()
        await world.run(RETIRES_AFTER - ASKED_FROM)
        assert {one.agreed for one in world.verdicts("succession")} == {False}
        assert world.promotions("demoted") == [], "until the day, the teacher's answers are the measure"
        served_before = len(world.served_by)
        await world.run(1, model=SUCCESSOR)
        [demoted] = world.promotions("demoted")
        assert demoted.at == RETIREMENT + STEP
        assert demoted.reason.startswith("drift: agreement fell to 0.0%")
        assert world.serving_share == 0.0
        assert set(world.served_by[served_before + CALLS_A_STEP :]) == {"teacher"}
