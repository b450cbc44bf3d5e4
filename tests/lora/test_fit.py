from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from tests.support.lora_jobs import job, texts

from understudies.trainer.lora.agreement import Agreement, AgreementMeter
from understudies.trainer.lora.checkpoint import Counters
from understudies.trainer.lora.encoding import PackedRows
from understudies.trainer.lora.fit import AdapterFit, NotTrainable, Terminated
from understudies.trainer.lora.job import BEST_FOLDER, CHECKPOINT_FOLDER, Progress
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.ranks import Ranks

TRAIN, VALIDATION = texts(60), texts(12, first=200)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / BEST_FOLDER / "adapter_model.safetensors")
    return found


def test_it_learns_reports_its_progress_and_keeps_the_best_adapter(base_folder: Path, tmp_path: Path) -> None:
    lines: list[Progress] = []
    finished = AdapterFit(job(base_folder, patience=2), tmp_path, lines.append).run(TRAIN, VALIDATION)
    assert finished.agreement == 1.0
    assert finished.answers == [text.answer for text in VALIDATION]
    assert finished.answer_tokens == 2
    assert lines[-1].loss < lines[0].loss / 10
    assert [line.step for line in lines] == list(range(1, finished.step + 1))
    assert lines[-1].tokens_per_s > 0
    assert lines[0].cost_usd < lines[-1].cost_usd
    assert lines[0].eta_s > 0
    assert weights(tmp_path)


def test_what_agrees_on_everything_is_trained_no_longer(base_folder: Path, tmp_path: Path) -> None:
    settings = {"evaluate_every": 5, "patience": 2, "epochs": 40}
    finished = AdapterFit(job(base_folder, **settings), tmp_path, lambda _: None).run(TRAIN, VALIDATION)
    assert finished.ended_by == "patience"
    assert finished.step < finished.steps


def evaluated(tmp_path: Path, shares: list[float], examples: int = 54) -> tuple[list[int], list[int], AdapterFit]:
    """Return after each evaluation the step of the adapter that is kept, and how many in a row were worse."""
    fit = AdapterFit(job(tmp_path), tmp_path, lambda _: None)
    found = iter([Agreement(share, [""] * examples) for share in shares])
    fit._ranks = cast(Ranks, SimpleNamespace(as_first=lambda value: value, is_first=True))
    fit._meter = cast(AgreementMeter, SimpleNamespace(measure=lambda: next(found)))
    fit._model = cast(AdaptedModel, SimpleNamespace(save=lambda _: None))
    counters, kept, worse = Counters(), list[int](), list[int]()
    for step in range(1, len(shares) + 1):
        counters = fit._evaluate(counters.model_copy(update={"step": step}))
        kept.append(counters.best_step)
        worse.append(counters.worse_in_a_row)
    return kept, worse, fit


def test_of_adapters_that_the_sample_cannot_tell_apart_the_later_one_is_kept(tmp_path: Path) -> None:
    # The standard error of .907 of 54 is .0395.
    kept, worse, fit = evaluated(tmp_path, [0.704, 0.907, 0.889, 0.87])
    assert (kept, worse) == ([1, 2, 3, 4], [0, 0, 0, 0])
    assert fit._best_answers().share == 0.87


def test_an_adapter_that_is_worse_by_more_than_a_standard_error_is_not_kept(tmp_path: Path) -> None:
    kept, worse, fit = evaluated(tmp_path, [0.907, 0.87, 0.852, 0.8, 0.88, 0.85])
    # It is the best one that counts, so that one small loss after another is noticed.
    assert (kept, worse) == ([1, 2, 2, 2, 5, 5], [0, 0, 1, 2, 0, 1])
    assert fit._best_answers().share == 0.88


def test_what_agrees_on_everything_is_not_given_up_for_less(tmp_path: Path) -> None:
    assert evaluated(tmp_path, [1.0, 0.98, 1.0])[:2] == ([1, 1, 3], [0, 1, 2])


def test_without_an_example_to_evaluate_the_last_adapter_is_kept(tmp_path: Path) -> None:
    assert evaluated(tmp_path, [0.0, 0.0], examples=0)[:2] == ([1, 2], [0, 0])


def test_a_training_that_was_ended_resumes_at_its_checkpoint_and_ends_with_the_same_adapter(
    base_folder: Path, tmp_path: Path
) -> None:
    settings = job(base_folder, epochs=2, evaluate_every=100)
    whole = AdapterFit(settings, tmp_path / "whole", lambda _: None).run(TRAIN, VALIDATION)
    lines: list[Progress] = []
    fit = AdapterFit(settings, tmp_path / "cut", lines.append, lambda: len(lines) == 3)
    with pytest.raises(Terminated, match="step 3"):
        fit.run(TRAIN, VALIDATION)
    resumed = AdapterFit(settings, tmp_path / "cut", lines.append).run(TRAIN, VALIDATION)
    assert [line.step for line in lines] == list(range(1, whole.step + 1))
    assert resumed.tokens == whole.tokens
    for name, tensor in weights(tmp_path / "whole").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "cut")[name])


def test_a_torn_checkpoint_leaves_the_previous_one(base_folder: Path, tmp_path: Path) -> None:
    settings = job(base_folder, epochs=1)
    steps: list[Progress] = []
    with pytest.raises(Terminated):
        AdapterFit(settings, tmp_path, steps.append, lambda: len(steps) == 2).run(TRAIN, VALIDATION)
    (tmp_path / CHECKPOINT_FOLDER).rename(tmp_path / f"{CHECKPOINT_FOLDER}.old")
    (tmp_path / f"{CHECKPOINT_FOLDER}.new").mkdir()
    AdapterFit(settings, tmp_path, steps.append).run(TRAIN, VALIDATION)
    assert [line.step for line in steps][:3] == [1, 2, 3]


def test_out_of_memory_halves_the_rows_and_changes_nothing_else(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = job(base_folder, max_steps=3, evaluate_every=3)
    expected = AdapterFit(settings, tmp_path / "whole", lambda _: None).run(TRAIN, VALIDATION)
    compute, sizes = AdaptedModel.loss, []

    def loss(model: AdaptedModel, rows: PackedRows) -> torch.Tensor:
        sizes.append(len(rows.ids))
        if len(rows.ids) > 1:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory")
        return compute(model, rows)

    monkeypatch.setattr(AdaptedModel, "loss", loss)
    halved = AdapterFit(settings, tmp_path / "halved", lambda _: None).run(TRAIN, VALIDATION)
    assert sizes[:3] == [4, 2, 1]
    assert max(sizes[2:]) == 1
    assert halved.loss == pytest.approx(expected.loss, rel=1e-4)

    monkeypatch.setattr(AdaptedModel, "loss", lambda *_: (_ for _ in ()).throw(MemoryError("not even one row")))
    with pytest.raises(MemoryError):
        AdapterFit(settings, tmp_path / "none", lambda _: None).run(TRAIN, VALIDATION)


def test_long_examples_are_left_out_and_too_few_are_refused(base_folder: Path, tmp_path: Path) -> None:
    long = texts(1)[0].model_copy(update={"answer": "no " * 500})
    settings = job(base_folder, max_tokens=128, max_steps=1)
    finished = AdapterFit(settings, tmp_path, lambda _: None).run([*TRAIN, long], [*VALIDATION, long])
    assert finished.left_out == 1
    assert len(finished.answers) == len(VALIDATION) + 1
    with pytest.raises(NotTrainable, match="0 examples of at most 128 tokens are too few"):
        AdapterFit(settings, tmp_path / "few", lambda _: None).run([long] * 20, VALIDATION)


def test_the_time_limit_ends_a_training_with_the_best_so_far(base_folder: Path, tmp_path: Path) -> None:
    finished = AdapterFit(job(base_folder, max_seconds=1e-6), tmp_path, lambda _: None).run(TRAIN, VALIDATION)
    assert (finished.ended_by, finished.step) == ("time", 1)
    assert weights(tmp_path)


def test_the_rate_has_fallen_when_the_time_limit_ends_a_training(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each step takes a second.
    monkeypatch.setattr("understudies.trainer.lora.fit.time", SimpleNamespace(monotonic=map(float, count()).__next__))
    fit = AdapterFit(job(base_folder, epochs=50, patience=50, max_seconds=10), tmp_path, lambda _: None)
    finished = fit.run(TRAIN, VALIDATION)
    assert (finished.ended_by, finished.step) == ("time", 10)
    assert finished.steps > 20
    [group] = fit._optimizer.param_groups
    assert group["lr"] < 0.1 * finished.learning_rate


def test_only_answers_that_differ_are_generated(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    generate = AdaptedModel.generate

    def counted(model: AdaptedModel, chats: list[list[dict[str, str]]], tokens: int) -> list[str]:
        asked.append(len(chats))
        return generate(model, chats, tokens)

    fit = AdapterFit(job(base_folder, patience=1), tmp_path, lambda _: None)
    fit.run(TRAIN, VALIDATION)
    monkeypatch.setattr(AdaptedModel, "generate", counted)
    meter = fit._meter
    assert isinstance(meter, AgreementMeter)
    found = meter.measure()
    # The greedy answers themselves are the teacher's.
    assert fit._model.generate([text.turns for text in VALIDATION], 8) == found.answers
    assert sum(asked) == len(VALIDATION)
    assert found.share == 1.0
