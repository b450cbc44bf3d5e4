"""The trainer: make me a student."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from understudies.events import PROMOTIONS, NewId, Promotion
from understudies.judges import choose_judge, judge_named
from understudies.runtime import Bus, Clock, Record
from understudies.runtime.rules import Rules, TaskRules, TaskRulesOf
from understudies.students import ArtifactError, Dataset, Files, Manifest, read_dataset, write_artifact
from understudies.trainer.factories import LADDER
from understudies.trainer.factory import Factory, Lesson, Trained
from understudies.trainer.ladder import Climb, Rung, climb
from understudies.trainer.settings import TrainerSettings

_WAITING = frozenset({"authorised", "collected"})


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
        self._done: dict[str, None] = {}
        self._unpublished: dict[str, Promotion] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Train what was collected and has no outcome yet, this batch's later events included."""
        stories = [event for event in await self._bus.events(records) if isinstance(event, Promotion)]
        self._done |= {story.student: None for story in stories if story.stage not in _WAITING}
        for story in stories:
            if story.stage == "collected" and story.student not in self._done:
                # Kept until it is published, so that a broker away for a while costs no second training.
                if story.student not in self._unpublished:
                    self._unpublished[story.student] = await self._outcome(story)
                await self._bus.publish(self._unpublished[story.student])
                self._done[story.student] = None
                del self._unpublished[story.student]

    async def tick(self, now: datetime) -> None:
        """Nothing here waits for a span of time."""

    async def stop(self) -> None:
        """Nothing to close."""

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot: the students that have an outcome."""
        return {"done": list(self._done)}

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._done = dict.fromkeys(state["done"])

    async def _outcome(self, story: Promotion) -> Promotion:
        try:
            # Training takes seconds to hours of computing; the loop lives on meanwhile.
            return await asyncio.to_thread(self._train, story)
        except (ArtifactError, OSError) as error:
            return self._story(story, "rejected", reason=f"cannot be trained: {str(error) or repr(error)}")

    def _train(self, story: Promotion) -> Promotion:
        if story.dataset is None:
            raise ArtifactError(f"student {story.student!r} was announced as collected without a dataset")
        began = time.perf_counter()
        dataset = read_dataset(self._files, story.dataset, story.task)
        lesson, p0 = self._lesson(story, dataset)
        found = climb(self._allowed(story), lesson, self._settings, p0)
        best = found.best(self._settings)
        seconds = round(time.perf_counter() - began, 3)
        evidence = _evidence(found, best, lesson, seconds)
        if best is None:
            return self._story(story, "rejected", reason=found.why_none(self._settings), evidence=evidence)
        artifact = self._keep(story, dataset, best, found, seconds)
        return self._story(story, "trained", reason=_praise(best), artifact=artifact, evidence=evidence)

    def _lesson(self, story: Promotion, dataset: Dataset) -> tuple[Lesson, float]:
        rules = self._rules.of(story.task)
        answers = [example.answer for example in dataset.of("train")]
        judge = judge_named(rules.judge) if rules.judge else choose_judge(answers)
        seed = hashlib.sha256(f"{self._settings.seed}:{story.student}".encode()).digest()
        return Lesson(dataset, judge, int.from_bytes(seed[:4], "big")), rules.min_agreement

    def _allowed(self, story: Promotion) -> list[Factory]:
        """The rungs whose students the task's rules allow."""
        rules = self._rules.of(story.task)
        return [factory for factory in self._ladder if rules.allows_student(story.student, factory.kind)]

    def _keep(self, story: Promotion, dataset: Dataset, best: Rung, found: Climb, seconds: float) -> str:
        assert isinstance(best.outcome, Trained)
        assert story.dataset is not None
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
            cost_usd=found.cost_usd,
            seconds=seconds,
            licence=best.outcome.licence,
            consent=self._settings.consent,
        )
        return write_artifact(self._files, best.outcome.content, manifest)

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
    return evidence if best is None else {"kind": best.kind, "validation": best.metrics, **evidence}


def _praise(best: Rung) -> str:
    share, n = best.validation.expected_coverage, len(best.validation.judged)
    return (
        f"{best.kind} is expected to serve {share:.0%} of the calls at {best.validation.p0:.0%}, by {n} of validation"
    )
