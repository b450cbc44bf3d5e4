"""Write and answer synthetic examples near the weak spots of the students in service."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from understudies.datasets.consent import without_refused
from understudies.datasets.dataset import Dataset, read_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.datasets.system_template import SystemTemplate
from understudies.events import (
    Invocation,
    NewId,
    Promotion,
    Request,
    Response,
    Usage,
    fingerprint,
    owner_and_base,
    request_of,
    usd,
)
from understudies.judges.choice import choose_judge
from understudies.judges.cost_sum import CostSum
from understudies.judges.fallible import counting_cost
from understudies.judges.registry import parse_judge
from understudies.persistence.saved_state import Key, SavedState
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.throttle import Throttle
from understudies.students.answer_validation import is_answerable
from understudies.students.base import StudentError
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPools, EndpointUnavailable
from understudies.students.endpoint.generation import Generation
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.trainer.dreamer.checks import InputChecks
from understudies.trainer.dreamer.off_peak import is_off_peak
from understudies.trainer.dreamer.weak_spots import WeakSpot, find_weak_spots
from understudies.trainer.dreamer.writer import can_be_varied, input_text, parse_inputs, with_input, writing_body
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import StudentTrainer, TrainingData

_AFTER_A_FAILURE: Final = timedelta(minutes=10)
_CHARACTERS_OF_A_TOKEN: Final = 3
_OTHERS_SHOWN: Final = 8
_TWICE: Final = 2
_VERSION: Final = re.compile(r"[-@:](?:latest|\d{4}-\d{2}-\d{2}|\d{3,8})(?:-v\d+)?")
_ENDED: Final = frozenset({"rejected", "demoted", "retired"})

_log = logging.getLogger(__name__)


@dataclass
class DreamSpending(SavedState):
    """What was spent on a task on a day (UTC), and how far its weak spots were gone through for one dataset."""

    dataset: str
    day: date
    spent_usd: Decimal = Decimal(0)
    next_spot: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one dataset says: its weak spots that can be varied, and the checks of what is written."""

    dataset: Dataset
    spots: tuple[WeakSpot, ...]
    checks: InputChecks
    teacher: str
    most: int
    """Inputs that may be added before the share of synthetic examples is reached."""
    judging: CostSum
    """What a model that judges has cost and no event carries yet."""


class Dreamer(SavedState):
    """Extend the training data of tasks whose students serve, where rules give it a budget.

    Off-peak it has the task's own teacher write inputs near a weak spot of the student and answer each of them twice.
    What passes the checks becomes an invocation of origin `synthetic`, which is only ever trained on, and what all of
    it cost is in these events. It stops for a task whose last student was better without its examples.
    """

    _students: Annotated[dict[str, Promotion], Key(default=dict)]
    _spending: Annotated[dict[str, DreamSpending], Key(default=dict)]
    _stopped: Annotated[dict[str, str], Key(default=dict)]

    def __init__(
        self,
        settings: TrainerSettings,
        *,
        object_store: ObjectStore,
        new_id: NewId,
        rules: TaskRulesLookup,
        trainers: Sequence[StudentTrainer],
    ) -> None:
        self._settings = settings
        self._object_store = object_store
        self._new_id = new_id
        self._rules = rules
        # Weak spots are found with the cheapest students, as each is trained twice more for them.
        self._trainers = [
            one for one in trainers if one.kind in ("classifier", "extractor") and one.variant[:4] != "with "
        ]
        self._pools = EndpointPools()
        self._log_throttle = Throttle()
        self._students = {}
        self._spending = {}
        self._stopped = {}
        self._plans: dict[str, _Plan] = {}
        self._not_before: dict[str, datetime] = {}

    def observe(self, promotion: Promotion) -> None:
        """Follow which student a task has, and whether synthetic examples helped it."""
        task = promotion.task
        if promotion.stage == "trained" and promotion.dataset:
            self._students[task] = promotion
            match promotion.evidence.get("synthetic"):
                case {"kept": True}:
                    self._stopped.pop(task, None)
                case {"kept": False}:
                    self._stopped[task] = promotion.student
        elif promotion.stage in _ENDED and self._students.get(task, promotion).student == promotion.student:
            self._students.pop(task, None)

    async def dream(self, now: datetime) -> list[Invocation]:
        """Write one batch for the task that has waited longest; returns the events, none if nothing is due."""
        for task in sorted(self._students, key=lambda one: (self._not_before.get(one, now), one)):
            rules = self._rules.for_task(task)
            budget = rules.dream_daily_budget_usd
            if not budget or rules.critical or task in self._stopped or now < self._not_before.get(task, now):
                continue
            try:
                if events := await self._dream_of(task, rules, budget, now):
                    return events
            except StopService:
                raise
            except Exception as error:  # noqa: BLE001 - what one task or its teacher brings up must not stop the trainer
                self._not_before[task] = now + _AFTER_A_FAILURE
                expected = isinstance(error, StudentError | ArtifactError | RetryLater)
                if self._log_throttle():
                    text = error if expected else repr(error)
                    _log.warning("%s: no examples were written: %s", task, text, exc_info=not expected)
        return []

    async def close(self) -> None:
        """Close the connections to the endpoint."""
        await self._pools.close()

    async def _dream_of(self, task: str, rules: TaskRules, budget: Decimal, now: datetime) -> list[Invocation]:
        endpoint = self._endpoint()
        plan = await self._plan(task, rules)
        if not _is_same_model(endpoint.model, plan.teacher):
            raise ArtifactError(
                f"the endpoint of UNDERSTUDIES_TRAINER_DREAM_ENDPOINT answers as {endpoint.model!r}, and the task's "
                f"teacher is {plan.teacher!r}: another model's answers would teach the student something else"
            )
        if not is_off_peak(now, rules.dream_hours, plan.dataset.examples):
            return []
        spending = self._spending_of(task, now)
        count = min(self._settings.dream_batch, plan.most - spending.written)
        if not plan.spots or count <= 0:
            return []
        spot = plan.spots[spending.next_spot % len(plan.spots)]
        body = writing_body(spot, self._usual_inputs(plan, spot), count)
        estimate = self._estimate(endpoint, body, spot, count)
        if spending.spent_usd + estimate > budget:
            return []
        spending.next_spot += 1
        # Counted until it is known what was charged: a batch that fails on its way is tried again in a while.
        spending.spent_usd += estimate
        try:
            events = await self._write(task, plan, spot, body, spending, endpoint, now)
        except EndpointUnavailable:
            spending.spent_usd -= estimate
            raise
        spending.spent_usd -= estimate
        return events

    async def _write(
        self,
        task: str,
        plan: _Plan,
        spot: WeakSpot,
        body: dict[str, Any],
        spending: DreamSpending,
        endpoint: Endpoint,
        now: datetime,
    ) -> list[Invocation]:
        chat = ChatClient(endpoint, self._pools.get(endpoint))
        reply = await chat.complete(body)
        written = parse_inputs(reply.message().text)[: self._settings.dream_batch]
        texts = [text for text in written if plan.checks.input_error(text) is None]
        requests = [with_input(spot.example.request, text) for text in texts]
        answers = await asyncio.gather(*(_answer_twice(chat, request) for request in requests))
        events: list[Invocation] = []
        other_cost = _cost(endpoint, reply.usage)
        for request, pair in zip(requests, answers, strict=True):
            cost = sum((_cost(endpoint, one.usage) for one in pair), Decimal(0))
            if len(pair) < _TWICE or await _is_refused(plan.checks, request, *pair):
                other_cost += cost
                continue
            answered = Response(message=pair[0].message(), finish_reason=pair[0].finish_reason)
            events.append(self._event(task, request, spot, endpoint, now, cost, pair[0].usage, response=answered))
        other_cost += plan.judging.take_usd()
        outcome = f"{len(events)} of {len(written)} written inputs were kept"
        asked = request_of(body)
        events.append(self._event(task, asked, spot, endpoint, now, other_cost, reply.usage, error=outcome))
        spending.written += len(events) - 1
        spending.spent_usd += sum((event.cost_usd for event in events), Decimal(0))
        _log.info("%s: %s, near a weak spot (%s)", task, outcome, spot.reason)
        return events

    def _event(
        self,
        task: str,
        request: Request,
        spot: WeakSpot,
        endpoint: Endpoint,
        now: datetime,
        cost: Decimal,
        usage: Usage,
        **outcome: Any,
    ) -> Invocation:
        return Invocation(
            id=self._new_id(now),
            at=now,
            task=task,
            tenant=owner_and_base(task)[0] or "default",
            origin="synthetic",
            model=endpoint.model,
            request=request,
            usage=usage,
            cost_usd=usd(cost),
            free=not cost,
            fingerprint=fingerprint(request),
            tags={"near": spot.example.id, "weakness": spot.reason},
            **outcome,
        )

    def _endpoint(self) -> Endpoint:
        """Return the teacher's endpoint; raises ArtifactError, with the remedy, without one that has a price."""
        name = self._settings.dream_endpoint
        if name is None:
            raise ArtifactError("rules give a budget to write examples with, and no endpoint is set to write them; set "
                                "UNDERSTUDIES_TRAINER_DREAM_ENDPOINT to the name of one")  # fmt: skip
        endpoint = EndpointSettings().get(name)
        if endpoint.cost(Usage()) is None:
            raise ArtifactError(
                f"the endpoint {name!r} has no price, so that no budget could be kept; set "
                f"UNDERSTUDIES_ENDPOINTS__{name.upper()}__USD_PER_MILLION_PROMPT_TOKENS and the one of completions"
            )
        # Written inputs are whole or nothing, and confidences are not needed.
        return endpoint.model_copy(update={"logprobs": False, "streamed": "never"})

    async def _plan(self, task: str, rules: TaskRules) -> _Plan:
        uri = self._students[task].dataset
        assert uri is not None
        if uri not in self._plans:
            self._plans = {one: plan for one, plan in self._plans.items() if one in self._uris()}
            self._plans[uri] = await asyncio.to_thread(self._make_plan, task, uri, rules)
        return self._plans[uri]

    def _uris(self) -> set[str | None]:
        return {promotion.dataset for promotion in self._students.values()}

    def _make_plan(self, task: str, uri: str, rules: TaskRules) -> _Plan:
        # What may not train a student is not shown to the teacher either, to write others like it.
        collected = read_dataset(self._object_store, uri, task)
        dataset = without_refused(collected, required=rules.require_consent)
        train = dataset.in_split("train")
        judging = CostSum()
        named = parse_judge(rules.judge) if rules.judge else choose_judge([example.answer for example in train])
        judge = counting_cost(named, judging)
        system = SystemTemplate.learn([example.request for example in train])
        data = TrainingData(dataset, judge, self._settings.seed, system)
        found = find_weak_spots(data, self._settings, rules.agreement_per_call, self._trainers)
        spots = tuple(one for one in found if can_be_varied(one.example.request) and is_answerable(one.example.request))
        real = sum(not example.synthetic for example in train)
        share = self._settings.dream_share
        most = int(share / (1 - share) * real) - (len(train) - real)
        newest = max(collected.examples, key=lambda example: example.at, default=None)
        checks = InputChecks(dataset.examples, judge)
        return _Plan(dataset, spots, checks, newest.teacher if newest else "", most, judging)

    def _spending_of(self, task: str, now: datetime) -> DreamSpending:
        uri = self._students[task].dataset or ""
        spending = self._spending.setdefault(task, DreamSpending(uri, now.date()))
        if spending.day != now.date():
            spending.day, spending.spent_usd = now.date(), Decimal(0)
        if spending.dataset != uri:
            spending.dataset, spending.next_spot, spending.written = uri, 0, 0
        return spending

    def _usual_inputs(self, plan: _Plan, spot: WeakSpot) -> list[str]:
        """Return a few inputs of the training split, others at each weak spot, as examples of style."""
        real = [one for one in plan.dataset.in_split("train") if not one.synthetic and can_be_varied(one.request)]
        start = int(spot.example.fingerprint[:8], 16) % max(1, len(real))
        return [input_text(one.request) for one in (real[start:] + real[:start])[:_OTHERS_SHOWN]]

    def _estimate(self, endpoint: Endpoint, body: dict[str, Any], spot: WeakSpot, count: int) -> Decimal:
        """Return about the most that a batch can cost: inputs and answers twice as long as the weak spot's."""
        example = spot.example
        question = 2 * _tokens(input_text(example.request))
        asked = _tokens(example.request.model_dump_json(exclude_defaults=True)) + question
        answer = 2 * _tokens(example.answer.model_dump_json(exclude_none=True))
        written = Usage(prompt_tokens=_tokens(str(body)), completion_tokens=count * question)
        answered = Usage(prompt_tokens=2 * count * asked, completion_tokens=2 * count * answer)
        return _cost(endpoint, written) + _cost(endpoint, answered)


async def _answer_twice(chat: ChatClient, request: Request) -> list[Generation]:
    """Return two answers of the teacher to a request; fewer if it failed."""
    body = {**request.parameters, **request.model_dump(mode="json", exclude_none=True, exclude={"parameters"})}
    results = await asyncio.gather(chat.complete(body), chat.complete(body), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, StudentError):
            raise result
    return [result for result in results if isinstance(result, Generation)]


async def _is_refused(checks: InputChecks, request: Request, first: Generation, second: Generation) -> bool:
    # In a thread, as a judge may ask a model.
    error = await asyncio.to_thread(checks.answer_error, request, first.message(), second.message())
    return error is not None


def _tokens(text: str) -> int:
    return len(text) // _CHARACTERS_OF_A_TOKEN


def _cost(endpoint: Endpoint, usage: Usage) -> Decimal:
    return endpoint.cost(usage) or Decimal(0)


def _is_same_model(one: str, other: str) -> bool:
    """Return whether two names are of one model: one may have the provider before it, or the version after it."""
    short, long = sorted((name.rpartition("/")[2] for name in (one, other)), key=len)
    return bool(short) and (short == long or (long.startswith(short) and bool(_VERSION.fullmatch(long[len(short) :]))))
