"""Opens a trial: loads student and dataset, fixes the thresholds, then looks at the held-out labels."""

import asyncio
from datetime import timedelta

from understudies.evaluator.inputs import Inputs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask
from understudies.evaluator.shape import Shape
from understudies.evaluator.trial import Trial, candidates_of
from understudies.evaluator.verdict_id import verdict_id
from understudies.events import Promotion, Verdict
from understudies.judges import answer_class, choose_judge, judge_named
from understudies.runtime.rules import TaskRules
from understudies.students import ArtifactError, Dataset, Files, Shelf, input_of, read_dataset

CACHE = "cache"


async def open_trial(
    story: Promotion, rules: TaskRules, settings: EvaluatorSettings, files: Files, shelf: Shelf
) -> tuple[Trial, list[Verdict]]:
    """The trial of a trained student and its verdicts on the held-out evidence.

    The thresholds are quantiles of its confidence on the validation and evidence inputs, fixed before any of
    their labels is looked at, as is the shape of the task's conversations. Those that may still go on wait for the
    rest. Raises ArtifactError where the student cannot be tried, with the reason, and RetryLater while what it needs
    is away.
    """
    if story.dataset is None or story.artifact is None:
        raise ArtifactError(f"student {story.student!r} was announced as trained without dataset or artifact")
    dataset = await asyncio.to_thread(read_dataset, files, story.dataset, story.task)
    student = await shelf.get(story.artifact)
    judge = judge_named(rules.judge) if rules.judge else choose_judge([e.answer for e in dataset.of("train")])
    # Once a student serves, escalated calls are answered more often than others: only those drawn by lot are traffic.
    held_out = [one for one in (*dataset.of("validation"), *dataset.of("evidence")) if one.unbiased]
    answers = await ask(student, [example.request for example in held_out])
    candidates = candidates_of([answer.confidence if answer else 0.0 for answer in answers])
    if not candidates:
        raise ArtifactError(f"student {story.student!r} is sure of none of the {len(held_out)} held-out calls")
    shape = await asyncio.to_thread(Shape.of, dataset.examples)
    trial = Trial(
        story,
        judge=judge,
        candidates=candidates,
        off_limits=_off_limits(dataset, student.kind, shape),
        shape=shape,
        p0=rules.min_agreement,
        settings=settings,
    )
    verdicts: list[Verdict] = []
    for example, answer in zip(held_out, answers, strict=True):
        one = input_of(example.request, example.fingerprint, example.episode, shape.system)
        if answer is None or example.split != "evidence" or not trial.counts(one):
            continue
        judged = judge.judge(example.answer, answer.message)
        kind = answer_class(example.answer, judge)
        trial.add(float(judged.agreed), answer.confidence, one, kind, example.at)
        verdicts.append(
            Verdict(
                id=verdict_id("validation", example.id, story.student, example.at),
                at=example.at,
                task=story.task,
                invocation=example.id,
                student=story.student,
                phase="validation",
                agreed=judged.agreed,
                score=judged.score,
                judge=judge.name,
                why=judged.why,
                confidence=answer.confidence,
                fingerprint=example.fingerprint,
                answer_class=kind,
            )
        )
    trial.bet(max(example.at for example in dataset.examples) + timedelta.resolution)
    return trial, verdicts


def _off_limits(dataset: Dataset, kind: str, shape: Shape) -> Inputs:
    # What a cache claims is that an input seen before gets the same answer again: its own inputs are its test.
    seen = [] if kind == CACHE else [*dataset.of("train"), *dataset.of("validation")]
    inputs = Inputs()
    for example in seen:
        one = input_of(example.request, example.fingerprint, example.episode, shape.system)
        inputs.take(one.since(shape.openings))
    return inputs
