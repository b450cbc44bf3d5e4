"""Each call has one end, whatever fails or is cancelled wherever: one event, one settlement, one count of metrics."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fault_injection import FAULTS, Fault, FaultInjector, InjectedError
from tests.support.router_fixtures import FixedStudent, FixedTeacher, StubLoader, make_call, make_promotion

from understudies.dialects.registry import DIALECTS
from understudies.events import Invocation, Request, SeededIds, usd
from understudies.router.budgets.call_budget import EnforcedBudget
from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import BudgetLimits
from understudies.router.budgets.reservation import Reservation
from understudies.router.call import Call, TeacherAnswer, TeacherError, TeacherStream
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.errors import ClientDisconnected, HttpError
from understudies.router.endpoints.inference import InferenceEndpoint
from understudies.router.http1.disconnect import CLIENT_EXTENSION
from understudies.router.metrics import RouterMetrics
from understudies.router.recording.invocation import PendingInvocation
from understudies.router.serving.call_service import CallService
from understudies.router.serving.episode_affinity import EpisodeAffinity
from understudies.router.serving.outcome import CallOutcome
from understudies.router.serving.response_cache import CacheStore, ResponseCache
from understudies.router.serving.route_selector import RouteSelector
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.settings import RouterSettings, ServingLimits
from understudies.runtime.clock import VirtualClock
from understudies.runtime.online.base import BudgetCounter, BudgetHold, ReserveResult
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.students.base import Answer, StudentError, text_answer

PRICE: Final = Decimal("0.03")
SETTINGS: Final = RouterSettings(port=0)
CHAT: Final = DIALECTS["chat"]
BODY: Final = orjson.dumps(
    {
        "model": "gpt-4o-mini",
        "choices": [{"message": {"role": "assistant", "content": "teacher's answer"}, "finish_reason": "stop"}],
    }
)


@dataclass(frozen=True)
class Scenario:
    """One way in which a call goes where nothing is injected."""

    stream: bool = False
    student: Literal["none", "sure", "unsure", "broken", "on_probation"] = "none"
    share: float = 1.0
    budget: Literal["none", "ample", "spent", "refused"] = "ample"
    escalation: Literal["teacher", "teacher_or_student", "refuse"] = "teacher"
    teacher: Literal["answers", "fails", "accepts", "retries", "falls_back", "breaks_off"] = "answers"
    cached: bool = False
    episode: bool = False

    def rules(self) -> Rules:
        task: dict[str, Any] = {"escalation": self.escalation}
        if self.budget != "none":
            task |= {"daily_budget_usd": "100" if self.budget == "ample" else "0.01"}
        if self.budget == "refused":
            task |= {"over_budget": "refuse"}
        if self.cached:
            task |= {"cache_ttl_s": 60}
        if self.episode:
            task |= {"episode_target": 0.9, "episode_steps": 2}
        return Rules.model_validate({"tasks": {"triage": task}})


SCENARIOS: Final = st.builds(
    Scenario,
    stream=st.booleans(),
    student=st.sampled_from(["none", "sure", "unsure", "broken", "on_probation"]),
    share=st.sampled_from([1.0, 0.0]),
    budget=st.sampled_from(["none", "ample", "spent", "refused"]),
    escalation=st.sampled_from(["teacher", "teacher_or_student", "refuse"]),
    teacher=st.sampled_from(["answers", "fails", "accepts", "retries", "falls_back", "breaks_off"]),
    cached=st.booleans(),
    episode=st.booleans(),
)


class FaultyOnline(MemoryOnlineState):
    """The online state behind points of injection."""

    def __init__(self) -> None:
        super().__init__()
        self.injector = FaultInjector()

    async def get(self, key: str) -> bytes | None:
        await self.injector.wait("cache")
        return await super().get(key)

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        await self.injector.wait("episode")
        return await super().get_or_put(key, value, ttl_s)

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        await self.injector.wait("reservation")
        return await super().reserve(source, hold, counters, lease_s=lease_s, retention_s=retention_s)


class FaultyStudent(FixedStudent):
    """A student behind a point of injection."""

    def __init__(self, injector: FaultInjector) -> None:
        super().__init__()
        self._injector = injector

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        await self._injector.wait("student")
        return await super().answer(requests)


class FaultyTeacher(FixedTeacher):
    """A teacher that answers whole and in pieces, behind points of injection."""

    def __init__(self, injector: FaultInjector, mood: str) -> None:
        super().__init__()
        self._injector = injector
        self._mood = mood

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        await self._injector.wait("teacher")
        if self._mood == "fails":
            raise TeacherError(503, "gone", cost_usd=usd("0.004"), unproductive_attempts=1)
        if self._mood == "accepts":
            raise TeacherError(200, "not an answer", raw=b"{}")
        answer = await super().ask(call, fresh=fresh)
        answer = replace(answer, raw=BODY, response=answer.response.model_copy(update={"finish_reason": "stop"}))
        if self._mood == "retries":
            return replace(answer, unproductive_attempts=2)
        return replace(answer, fallback=True) if self._mood == "falls_back" else answer

    async def stream(self, call: Call) -> TeacherStream:
        return FaultyStream(self._injector, await self.ask(call), breaks_off=self._mood == "breaks_off")


class FaultyStream:
    """A stream of two pieces, which may break off after the first."""

    status = 200
    headers: Mapping[str, str] = {}
    teacher = "teacher"

    def __init__(self, injector: FaultInjector, answer: TeacherAnswer, *, breaks_off: bool) -> None:
        self.fallback = answer.fallback
        self._injector = injector
        self._answer = answer
        self._breaks_off = breaks_off
        self._sent = 0

    @property
    def has_answer(self) -> bool:
        return self._sent == 2

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in (b"data: one\n\n", b"data: two\n\n"):
            await self._injector.wait("stream")
            if self._breaks_off and self._sent:
                raise TeacherError(502, "broken off", code="teacher_answer_broken")
            self._sent += 1
            yield piece

    def body(self) -> bytes:
        return BODY

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        if self._sent == 2:
            return self._answer
        cost = usd("0.005")
        if client_disconnected and self._sent:
            return replace(self._answer, client_disconnected=True, estimated=True, cost_usd=cost)
        raise TeacherError(502, "broken off", code="teacher_answer_broken", cost_usd=cost)

    async def close(self) -> None:
        await self._injector.wait("close")


class FaultyBudget(EnforcedBudget):
    """Notes what is reserved and settled; settling is a point of injection."""

    def __init__(self, injector: FaultInjector, limiter: BudgetLimiter) -> None:
        super().__init__(limiter, lambda _, __: PRICE)
        self._injector = injector
        self.reserved = 0
        self.settled: list[Decimal] = []

    async def reserve(self, call: Call) -> Reservation | None:
        reservation = await super().reserve(call)
        self.reserved += 1
        return reservation

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        reservation = await super().reserve_student(call, price_usd)
        self.reserved += 1
        return reservation

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        self.settled.append(cost_usd)
        super().settle(reservation, call, cost_usd, update_mean=update_mean)
        self._injector.call("settlement")


@dataclass
class Played:
    """A call that was played to its end, and all that was counted of it."""

    injector: FaultInjector
    budget: FaultyBudget
    limiter: BudgetLimiter
    metrics: RouterMetrics
    events: list[Invocation] = field(default_factory=list)
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    error: BaseException | None = None

    def total(self, metric: str) -> float:
        """The sum of a metric's samples."""
        return sum(self.samples(metric).values())

    def samples(self, metric: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric by the values of their labels, these in the order of their names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in self.metrics._registry.collect()
            for sample in family.samples
            if sample.name == f"understudies_router_{metric}"
        }


async def play(scenario: Scenario, fault: Fault | None = None, at: int = -1) -> Played:
    """Play one call over the door of the router's endpoints, with a fault at the point of this number."""
    online = FaultyOnline()
    if scenario.cached:
        await _play(replace(scenario, budget="none", student="none", teacher="answers"), online, FaultInjector())
    return await _play(scenario, online, FaultInjector(fault, at))


async def _play(scenario: Scenario, online: FaultyOnline, injector: FaultInjector) -> Played:
    rules = RulesSource(scenario.rules())
    student = FaultyStudent(injector)
    if scenario.student == "broken":
        student.reply = StudentError("broken")
    elif scenario.student == "unsure":
        student.reply = text_answer("a guess", 0.1)
    limiter = BudgetLimiter(online, BudgetLimits.from_rules(rules.current()))
    played = Played(injector, FaultyBudget(injector, limiter), limiter, RouterMetrics())

    def record(pending: PendingInvocation) -> None:
        played.events.append(pending.invocation())
        injector.call("recording")

    registry = StudentRegistry(StubLoader(student))
    cache = CacheStore(online)
    service = CallService(
        teacher=FaultyTeacher(injector, scenario.teacher),
        student_registry=registry,
        record=record,
        limits=ServingLimits(self_agreement_rate=0.0, probation_calls=5 if scenario.student == "on_probation" else 0),
        rules=rules,
        route_selector=RouteSelector(registry, affinity=EpisodeAffinity(online, wait_s=60.0)),
        budget=played.budget,
        response_cache=ResponseCache(cache),
    )
    if scenario.student != "none":
        service.table = service.table.apply(make_promotion(share=scenario.share, levels=((0.95, 0.8),)))
    clock = VirtualClock(make_call().at)
    door = InferenceEndpoint(
        service,
        admission=Admission(rules, SETTINGS),
        passthrough=None,  # type: ignore[arg-type] # every body is read
        clock=clock,
        new_id=SeededIds("lifecycle"),
        sample=lambda: 0.5,
        metrics=played.metrics,
    )
    body = orjson.dumps(
        {
            "model": "gpt-4o-mini",
            "temperature": 0,
            "stream": scenario.stream,
            "messages": [{"role": "user", "content": "My card was stolen near the harbour"}],
        }
    )
    headers = [(b"x-understudies-task", b"triage")]
    if scenario.episode:
        headers.append((b"x-understudies-episode", b"one"))

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        await injector.wait("send")
        played.sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT.path,
        "query_string": b"",
        "headers": headers,
        "extensions": {CLIENT_EXTENSION: injector.client},
    }
    online.injector = injector
    injector.task = asyncio.create_task(door.serve(CHAT, scope, receive, send))  # type: ignore[arg-type] # a plain dict
    await asyncio.wait({injector.task}, timeout=5)
    assert injector.task.done()
    if not injector.task.cancelled():
        played.error = injector.task.exception()
    injector.task = None
    await service.close()
    await cache.wait_idle()
    await limiter.flush()
    return played


def check_one_end(played: Played) -> None:
    """Assert that the call has come to one end, that the same in its event, its settlement and its metrics."""
    (event,) = played.events
    assert played.total("requests_total") == played.total("latency_seconds_count") == 1
    assert len(played.budget.settled) == played.budget.reserved
    assert played.limiter.in_flight == 0
    if played.injector.hit != "settlement":
        assert usd(sum(played.budget.settled, Decimal(0))) == event.cost_usd
    ((_, _, served_by, status, _),) = played.samples("requests_total")
    if event.served_by != "none":
        assert served_by in (event.served_by, "none")
    assert event.hung_up <= (status == "499")
    assert not isinstance(played.error, asyncio.CancelledError | AssertionError)


@settings(max_examples=60, deadline=None)
@given(scenario=SCENARIOS, fault=st.sampled_from(FAULTS))
def test_a_call_has_one_end_wherever_it_fails_or_is_cancelled(scenario: Scenario, fault: Fault) -> None:
    async def play_all() -> None:
        undisturbed = await play(scenario)
        check_one_end(undisturbed)
        for at in range(len(undisturbed.injector.points)):
            disturbed = await play(scenario, fault, at)
            assert disturbed.injector.hit == undisturbed.injector.points[at]
            check_one_end(disturbed)

    asyncio.run(play_all())


@pytest.mark.parametrize(
    ("scenario", "points"),
    [
        (Scenario(), ["reservation", "teacher", "recording", "send", "send", "settlement"]),
        (
            Scenario(stream=True),
            [
                "reservation",
                "teacher",
                "send",
                "stream",
                "send",
                "stream",
                "recording",
                "send",
                "close",
                "send",
                "settlement",
            ],
        ),
        (
            Scenario(student="sure", episode=True),
            ["episode", "reservation", "student", "settlement", "episode", "recording", "send", "send"],
        ),
        (Scenario(cached=True), ["cache", "recording", "send", "send"]),
    ],
    ids=["teacher", "stream", "student", "cache"],
)
async def test_every_wait_of_a_call_is_a_point_of_injection(scenario: Scenario, points: list[str]) -> None:
    assert (await play(scenario)).injector.points == points


@pytest.mark.parametrize(
    ("fault", "reason", "status", "hung_up"),
    [
        ("disconnect", "hung_up", "499", True),
        ("deadline", "timeout", "504", False),
        ("shutdown", "stopping", "503", False),
        ("error", "router_failed", "500", False),
    ],
)
async def test_event_and_metrics_say_the_same_of_a_call_that_ends_early(
    fault: Fault, reason: str, status: str, hung_up: bool
) -> None:
    played = await play(Scenario(), fault, at=1)
    (event,) = played.events
    assert played.injector.hit == "teacher"
    assert (event.served_by, event.hung_up, event.cost_usd) == ("none", hung_up, PRICE)
    assert played.samples("requests_total") == {("chat", reason, "none", status, "triage"): 1}


async def test_a_student_that_is_not_waited_for_costs_its_price() -> None:
    played = await play(Scenario(student="sure"), "disconnect", at=1)
    (event,) = played.events
    assert played.injector.hit == "student"
    assert event.cost_usd == sum(played.budget.settled) == ServingLimits().student_price_usd


async def test_an_answer_that_cannot_be_sent_stays_an_answer_and_counts_as_interrupted() -> None:
    played = await play(Scenario(student="sure"), "disconnect", at=4)
    (event,) = played.events
    assert played.injector.hit == "send"
    assert (event.served_by, event.hung_up) == ("student", False)
    assert played.samples("requests_total") == {("chat", "hung_up", "student", "499", "triage"): 1}
    assert isinstance(played.error, ClientDisconnected)


async def test_a_bug_before_anybody_is_asked_is_recorded_and_counted() -> None:
    played = await play(Scenario(cached=True), "error", at=0)
    (event,) = played.events
    assert (event.served_by, event.error) == ("none", "teacher answered 500: the router failed")
    assert isinstance(played.error, InjectedError)
    assert played.samples("requests_total") == {("chat", "router_failed", "none", "500", "triage"): 1}


async def test_a_stream_that_breaks_off_is_a_failure_of_which_the_client_was_sent_a_part() -> None:
    played = await play(Scenario(stream=True, teacher="breaks_off"))
    (event,) = played.events
    assert (event.served_by, event.error) == ("none", "teacher answered 502: broken off")
    assert played.samples("requests_total") == {("chat", "no_student", "teacher", "200", "triage"): 1}
    assert played.total("first_byte_seconds_count") == 1
    assert played.total("overhead_seconds_count") == 0


async def test_a_block_that_is_left_without_an_answer_is_a_failure() -> None:
    service = CallService(
        teacher=FixedTeacher(), student_registry=StudentRegistry(StubLoader(None)), record=lambda _: None
    )
    counted: list[CallOutcome] = []
    states = []
    with service.begin(make_call(), count=counted.append) as lifecycle:
        states.append(lifecycle.state)
    states.append(lifecycle.state)
    assert states == ["received", "recorded"]
    assert [(outcome.reason, outcome.status) for outcome in counted] == [("router_failed", 500)]


async def test_a_deadline_and_a_refusal_are_raised_to_the_client() -> None:
    late, refused = await play(Scenario(), "deadline", at=1), await play(Scenario(budget="refused"))
    assert isinstance(late.error, HttpError)
    assert late.error.status == 504
    assert refused.error is None
    assert refused.sent[0]["status"] == 429
    assert refused.total("budget_refused_total") == 1
