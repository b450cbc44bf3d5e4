"""Open a trial: load student and dataset, fix the thresholds, then read the held-out labels."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

from understudies.datasets.dataset import Dataset, Example, read_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import identify_input
from understudies.datasets.object_store import ObjectStore
from understudies.datasets.system_template import SystemTemplate
from understudies.evaluator.evaluation import shown_answer, verdict_id
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.judging import AnswerPair, judge_pairs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask_student
from understudies.evaluator.trial import Trial
from understudies.evaluator.withholding import FailingClasses
from understudies.events import Promotion, Verdict
from understudies.judges.answer_key import answer_class, answer_key
from understudies.judges.base import Judge, Judgement
from understudies.judges.choice import choose_judge
from understudies.judges.fallible import is_slow
from understudies.judges.registry import parse_judge
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.task import TaskRules
from understudies.stats.coverage import CANDIDATE_COVERAGES, Threshold, coverage_thresholds, sequence_start
from understudies.students.base import Answer, Student
from understudies.students.head_inputs import HeadStudent, input_name
from understudies.students.student_cache import StudentCache

EXACT_MATCH_KIND = "cache"
_OPENING_WAIT: Final = 15
"""How many times as long the held-out answers of a trial are waited for as a batch of calls."""
_MAX_REPEATS: Final = 100
"""Repeated answers of the teacher that are compared by a judge that takes long."""
_MIN_CLOSED_SHARE = 0.80
"""The share of repeated answers from which they form a closed set."""


async def open_trial(
    promotion: Promotion,
    rules: TaskRules,
    settings: EvaluatorSettings,
    object_store: ObjectStore,
    students: StudentCache,
    *,
    carried: FailingClasses | None = None,
) -> tuple[Trial, list[Verdict]]:
    """Return the trial of a trained student and its verdicts on the held-out evidence.

    The thresholds are quantiles of its confidence on the validation and evidence inputs, fixed before any of their
    labels is read, as is the shape of the task's conversations. Examples for training alone give no verdicts, only
    their inputs to the thresholds. The gates' tests begin at a guess from verdicts that
    they never see, those of validation. `carried` are the classes of answers that earlier students failed.

    Raises ArtifactError with the reason if the student cannot be tried, and RetryLater while what it needs is
    unavailable.
    """
    if promotion.dataset is None or promotion.artifact is None:
        raise ArtifactError(f"student {promotion.student!r} was announced as trained without dataset or artifact")
    dataset = await asyncio.to_thread(read_dataset, object_store, promotion.dataset, promotion.task)
    student = await students.get(promotion.artifact)
    judge = parse_judge(rules.judge) if rules.judge else choose_judge([e.answer for e in dataset.in_split("train")])
    # Once a student serves, escalated calls are over-represented: only randomly sampled calls represent traffic.
    held_out = [
        example for example in (*dataset.in_split("validation"), *dataset.in_split("evidence")) if example.unbiased
    ]
    answered = list(zip(held_out, await ask_student(student, [example.request for example in held_out]), strict=True))
    tail = [(example, answer) for example, answer in answered if answer is not None and answer.head is None]
    shape = await asyncio.to_thread(ConversationShape.measure, dataset.examples)
    head = await _head_confidences(student, dataset, shape.system)
    # The teacher serves where the student fails: such a call counts, and no threshold covers it.
    failed = sum(answer is None for _, answer in answered)
    # Where all are of the head, its own gate decides; those of the tail have thresholds for what is yet to come.
    confidences = [answer.confidence for _, answer in tail or answered if answer is not None]
    candidates = candidate_thresholds([*confidences, *[0.0] * failed])
    if not candidates:
        raise ArtifactError(
            f"student {promotion.student!r} has positive confidence on none of the {len(held_out)} held-out calls"
        )
    last = max(example.at for example in dataset.examples)
    classes = _count_training_classes(dataset, judge)
    closed_set = is_closed_set(classes.values())
    pairs = [AnswerPair(example.answer, answer.message) for example, answer in tail]
    # One that is not judged is no evidence: neither for the student nor against it.
    judged = [
        HeldOutAnswer(example, answer, judgement, answer_class(example.answer, judge))
        for (example, answer), judgement in zip(
            tail, await judge_pairs(judge, pairs, settings.judge_wait_s * _OPENING_WAIT), strict=True
        )
        if judgement is not None
    ]
    if tail and not judged:
        raise RetryLater(f"the judge {judge.name} gave no verdict on any of the {len(tail)} held-out answers")
    validation = [held for held in judged if held.example.split == "validation"]
    trial = Trial(
        promotion,
        judge=judge,
        candidates=candidates,
        used_inputs=_used_in_training(dataset, student.kind, shape),
        shape=shape,
        p0=rules.min_agreement,
        settings=settings,
        since=last,
        start=_find_start(candidates, validation, rules),
        expected_coverage=_expected_coverage(candidates, dataset, judged, failed, head, shape.system),
        training_classes=classes,
        closed_set=closed_set,
        teachers=dataset.teachers,
        carried=carried,
        repeats=await _count_repeats(dataset, judge, settings.judge_wait_s),
    )
    verdicts: list[Verdict] = []
    for held in judged:
        example, answer = held.example, held.answer
        call_input = identify_input(example.request, example.fingerprint, example.episode, shape.system)
        if example.split != "evidence" or example.training_only or not trial.is_new_input(call_input):
            continue
        trial.add(call_input, held.observation, example.request, held_out=True)
        verdicts.append(
            Verdict(
                id=verdict_id("validation", example.id, promotion.student, example.at),
                at=example.at,
                task=promotion.task,
                invocation=example.id,
                student=promotion.student,
                phase="validation",
                agreed=held.judgement.agreed,
                score=held.judgement.score,
                judge=judge.name,
                why=held.judgement.why,
                confidence=answer.confidence,
                fingerprint=example.fingerprint,
                answer_class=held.answer_class,
                judge_cost_usd=held.judgement.cost_usd,
                student_answer=shown_answer(judge, held.judgement, answer.message),
                student_class=None if held.judgement.agreed else answer_class(answer.message, judge),
            )
        )
    trial.place_bets(last + timedelta.resolution)
    # The usual daily frequency of texts is measured on all recorded calls, including those trained on.
    await asyncio.to_thread(_count_texts, trial, dataset)
    return trial, verdicts


def _count_texts(trial: Trial, dataset: Dataset) -> None:
    for example in dataset.examples:
        trial.call_gate.near_copies.record(trial.shape.call_text(example.request), example.at.date())


@dataclass(frozen=True, slots=True)
class HeldOutAnswer:
    """A held-out example with the student's answer and the verdict on it."""

    example: Example
    answer: Answer
    judgement: Judgement
    answer_class: str | None

    @property
    def observation(self) -> Observation:
        """The verdict as evidence."""
        return Observation(
            float(self.judgement.agreed),
            self.answer.confidence,
            self.example.at,
            answer_class=self.answer_class,
            answer=answer_key(self.answer.message),
        )


def _find_start(candidates: Sequence[Threshold], judged: Sequence[HeldOutAnswer], rules: TaskRules) -> int | None:
    scores = [float(held.judgement.agreed) for held in judged]
    return sequence_start(candidates, [held.answer.confidence for held in judged], scores, rules.min_agreement)


def is_closed_set(counts: Collection[int]) -> bool:
    """Return whether answers come from a closed set: those given repeatedly are most of them.

    >>> is_closed_set([40, 30, 1]), is_closed_set([1] * 60 + [2] * 20), is_closed_set([])
    (True, False, False)
    """
    repeated = sum(count for count in counts if count > 1)
    return repeated >= _MIN_CLOSED_SHARE * sum(counts) > 0


def _count_training_classes(dataset: Dataset, judge: Judge) -> dict[str, int]:
    """Return the number of training examples of each class."""
    classes = (answer_class(example.answer, judge) for example in dataset.in_split("train"))
    return dict(Counter(name for name in classes if name is not None))


async def _head_confidences(student: Student, dataset: Dataset, system: SystemTemplate) -> dict[str, float]:
    """Return the student's confidence on each head input."""
    head_names = student.head.input_names if isinstance(student, HeadStudent) else frozenset[str]()
    requests = (
        {input_name(example.request, system): example.request for example in dataset.examples} if head_names else {}
    )
    names = [name for name in requests if name in head_names]
    answers = await ask_student(student, [requests[name] for name in names])
    return {name: answer.confidence if answer else 0.0 for name, answer in zip(names, answers, strict=True)}


def _expected_coverage(
    candidates: Sequence[Threshold],
    dataset: Dataset,
    judged: Sequence[HeldOutAnswer],
    failed: int,
    head: Mapping[str, float],
    system: SystemTemplate,
) -> ExpectedCoverage:
    """Estimate what would be served: the held-out calls stand for all calls outside the head."""
    coverage = ExpectedCoverage([candidate.confidence for candidate in candidates])
    head_calls = dict.fromkeys(head, 0)
    tail_calls = 0
    for example in dataset.examples:
        name = input_name(example.request, system) if head_calls else ""
        if name in head_calls:
            head_calls[name] += example.calls
        else:
            tail_calls += example.calls
    for name, calls in head_calls.items():
        coverage.add_head_call(name, head[name], calls)
    calls_per_answer = tail_calls / max(1, len(judged) + failed)
    for held in judged:
        coverage.add_tail_call(held.answer.confidence, answer_key(held.answer.message), calls_per_answer)
    coverage.calls += calls_per_answer * failed
    return coverage


async def _count_repeats(dataset: Dataset, judge: Judge, wait_s: float) -> tuple[int, int]:
    """Return how often the teacher answered an input again, and how often alike."""
    pairs = [
        AnswerPair(earlier, later)
        for example in dataset.examples
        for earlier, later in pairwise((*example.repeats, example.answer))
    ]
    if is_slow(judge):
        pairs = pairs[:_MAX_REPEATS]
    judged = [judgement for judgement in await judge_pairs(judge, pairs, wait_s) if judgement is not None]
    return len(judged), sum(judgement.agreed for judgement in judged)


def _used_in_training(dataset: Dataset, kind: str, shape: ConversationShape) -> UsedInputs:
    # A cache claims that an input seen before gets the same answer again: its own inputs are its test.
    used = [] if kind == EXACT_MATCH_KIND else [*dataset.in_split("train"), *dataset.in_split("validation")]
    inputs = UsedInputs()
    for example in used:
        call_input = identify_input(example.request, example.fingerprint, example.episode, shape.system)
        inputs.mark_used(call_input.without_openings(shape.openings))
    return inputs


def candidate_thresholds(confidences: Sequence[float]) -> list[Threshold]:
    """Return candidate thresholds from confidences on unlabelled requests; a confidence of 0 is never served."""
    return [
        threshold for threshold in coverage_thresholds(confidences, CANDIDATE_COVERAGES) if threshold.confidence > 0
    ]
