"""Run the trainer service: train students from collected datasets."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final

from understudies.datasets.consent import count_consents, without_refused
from understudies.datasets.dataset import Dataset, read_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.datasets.system_template import SystemTemplate
from understudies.events import CANONICAL_FORM, PROMOTIONS, Event, NewId, Promotion, usd, usd_text
from understudies.judge_backends.install import install_judge_backends
from understudies.judges.choice import choose_judge
from understudies.judges.fallible import counting_cost, demanded_agreement
from understudies.judges.registry import parse_judge
from understudies.persistence.fields import AsArray, OrderedNames
from understudies.persistence.saved_state import IN_PLACE, Key, SavedState
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.clock import Clock
from understudies.runtime.errors import SERVICE_ERRORS, RetryLater
from understudies.runtime.online.base import OnlineState
from understudies.runtime.rules.rules import Rules, TaskRulesLookup
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.throttle import Throttle
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.head_inputs import HeadInputs
from understudies.trainer.ablation import limit_synthetic, select_by_ablation
from understudies.trainer.costs import PutOffCosts, TryCosts
from understudies.trainer.dreamer.dreamer import Dreamer
from understudies.trainer.journal import StoredJournal
from understudies.trainer.lease import TrainingLease
from understudies.trainer.selection import StudentCandidate, error_text, select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, StudentTrainer, TrainedStudent, TrainingData
from understudies.trainer.training import FinishedTraining, acceptance_reason, training_evidence
from understudies.trainer.validation import NoVerdicts

_STAGES_BEFORE_TRAINING = frozenset({"authorised", "collected"})

_ALPHA: Final = 0.05
"""The confidence to which a judge's error is bounded, when a student is chosen; the gate has its own."""
_WITHOUT_VERDICTS: Final = timedelta(hours=1)
"""How long a training waits whose judge gave no verdicts: what was asked of an endpoint is asked, and paid, again."""
_log = logging.getLogger(__name__)


class TrainerApp(SavedState):
    """Service that consumes `collected` and publishes `trained` or `rejected`, with the reason, and synthetic calls."""

    name = "trainer"
    topics = (PROMOTIONS,)
    max_records = 2000

    _done: OrderedNames
    """The students with an outcome."""
    _pending: Annotated[dict[str, Promotion], Key("due", default=dict), AsArray(("student",))]
    """Those still to be trained."""
    _put_off: Annotated[dict[str, PutOffCosts], Key("put_off", default=dict), AsArray(("student",))]
    """What the tries of trainings have cost that were put off."""
    _outbox: Annotated[Outbox, Key("outbox", default=lambda: None), IN_PLACE]
    _dreamer: Annotated[Dreamer, Key("dreamer", default=lambda: None), IN_PLACE]

    def __init__(
        self,
        settings: TrainerSettings,
        *,
        bus: Bus,
        clock: Clock,
        object_store: ObjectStore,
        new_id: NewId,
        rules: TaskRulesLookup | None = None,
        trainers: Sequence[StudentTrainer] = TRAINERS,
        online: OnlineState | None = None,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._object_store = object_store
        self._new_id = new_id
        self._rules = rules or Rules(defaults=TaskRules(min_agreement=settings.min_agreement))
        self._trainers = trainers
        self._lease = TrainingLease(online, new_id(clock.now())) if online is not None else None
        self._log_throttle = Throttle()
        self._done = {}
        self._pending = {}
        self._finished: dict[str, FinishedTraining] = {}
        self._not_before: dict[str, datetime] = {}
        self._put_off = {}
        self._tries: dict[str, TryCosts] = {}
        self.progress: dict[str, str] = {}
        """How far the trainings have come that take long, by student."""
        self._outbox = Outbox(bus)
        self._dreamer = Dreamer(
            settings, object_store=object_store, new_id=new_id, rules=self._rules, trainers=trainers
        )

    async def start(self) -> None:
        """Do nothing: there is nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Train the collected students that have no outcome yet, including outcomes later in this batch."""
        promotions = [event for event in await self._bus.decode_events(records) if isinstance(event, Promotion)]
        self._done |= {event.student: None for event in promotions if event.stage not in _STAGES_BEFORE_TRAINING}
        for event in promotions:
            self._dreamer.observe(event)
        self._pending |= {event.student: event for event in promotions if event.stage == "collected"}
        await self._train_pending()

    async def tick(self, now: datetime) -> None:
        """Retry trainings whose files could not be read or written when they were due; else write examples."""
        await self._train_pending()
        if not self._pending:
            self._outbox.add(await self._dreamer.dream(now))
            await self._outbox.flush()

    async def _train_pending(self) -> None:
        for student, promotion in list(self._pending.items()):
            if student not in self._done:
                if self._not_before.get(student, self._clock.now()) > self._clock.now():
                    continue
                try:
                    self._outbox.add([await self._outcome(promotion)])
                except RetryLater as error:
                    self._keep_costs(student)
                    if isinstance(error, NoVerdicts):
                        self._not_before[student] = self._clock.now() + _WITHOUT_VERDICTS
                    self._log_deferral(error)
                    continue
                self._done[student] = None
            del self._pending[student]
            self._finished.pop(student, None)
            self._not_before.pop(student, None)
            self._tries.pop(student, None)
            self._put_off.pop(student, None)
            await self._outbox.flush()
        # Kept until it is published, so that an unavailable broker does not cost a second training.
        await self._outbox.flush()

    def _keep_costs(self, student: str) -> None:
        """Keep what a try has cost that was put off, across restarts too."""
        if (tried := self._tries.get(student)) is not None:
            finished = self._finished.get(student)
            costs = self._put_off.setdefault(student, PutOffCosts(student))
            costs.put_off(tried, finished.selection.cost_usd if finished else Decimal(0))

    def _log_deferral(self, error: RetryLater) -> None:
        if self._log_throttle():
            _log.warning("deferred a training: %s", error)

    async def stop(self) -> None:
        """Close the connections to the teacher's endpoint."""
        await self._dreamer.close()

    def recently_published(self) -> list[Event]:
        """Return the most recently published outcomes."""
        return self._outbox.recently_published()

    async def restore(self, state: dict[str, Any]) -> None:
        """Restore a snapshot."""
        self.restore_state(state)

    async def _outcome(self, promotion: Promotion) -> Promotion:
        """Train a student and return its outcome; raises RetryLater while files are unavailable, to resume later."""
        try:
            # Training takes seconds to hours of computing, during which the event loop keeps running.
            if promotion.student not in self._finished:
                async with self._lease.hold(promotion.student) if self._lease else nullcontext():
                    self._finished[promotion.student] = await asyncio.to_thread(self._train, promotion)
            return await asyncio.to_thread(self._finish, promotion, self._finished[promotion.student])
        except SERVICE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - one student must not stop the trainer again and again
            _log.warning("%s cannot be trained", promotion.student, exc_info=True)
            cost = self._cost_so_far(promotion.student)
            return self._promotion(
                promotion,
                "rejected",
                reason=f"cannot be trained: {error_text(error)}",
                evidence={"cost_usd": usd_text(cost)} if cost else {},
            )
        finally:
            self.progress.pop(promotion.student, None)

    def _cost_so_far(self, student: str) -> Decimal:
        """Return what a training has cost that comes to no outcome."""
        tried, finished = self._tries.get(student), self._finished.get(student)
        tried_usd = tried.total_usd if tried else Decimal(0)
        return usd(tried_usd + (finished.selection.cost_usd if finished else Decimal(0)))

    def _train(self, promotion: Promotion) -> FinishedTraining:
        if promotion.dataset is None:
            raise ArtifactError(f"student {promotion.student!r} was announced as collected without a dataset")
        began = time.perf_counter()
        dataset = read_dataset(self._object_store, promotion.dataset, promotion.task)
        dataset = self._permitted(promotion, dataset)
        dataset = limit_synthetic(dataset, self._settings.dream_share)
        data, p0 = self._training_data(promotion, dataset)
        trainers = self._allowed_trainers(promotion)
        data, selection, ablation = select_by_ablation(
            data, self._settings, lambda tried: select_student(trainers, tried, self._settings, p0)
        )
        return FinishedTraining(data, selection, round(time.perf_counter() - began, 3), ablation)

    def _finish(self, promotion: Promotion, training: FinishedTraining) -> Promotion:
        """Save the selected student, and return the outcome of the training as an event."""
        best = training.selection.best(self._settings)
        if best is None:
            reason = training.selection.rejection_reason(self._settings)
            if training.data.system.has_context:
                reason = f"{reason}; {training.data.system.description}"
            if training.ablation is not None:
                reason = f"{reason}; {training.ablation.description}"
            return self._promotion(promotion, "rejected", reason=reason, evidence=training_evidence(training, None))
        data = training.data
        # Before the cost is read: it asks the judge as well.
        head = HeadInputs.find(data.dataset.examples, data.judge, data.system)
        artifact = self._save(promotion, best, training, head)
        return self._promotion(
            promotion,
            "trained",
            reason=acceptance_reason(best, training),
            artifact=artifact,
            evidence=training_evidence(training, best),
        )

    def _training_data(self, promotion: Promotion, dataset: Dataset) -> tuple[TrainingData, float]:
        rules = self._rules.for_task(promotion.task)
        answers = [example.answer for example in dataset.in_split("train")]
        judge = parse_judge(rules.judge) if rules.judge else choose_judge(answers)
        seed = hashlib.sha256(f"{self._settings.seed}:{promotion.student}".encode()).digest()
        system = SystemTemplate.learn([example.request for example in dataset.in_split("train")])
        price = promotion.evidence.get("teacher_cost_usd")
        teacher_cost = usd(str(price)) if price is not None else None
        note = partial(self.progress.__setitem__, promotion.student)
        tried = self._put_off.get(promotion.student, PutOffCosts(promotion.student)).begin_try()
        self._tries[promotion.student] = tried
        data = TrainingData(
            dataset,
            counting_cost(judge, tried.judging),
            int.from_bytes(seed[:4], "big"),
            system,
            teacher_cost,
            student=promotion.student,
            at=self._clock.now(),
            journal=StoredJournal(self._object_store, f"{promotion.student} {promotion.dataset}"),
            counted=tried.counted,
            judging=tried.judging,
            unreported=tried.unreported,
            report=note,
        )
        # What a judge's error takes from the promise, the student has to agree more often.
        demanded = demanded_agreement(judge, rules.min_agreement, _ALPHA)
        return data, rules.min_agreement if demanded is None else demanded

    def _permitted(self, promotion: Promotion, dataset: Dataset) -> Dataset:
        """Return the examples that may train a model; raises ArtifactError if there are none."""
        required = self._rules.for_task(promotion.task).require_consent
        permitted = without_refused(dataset, required=required)
        left_out = len(dataset.examples) - len(permitted.examples)
        if left_out:
            _log.info("%s: %d examples may not train a model and are left out", promotion.student, left_out)
        if left_out and not permitted.in_split("train"):
            raise ArtifactError(f"none of its examples may train a model: {left_out} have no consent or are refused")
        return permitted

    def _allowed_trainers(self, promotion: Promotion) -> list[StudentTrainer]:
        """Return the trainers whose students the task's rules allow."""
        rules = self._rules.for_task(promotion.task)
        return [trainer for trainer in self._trainers if rules.allows_student(promotion.student, trainer.kind)]

    def _save(self, promotion: Promotion, best: StudentCandidate, training: FinishedTraining, head: HeadInputs) -> str:
        assert isinstance(best.outcome, TrainedStudent)
        assert promotion.dataset is not None
        dataset = training.data.dataset
        manifest = Manifest(
            kind=best.kind,
            task=promotion.task,
            student=promotion.student,
            created=self._clock.now(),
            dataset_digest=promotion.dataset.rsplit("/", 1)[-1].removesuffix(".jsonl"),
            splits=dataset.counts,
            teachers=tuple(dataset.teachers),
            base_model=best.outcome.base_model,
            hyper_parameters=dict(best.outcome.hyper_parameters),
            metrics=best.metrics,
            cost_usd=training.cost_usd,
            seconds=training.seconds,
            licence=best.outcome.licence,
            consent=self._settings.consent,
            consents=count_consents(dataset.examples),
            terms=dataset.terms,
            canonical_form=CANONICAL_FORM,
        )
        return write_artifact(self._object_store, {**best.outcome.files, **head.to_files()}, manifest)

    def _promotion(self, promotion: Promotion, stage: Any, **rest: Any) -> Promotion:
        now = self._clock.now()
        return Promotion(
            id=self._new_id(now),
            at=now,
            task=promotion.task,
            student=promotion.student,
            stage=stage,
            dataset=promotion.dataset,
            **rest,
        )


def create_app(
    settings: TrainerSettings,
    *,
    bus: Bus,
    clock: Clock,
    object_store: ObjectStore,
    new_id: NewId,
    rules: TaskRulesLookup | None = None,
    online: OnlineState | None = None,
) -> TrainerApp:
    """Create the trainer service; trainers with the same `online` state never train a student at the same time."""
    install_judge_backends()
    return TrainerApp(
        settings, bus=bus, clock=clock, object_store=object_store, new_id=new_id, rules=rules, online=online
    )
