"""The trainer: make me a student."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from understudies.events import PROMOTIONS, Event, NewId, Promotion
from understudies.judges import choose_judge, judge_named
from understudies.runtime import Bus, Clock, Record, RetryLater, Seldom
from understudies.runtime.errors import OF_THE_SERVICE
from understudies.runtime.outbox import Outbox
from understudies.runtime.rules import Rules, TaskRules, TaskRulesOf
from understudies.students import (
    ArtifactError,
    Dataset,
    Files,
    Head,
    Manifest,
    SystemTemplate,
    read_dataset,
    write_artifact,
)
from understudies.trainer.factories import LADDER
from understudies.trainer.factory import Factory, Lesson, Trained
from understudies.trainer.ladder import Climb, Rung, climb, told
from understudies.trainer.settings import TrainerSettings

_WAITING = frozenset({"authorised", "collected"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Training:
    """A training that is over, whose best student is not kept yet."""

    lesson: Lesson
    found: Climb
    seconds: float


class TrainerApp:
    """Consumes `collected`; publishes `trained`, or `rejected` with the reason."""

    name = "trainer"
    topics = (PROMOTIONS,)
    max_records = 2000

    def __init__(
        self,
        settings: TrainerSettings,
        *,
        bus: Bus,
        clock: Clock,
        files: Files,
        new_id: NewId,
        rules: TaskRulesOf | None = None,
        ladder: Sequence[Factory] = LADDER,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._files = files
        self._new_id = new_id
        self._rules = rules or Rules(defaults=TaskRules(min_agreement=settings.min_agreement))
        self._ladder = ladder
        self._complain = Seldom()
        self._done: dict[str, None] = {}
        self._due: dict[str, Promotion] = {}
        self._trained: dict[str, _Training] = {}
        self._outbox = Outbox(bus)

    async def start(self) -> None:
        """Nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Train what was collected and has no outcome yet, this batch's later events included."""
        stories = [event for event in await self._bus.events(records) if isinstance(event, Promotion)]
        self._done |= {story.student: None for story in stories if story.stage not in _WAITING}
        self._due |= {story.student: story for story in stories if story.stage == "collected"}
        await self._work()

    async def tick(self, now: datetime) -> None:
        """Try again what could not be read or kept when it was due."""
        await self._work()

    async def _work(self) -> None:
        for student, story in list(self._due.items()):
            if student not in self._done:
                try:
                    self._outbox.add([await self._outcome(story)])
                except RetryLater as error:
                    self._put_off(error)
                    continue
                self._done[student] = None
            del self._due[student]
            self._trained.pop(student, None)
            await self._outbox.flush()
        # Kept until it is published, so that a broker away for a while costs no second training.
        await self._outbox.flush()

    def _put_off(self, error: RetryLater) -> None:
        if self._complain():
            _log.warning("a training is put off: %s", error)

    async def stop(self) -> None:
        """Nothing to close."""

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot: the students that have an outcome, and those that are due for one."""
        due = [story.model_dump(mode="json") for story in self._due.values()]
        return {"done": list(self._done), "due": due, "outbox": self._outbox.state()}

    def said(self) -> list[Event]:
        """The outcomes published last."""
        return self._outbox.said()

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._done = dict.fromkeys(state["done"])
        # A snapshot from before trainings were put off has neither these nor an outbox.
        stories = [Promotion.model_validate(saved) for saved in state.get("due", ())]
        self._due = {story.student: story for story in stories}
        self._outbox.restore(state.get("outbox", ()))

    async def _outcome(self, story: Promotion) -> Promotion:
        """What becomes of a student; raises RetryLater while files are away, and goes on from there the next time."""
        try:
            # Training takes seconds to hours of computing; the loop lives on meanwhile.
            if story.student not in self._trained:
                self._trained[story.student] = await asyncio.to_thread(self._train, story)
            return await asyncio.to_thread(self._told, story, self._trained[story.student])
        except OF_THE_SERVICE:
            raise
        except Exception as error:  # noqa: BLE001 - one student must not end the trainer again and again
            _log.warning("%s cannot be trained", story.student, exc_info=True)
            return self._story(story, "rejected", reason=f"cannot be trained: {told(error)}")

    def _train(self, story: Promotion) -> _Training:
        if story.dataset is None:
            raise ArtifactError(f"student {story.student!r} was announced as collected without a dataset")
        began = time.perf_counter()
        lesson, p0 = self._lesson(story, read_dataset(self._files, story.dataset, story.task))
        found = climb(self._allowed(story), lesson, self._settings, p0)
        return _Training(lesson, found, round(time.perf_counter() - began, 3))

    def _told(self, story: Promotion, training: _Training) -> Promotion:
        """The end of a training as an event, once the student is kept."""
        best = training.found.best(self._settings)
        evidence = _evidence(training.found, best, training.lesson, training.seconds)
        if best is None:
            reason = training.found.why_none(self._settings)
            if training.lesson.system.varies:
                reason = f"{reason}; {training.lesson.system.reason}"
            return self._story(story, "rejected", reason=reason, evidence=evidence)
        artifact = self._keep(story, best, training)
        return self._story(story, "trained", reason=_praise(best), artifact=artifact, evidence=evidence)

    def _lesson(self, story: Promotion, dataset: Dataset) -> tuple[Lesson, float]:
        rules = self._rules.of(story.task)
        answers = [example.answer for example in dataset.of("train")]
        judge = judge_named(rules.judge) if rules.judge else choose_judge(answers)
        seed = hashlib.sha256(f"{self._settings.seed}:{story.student}".encode()).digest()
        system = SystemTemplate.learn([example.request for example in dataset.of("train")])
        return Lesson(dataset, judge, int.from_bytes(seed[:4], "big"), system), rules.min_agreement

    def _allowed(self, story: Promotion) -> list[Factory]:
        """The rungs whose students the task's rules allow."""
        rules = self._rules.of(story.task)
        return [factory for factory in self._ladder if rules.allows_student(story.student, factory.kind)]

    def _keep(self, story: Promotion, best: Rung, training: _Training) -> str:
        assert isinstance(best.outcome, Trained)
        assert story.dataset is not None
        dataset = training.lesson.dataset
        manifest = Manifest(
            kind=best.kind,
            task=story.task,
            student=story.student,
            created=self._clock.now(),
            dataset_digest=story.dataset.rsplit("/", 1)[-1].removesuffix(".jsonl"),
            splits=dataset.counts,
            teachers=tuple(dataset.teachers),
            base_model=best.outcome.base_model,
            hyper_parameters=dict(best.outcome.hyper_parameters),
            metrics=best.metrics,
            cost_usd=training.found.cost_usd,
            seconds=training.seconds,
            licence=best.outcome.licence,
            consent=self._settings.consent,
        )
        head = Head.of(dataset.examples, training.lesson.judge, training.lesson.system)
        return write_artifact(self._files, {**best.outcome.content, **head.to_files()}, manifest)

    def _story(self, story: Promotion, stage: Any, **rest: Any) -> Promotion:
        now = self._clock.now()
        return Promotion(
            id=self._new_id(now),
            at=now,
            task=story.task,
            student=story.student,
            stage=stage,
            dataset=story.dataset,
            **rest,
        )


def create_app(
    settings: TrainerSettings,
    *,
    bus: Bus,
    clock: Clock,
    files: Files,
    new_id: NewId,
    rules: TaskRulesOf | None = None,
) -> TrainerApp:
    """The trainer, composed."""
    return TrainerApp(settings, bus=bus, clock=clock, files=files, new_id=new_id, rules=rules)


def _evidence(found: Climb, best: Rung | None, lesson: Lesson, seconds: float) -> dict[str, JsonValue]:
    evidence: dict[str, JsonValue] = {
        "judge": lesson.judge.name,
        "min_agreement": found.p0,
        "cost_usd": format(found.cost_usd.normalize(), "f"),
        "seconds": seconds,
        "tried": [rung.tried for rung in found.rungs],
        "examples": len(lesson.dataset.of("train")),
    }
    if lesson.system.varies:
        evidence["context"] = lesson.system.summary()
    return evidence if best is None else {"kind": best.kind, "validation": best.metrics, **evidence}


def _praise(best: Rung) -> str:
    share, n = best.validation.expected_coverage, len(best.validation.judged)
    return (
        f"{best.kind} is expected to serve {share:.0%} of the calls at {best.validation.p0:.0%}, by {n} of validation"
    )
