"""Opening a trial: thresholds before labels, then the evidence that is held out."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.contexts import decided_by_the_record
from tests.support.datasets import TASK
from tests.support.messages import said
from tests.support.trials import ARTIFACT, Bench, Scripted, dataset, failing_on, right

from understudies.evaluator.opening import open_trial
from understudies.evaluator.trial import Trial
from understudies.events import Verdict
from understudies.runtime.rules import TaskRules
from understudies.stats import thresholds
from understudies.students import (
    ArtifactError,
    Dataset,
    Example,
    Files,
    Input,
    input_of,
    request_text,
    write_dataset,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Files(f"file://{tmp_path}"), Scripted())


async def opened(bench: Bench, data: Dataset | None = None, **rules: Any) -> tuple[Trial, list[Verdict]]:
    uri = write_dataset(bench.files, TASK, (data or dataset()).examples)[0]
    story = bench.story("trained", dataset=uri)
    shelf = bench.shelved.shelf
    return await open_trial(story, TaskRules(**rules), bench.settings, bench.files, shelf)


def changed(split: str, **changes: Any) -> Dataset:
    """The dataset with the examples of one split changed."""
    return Dataset(TASK, tuple(e.model_copy(update=changes) if e.split == split else e for e in dataset().examples))


def held_out() -> list[Example]:
    return [*dataset().of("validation"), *dataset().of("evidence")]


async def test_thresholds_come_from_confidences_on_held_out_inputs(bench: Bench) -> None:
    trial, _ = await opened(bench)
    sure = [right(request_text(example.request))[1] for example in held_out()]
    assert trial.gate.thresholds == tuple(thresholds(sure))


async def test_no_label_moves_a_threshold(bench: Bench) -> None:
    trial, _ = await opened(bench)
    other, verdicts = await opened(bench, changed("evidence", answer=said("another label")))
    assert trial.gate.thresholds == other.gate.thresholds
    assert not any(verdict.agreed for verdict in verdicts)


async def test_every_evidence_input_gives_one_verdict_that_counts(bench: Bench) -> None:
    trial, verdicts = await opened(bench)
    evidence = dataset().of("evidence")
    assert trial.gate.n == len(verdicts) == len(evidence) > 20
    assert [verdict.fingerprint for verdict in verdicts] == [example.fingerprint for example in evidence]
    assert {(v.phase, v.counts, v.judge, v.agreed) for v in verdicts} == {("validation", True, "label", True)}
    assert {v.answer_class for v in verdicts} == {"refund", "card arrival", "change pin"}
    assert [verdict.at for verdict in verdicts] == [example.at for example in evidence]


def known(example: Example) -> Input:
    return input_of(example.request, example.fingerprint)


async def test_what_was_learned_from_or_chosen_by_never_counts(bench: Bench) -> None:
    trial, _ = await opened(bench)
    assert not any(trial.counts(known(example)) for example in dataset().examples)


async def test_a_cache_is_tried_on_the_inputs_it_knows(bench: Bench) -> None:
    bench.shelved.students[ARTIFACT] = Scripted(kind="cache")
    trial, _ = await opened(bench)
    assert all(trial.counts(known(e)) == (e.split != "evidence") for e in dataset().examples)


async def test_escalated_calls_are_no_evidence(bench: Bench) -> None:
    trial, verdicts = await opened(bench, changed("evidence", unbiased=False))
    assert (verdicts, trial.gate.n) == ([], 0)


async def test_an_input_that_the_student_fails_on_is_left_out(bench: Bench) -> None:
    failing = dataset().of("evidence")[3]
    bench.shelved.students[ARTIFACT] = Scripted(failing_on(request_text(failing.request)))
    trial, verdicts = await opened(bench)
    assert trial.gate.n == len(dataset().of("evidence")) - 1
    assert failing.fingerprint not in {verdict.fingerprint for verdict in verdicts}
    # The teacher would serve it, so it counts among the calls: nothing covers all of them.
    assert trial.gate.thresholds[-1].coverage < 1


async def test_the_rules_choose_judge_and_agreement(bench: Bench) -> None:
    trial, verdicts = await opened(bench, judge="exact", min_agreement=0.8)
    assert (trial.p0, trial.gate.p0, trial.judge.name) == (0.8, 0.8, "exact")
    assert {verdict.judge for verdict in verdicts} == {"exact"}


async def test_a_student_that_is_never_sure_cannot_be_tried(bench: Bench) -> None:
    bench.shelved.students[ARTIFACT] = Scripted(lambda text: ("refund", 0.0))
    with pytest.raises(ArtifactError, match=r"sure of none of the \d+ held-out calls"):
        await opened(bench)


async def test_a_dataset_without_held_out_calls_is_named(bench: Bench) -> None:
    with pytest.raises(ArtifactError, match="sure of none of the 0 held-out calls"):
        await opened(bench, Dataset(TASK, tuple(dataset().of("train"))))


async def test_equal_texts_in_other_contexts_are_evidence(bench: Bench) -> None:
    data = Dataset(TASK, tuple(decided_by_the_record(200, texts=("forgot the pin of my card",))))
    _, verdicts = await opened(bench, data)
    assert len(verdicts) == len(data.of("evidence"))
