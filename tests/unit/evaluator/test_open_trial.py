"""Opening a trial: thresholds before labels, then the evidence that is held out."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import TASK
from tests.support.trials import ARTIFACT, EvaluatorHarness, ScriptedStudent, dataset, failing_on, right

from understudies.datasets.dataset import Dataset, Example, write_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import Input, identify_input
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.open_trial import open_trial
from understudies.evaluator.trial import Trial
from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD
from understudies.events import Verdict
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.task import TaskRules
from understudies.stats.coverage import CANDIDATE_COVERAGES, coverage_thresholds
from understudies.stats.fallback import fallback_weights, sequence_weights
from understudies.students.base import request_text
from understudies.students.head_inputs import HeadInputs, add_head, input_name


@pytest.fixture
def bench(tmp_path: Path) -> EvaluatorHarness:
    return EvaluatorHarness(ObjectStore(f"file://{tmp_path}"), ScriptedStudent())


async def opened(bench: EvaluatorHarness, data: Dataset | None = None, **rules: Any) -> tuple[Trial, list[Verdict]]:
    uri = write_dataset(bench.object_store, TASK, (data or dataset()).examples)[0]
    story = bench.promotion("trained", dataset=uri)
    shelf = bench.students.cache
    return await open_trial(story, TaskRules(**rules), bench.settings, bench.object_store, shelf)


def changed(split: str, **changes: Any) -> Dataset:
    """The dataset with the examples of one split changed."""
    return Dataset(TASK, tuple(e.model_copy(update=changes) if e.split == split else e for e in dataset().examples))


def held_out() -> list[Example]:
    return [*dataset().in_split("validation"), *dataset().in_split("evidence")]


async def test_thresholds_come_from_confidences_on_held_out_inputs(bench: EvaluatorHarness) -> None:
    trial, _ = await opened(bench)
    sure = [right(request_text(example.request))[1] for example in held_out()]
    assert trial.selective_gate.thresholds == tuple(coverage_thresholds(sure, CANDIDATE_COVERAGES))


async def test_no_label_moves_a_threshold(bench: EvaluatorHarness) -> None:
    trial, _ = await opened(bench)
    other, verdicts = await opened(bench, changed("evidence", answer=assistant_message("another label")))
    assert trial.selective_gate.thresholds == other.selective_gate.thresholds
    assert not any(verdict.agreed for verdict in verdicts)


async def test_both_gates_begin_where_validation_alone_says(bench: EvaluatorHarness) -> None:
    trial, _ = await opened(bench)
    candidates = trial.selective_gate.thresholds
    # Validation is small.
    start = next(index for index, one in enumerate(candidates) if one.coverage >= 0.3)
    assert start > 0
    assert trial.selective_gate.weights == sequence_weights(len(candidates), start)
    assert trial.call_gate.tail_gate.weights == sequence_weights(len(candidates), start)
    other, _ = await opened(bench, changed("evidence", answer=assistant_message("another label")))
    assert other.selective_gate.weights == trial.selective_gate.weights, "the labels under test move nothing"
    assert other.call_gate.tail_gate.weights == trial.call_gate.tail_gate.weights
    wrong, _ = await opened(bench, changed("validation", answer=assistant_message("another label")))
    assert wrong.selective_gate.weights == fallback_weights(len(candidates)), "there is no start"


async def test_every_evidence_input_gives_one_verdict_that_counts(bench: EvaluatorHarness) -> None:
    trial, verdicts = await opened(bench)
    evidence = dataset().in_split("evidence")
    assert trial.selective_gate.n == len(verdicts) == len(evidence) > 20
    assert [verdict.fingerprint for verdict in verdicts] == [example.fingerprint for example in evidence]
    assert {(v.phase, v.counts, v.judge, v.agreed) for v in verdicts} == {("validation", True, "label", True)}
    assert {v.answer_class for v in verdicts} == {"refund", "card arrival", "change pin"}
    assert [verdict.at for verdict in verdicts] == [example.at for example in evidence]


def known(example: Example) -> Input:
    return identify_input(example.request, example.fingerprint)


async def test_what_was_learned_from_or_chosen_by_never_counts(bench: EvaluatorHarness) -> None:
    trial, _ = await opened(bench)
    assert not any(trial.is_new_input(known(example)) for example in dataset().examples)


async def test_a_cache_is_tried_on_the_inputs_it_knows(bench: EvaluatorHarness) -> None:
    bench.students.students[ARTIFACT] = ScriptedStudent(kind="cache")
    trial, _ = await opened(bench)
    assert all(trial.is_new_input(known(e)) == (e.split != "evidence") for e in dataset().examples)


async def test_escalated_calls_are_no_evidence(bench: EvaluatorHarness) -> None:
    trial, verdicts = await opened(bench, changed("evidence", unbiased=False))
    assert (verdicts, trial.selective_gate.n) == ([], 0)


async def test_an_input_that_the_student_fails_on_is_left_out(bench: EvaluatorHarness) -> None:
    failing = dataset().in_split("evidence")[3]
    bench.students.students[ARTIFACT] = ScriptedStudent(failing_on(request_text(failing.request)))
    trial, verdicts = await opened(bench)
    assert trial.selective_gate.n == len(dataset().in_split("evidence")) - 1
    assert failing.fingerprint not in {verdict.fingerprint for verdict in verdicts}
    # The teacher would serve it, so it counts among the calls: nothing covers all of them.
    assert trial.selective_gate.thresholds[-1].coverage < 1


async def test_the_rules_choose_judge_and_agreement(bench: EvaluatorHarness) -> None:
    trial, verdicts = await opened(bench, judge="exact", min_agreement=0.8)
    assert (trial.p0, trial.selective_gate.p0, trial.judge.name) == (0.8, 0.8, "exact")
    assert {verdict.judge for verdict in verdicts} == {"exact"}


async def test_a_student_that_is_never_sure_cannot_be_tried(bench: EvaluatorHarness) -> None:
    bench.students.students[ARTIFACT] = ScriptedStudent(lambda text: ("refund", 0.0))
    with pytest.raises(ArtifactError, match=r"has positive confidence on none of the \d+ held-out calls"):
        await opened(bench)


async def test_where_every_input_is_asked_often_the_head_is_proven_and_served(bench: EvaluatorHarness) -> None:
    """As in a log that is imported, in which each question came many times before a student was thought of."""
    often = Dataset(TASK, tuple(one.model_copy(update={"calls": 6}) for one in dataset().examples))
    head = HeadInputs.find(often.examples, parse_judge("label"))
    bench.students.students[ARTIFACT] = add_head(ScriptedStudent(), head)
    trial, verdicts = await opened(bench, often)
    assert verdicts == [], "repeats are judged as they come"
    assert trial.expected_coverage.calls == 6 * len(often.examples)
    first = max(one.at for one in often.examples) + timedelta(minutes=1)
    for number in range(400):
        example = often.examples[number % len(often.examples)]
        name = input_name(example.request)
        at = first + timedelta(days=1.5) * number / 400
        seen = Observation(1.0, 1.0, at, answer=example.answer.text, head=name)
        trial.add(identify_input(example.request, example.fingerprint), seen, example.request)
    found = trial.look(first + timedelta(days=2.1))
    assert found is not None
    assert (found.outcome, found.threshold) == ("promote", UNREACHABLE_THRESHOLD)
    assert found.head_threshold is not None


async def test_a_dataset_without_held_out_calls_is_named(bench: EvaluatorHarness) -> None:
    with pytest.raises(ArtifactError, match="has positive confidence on none of the 0 held-out calls"):
        await opened(bench, Dataset(TASK, tuple(dataset().in_split("train"))))


async def test_equal_texts_in_other_contexts_are_evidence(bench: EvaluatorHarness) -> None:
    data = Dataset(TASK, tuple(examples_decided_by_record(200, texts=("forgot the pin of my card",))))
    _, verdicts = await opened(bench, data)
    assert len(verdicts) == len(data.in_split("evidence"))


async def test_examples_for_training_alone_give_thresholds_and_no_verdict(bench: EvaluatorHarness) -> None:
    usual, verdicts = await opened(bench)
    trial, none = await opened(bench, changed("evidence", training_only=True))
    assert verdicts
    assert (none, trial.collected) == ([], 0)
    assert trial.selective_gate.thresholds == usual.selective_gate.thresholds
