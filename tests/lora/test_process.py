import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.lora_jobs import job, texts

from understudies.trainer.lora.job import BEST_FOLDER, CHECKPOINT_FOLDER, Progress
from understudies.trainer.lora.process import TERMINATED
from understudies.trainer.lora.run import TrainingFailed, run_job, write_job

TRAIN, VALIDATION = texts(60), texts(12, first=200)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "understudies.trainer.lora.process", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def step_of(folder: Path) -> int:
    return int(json.loads((folder / CHECKPOINT_FOLDER / "counters.json").read_text())["step"])


def test_a_job_is_trained_in_a_process_of_its_own_that_reports_each_step(base_folder: Path, tmp_path: Path) -> None:
    write_job(tmp_path, job(base_folder, epochs=2), TRAIN, VALIDATION)
    lines: list[Progress] = []
    finished = run_job(tmp_path, 600.0, lines.append)
    assert [line.step for line in lines] == list(range(1, finished.steps + 1))
    assert (tmp_path / BEST_FOLDER / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("ending", ["SIGTERM", "parent"])
def test_an_end_from_outside_keeps_a_checkpoint_of_the_last_step(
    base_folder: Path, tmp_path: Path, ending: str
) -> None:
    write_job(tmp_path, job(base_folder, epochs=50, patience=50, checkpoint_every=1000), TRAIN, VALIDATION)
    with start(tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        if ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        # It may end before its second step.
        last = [first, *map(json.loads, process.stdout)][-1]
        assert process.wait() == TERMINATED
    assert first["step"] == 1
    assert step_of(tmp_path) == last["step"] < last["steps"]


def test_a_killed_training_loses_at_most_what_came_after_the_last_checkpoint(base_folder: Path, tmp_path: Path) -> None:
    write_job(tmp_path, job(base_folder, epochs=2, checkpoint_every=1), TRAIN, VALIDATION)
    with start(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.kill()
    kept = step_of(tmp_path)
    assert kept >= 2
    lines: list[Progress] = []
    run_job(tmp_path, 600.0, lines.append)
    assert lines[0].step == kept + 1


def test_a_missing_base_and_an_unwritable_folder_end_with_the_reason(base_folder: Path, tmp_path: Path) -> None:
    write_job(tmp_path / "missing", job(tmp_path / "nowhere"), TRAIN, VALIDATION)
    with pytest.raises(TrainingFailed, match="nowhere"):
        run_job(tmp_path / "missing", 600.0, lambda _: None)
    write_job(tmp_path / "blocked", job(base_folder, max_steps=1), TRAIN, VALIDATION)
    (tmp_path / "blocked" / BEST_FOLDER).write_text("a file where a folder belongs")
    with pytest.raises(TrainingFailed, match="best"):
        run_job(tmp_path / "blocked", 600.0, lambda _: None)


def test_a_process_that_hangs_is_killed(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudies.trainer.lora.run._GRACE_S", 0.0)
    write_job(tmp_path, job(base_folder), TRAIN, VALIDATION)
    with pytest.raises(TrainingFailed, match="status -9"):
        run_job(tmp_path, 0.01, lambda _: None)


def test_processes_that_train_together_take_the_steps_of_one(base_folder: Path, tmp_path: Path) -> None:
    """On the CPU; on a machine with several GPUs there is one for each."""
    settings = {"max_steps": 4, "evaluate_every": 4, "batch_tokens": 384, "device": "cpu"}
    losses = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        write_job(folder, job(base_folder, processes=processes, **settings), TRAIN, VALIDATION)
        lines: list[Progress] = []
        finished = run_job(folder, 600.0, lines.append)
        assert [line.step for line in lines] == [1, 2, 3, 4]
        assert (finished.step, finished.ended_by) == (4, "steps")
        losses.append([line.loss for line in lines])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    one, two = (load_file(tmp_path / name / BEST_FOLDER / "adapter_model.safetensors") for name in ("1", "2"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-2, atol=1e-4)


def test_processes_that_train_together_end_with_a_checkpoint_and_the_reason_of_a_failure(
    base_folder: Path, tmp_path: Path
) -> None:
    endless = job(base_folder, epochs=50, patience=50, checkpoint_every=1000, processes=2, device="cpu")
    write_job(tmp_path / "ended", endless, TRAIN, VALIDATION)
    with start(tmp_path / "ended") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["step"] == 1
        process.stdin.close()
        last = [json.loads(line) for line in process.stdout][-1:]
        assert process.wait() != 0
    assert step_of(tmp_path / "ended") >= (last[0]["step"] if last else 1)
    write_job(tmp_path / "missing", job(tmp_path / "nowhere", processes=2, device="cpu"), TRAIN, VALIDATION)
    with pytest.raises(TrainingFailed, match="nowhere"):
        run_job(tmp_path / "missing", 600.0, lambda _: None)
