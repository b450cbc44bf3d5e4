"""Opens a trial: loads student and dataset, fixes the thresholds, then looks at the held-out labels."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from understudies.evaluator.inputs import Inputs
from understudies.evaluator.reach import Reach
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask
from understudies.evaluator.shape import Shape
from understudies.evaluator.trial import Trial, candidates_of
from understudies.evaluator.verdict_id import verdict_id
from understudies.evaluator.waiting import Piece
from understudies.evaluator.withholding import Failing
from understudies.events import Promotion, Verdict
from understudies.judges import Judge, Judgement, answer_class, choose_judge, judge_named
from understudies.runtime.rules import TaskRules
from understudies.stats import Threshold, aim_of
from understudies.students import (
    Answer,
    ArtifactError,
    Dataset,
    Example,
    Files,
    HeadStudent,
    Shelf,
    Student,
    SystemTemplate,
    answer_key,
    input_of,
    name_of,
    read_dataset,
)

CACHE = "cache"


async def open_trial(
    story: Promotion,
    rules: TaskRules,
    settings: EvaluatorSettings,
    files: Files,
    shelf: Shelf,
    *,
    carried: Failing | None = None,
) -> tuple[Trial, list[Verdict]]:
    """The trial of a trained student and its verdicts on the held-out evidence.

    The thresholds are quantiles of its confidence on the validation and evidence inputs, fixed before any of
    their labels is looked at, as is the shape of the task's conversations. Where its gates put their error budget is
    guessed from verdicts that they never see: those of validation, and for the calls to come all that are held out.
    `carried` are the classes of answers that earlier students failed. Raises ArtifactError where the student cannot be
    tried, with the reason, and RetryLater while what it needs is away.
    """
    if story.dataset is None or story.artifact is None:
        raise ArtifactError(f"student {story.student!r} was announced as trained without dataset or artifact")
    dataset = await asyncio.to_thread(read_dataset, files, story.dataset, story.task)
    student = await shelf.get(story.artifact)
    judge = judge_named(rules.judge) if rules.judge else choose_judge([e.answer for e in dataset.of("train")])
    # Once a student serves, escalated calls are answered more often than others: only those drawn by lot are traffic.
    held_out = [one for one in (*dataset.of("validation"), *dataset.of("evidence")) if one.unbiased]
    answered = list(zip(held_out, await ask(student, [example.request for example in held_out]), strict=True))
    tail = [(example, answer) for example, answer in answered if answer is not None and answer.head is None]
    shape = await asyncio.to_thread(Shape.of, dataset.examples)
    head = await _of_head(student, dataset, shape.system)
    # Where it fails to answer, the teacher serves: such a call counts, and no threshold covers it.
    failed = sum(answer is None for _, answer in answered)
    candidates = candidates_of([*(answer.confidence for _, answer in tail), *[0.0] * failed])
    if not candidates:
        raise ArtifactError(f"student {story.student!r} is sure of none of the {len(held_out)} held-out calls")
    last = max(example.at for example in dataset.examples)
    judged = [
        Held(example, answer, judge.judge(example.answer, answer.message), answer_class(example.answer, judge))
        for example, answer in tail
    ]
    chosen_by = [one for one in judged if one.example.split == "validation"]
    trial = Trial(
        story,
        judge=judge,
        candidates=candidates,
        off_limits=_off_limits(dataset, student.kind, shape),
        shape=shape,
        p0=rules.min_agreement,
        settings=settings,
        since=last,
        aims=(_aim(candidates, chosen_by, rules), _aim(candidates, judged, rules)),
        reach=_reach(candidates, dataset, judged, failed, head, shape.system),
        trained=_trained(dataset, judge),
        teachers=dataset.teachers,
        carried=carried,
        repeats=_repeats(dataset, judge),
    )
    verdicts: list[Verdict] = []
    for held in judged:
        example, answer = held.example, held.answer
        one = input_of(example.request, example.fingerprint, example.episode, shape.system)
        if example.split != "evidence" or not trial.counts(one):
            continue
        trial.add(one, held.piece, example.request, held_out=True)
        verdicts.append(
            Verdict(
                id=verdict_id("validation", example.id, story.student, example.at),
                at=example.at,
                task=story.task,
                invocation=example.id,
                student=story.student,
                phase="validation",
                agreed=held.judgement.agreed,
                score=held.judgement.score,
                judge=judge.name,
                why=held.judgement.why,
                confidence=answer.confidence,
                fingerprint=example.fingerprint,
                answer_class=held.answer_class,
            )
        )
    trial.bet(last + timedelta.resolution)
    # How often texts come on usual days is known of all recorded calls, whatever taught the student.
    await asyncio.to_thread(_know_texts, trial, dataset)
    return trial, verdicts


def _know_texts(trial: Trial, dataset: Dataset) -> None:
    for example in dataset.examples:
        trial.forward.copies.place(trial.shape.said(example.request), example.at.date())


@dataclass(frozen=True, slots=True)
class Held:
    """A held-out example with the student's answer and the verdict on it."""

    example: Example
    answer: Answer
    judgement: Judgement
    answer_class: str | None

    @property
    def piece(self) -> Piece:
        """The verdict as evidence."""
        return Piece(
            float(self.judgement.agreed),
            self.answer.confidence,
            self.example.at,
            answer_class=self.answer_class,
            answer=answer_key(self.answer.message),
        )


def _aim(candidates: Sequence[Threshold], judged: Sequence[Held], rules: TaskRules) -> int | None:
    scores = [float(one.judgement.agreed) for one in judged]
    return aim_of(candidates, [one.answer.confidence for one in judged], scores, rules.min_agreement)


def _trained(dataset: Dataset, judge: Judge) -> dict[str, int]:
    """How many examples of each class the student learned from."""
    kinds = (answer_class(example.answer, judge) for example in dataset.of("train"))
    return dict(Counter(kind for kind in kinds if kind is not None))


async def _of_head(student: Student, dataset: Dataset, system: SystemTemplate) -> dict[str, float]:
    """How sure the student is of each input of the head."""
    known = student.head.names if isinstance(student, HeadStudent) else frozenset[str]()
    requests = {name_of(one.request, system): one.request for one in dataset.examples} if known else {}
    names = [name for name in requests if name in known]
    answers = await ask(student, [requests[name] for name in names])
    return {name: answer.confidence if answer else 0.0 for name, answer in zip(names, answers, strict=True)}


def _reach(
    candidates: Sequence[Threshold],
    dataset: Dataset,
    judged: Sequence[Held],
    failed: int,
    head: Mapping[str, float],
    system: SystemTemplate,
) -> Reach:
    """What would be served: the held-out calls stand for all that are not of the head."""
    reach = Reach([candidate.confidence for candidate in candidates])
    of_head = dict.fromkeys(head, 0)
    tail_calls = 0
    for example in dataset.examples:
        name = name_of(example.request, system) if of_head else ""
        if name in of_head:
            of_head[name] += example.calls
        else:
            tail_calls += example.calls
    for name, calls in of_head.items():
        reach.head_call(name, head[name], calls)
    each = tail_calls / (len(judged) + failed)
    for one in judged:
        reach.tail_call(one.answer.confidence, answer_key(one.answer.message), each)
    reach.calls += each * failed
    return reach


def _repeats(dataset: Dataset, judge: Judge) -> tuple[int, int]:
    """How often the teacher answered an input again that it had answered before, and how often alike."""
    again = alike = 0
    for example in dataset.examples:
        for earlier, later in pairwise((*example.repeats, example.answer)):
            again += 1
            alike += judge.judge(earlier, later).agreed
    return again, alike


def _off_limits(dataset: Dataset, kind: str, shape: Shape) -> Inputs:
    # What a cache claims is that an input seen before gets the same answer again: its own inputs are its test.
    seen = [] if kind == CACHE else [*dataset.of("train"), *dataset.of("validation")]
    inputs = Inputs()
    for example in seen:
        one = input_of(example.request, example.fingerprint, example.episode, shape.system)
        inputs.take(one.since(shape.openings))
    return inputs
