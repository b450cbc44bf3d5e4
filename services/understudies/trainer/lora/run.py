"""Run a training job in a process of its own, and follow its progress."""

import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from pydantic import ValidationError

from understudies.trainer.lora.job import (
    JOB_FILE,
    REPORT,
    TRAIN_FILE,
    VALIDATION_FILE,
    Failed,
    Finished,
    Progress,
    TextExample,
    TrainingJob,
    write_examples,
)

_GRACE_S: Final = 300.0
_LAST_LINES: Final = 5

_log = logging.getLogger(__name__)


class TrainingFailed(Exception):  # noqa: N818 - named by what happened
    """Report a training without a result; the text is the reason."""


def write_job(folder: Path, job: TrainingJob, train: list[TextExample], validation: list[TextExample]) -> None:
    """Write the files of a job, beside a checkpoint that may be there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / TRAIN_FILE, train)
    write_examples(folder / VALIDATION_FILE, validation)
    (folder / JOB_FILE).write_text(job.model_dump_json(indent=1))


def run_job(folder: Path, max_seconds: float, on_progress: Callable[[Progress], None]) -> Finished:
    """Train the job in a folder to its end; blocks. Raises TrainingFailed, with the reason, if there is no result.

    A process that outlives its own time limit by minutes is killed.
    """
    command = [sys.executable, "-m", "understudies.trainer.lora.process", str(folder)]
    # In a session of its own: an interrupt ends the parent, and by that the training, with a checkpoint.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors: deque[str] = deque(maxlen=_LAST_LINES)
        reader = threading.Thread(target=_collect, args=(process.stderr, errors), daemon=True)
        reader.start()
        limit = threading.Timer(max_seconds + _GRACE_S, process.kill)
        limit.start()
        try:
            outcome = _follow(process.stdout, on_progress)
            status = process.wait()
        finally:
            limit.cancel()
            # No effect on a process that has ended.
            process.kill()
        reader.join()
    if isinstance(outcome, Finished):
        return outcome
    if outcome is not None:
        raise TrainingFailed(outcome.reason)
    raise TrainingFailed(f"the training process ended with status {status}: {' '.join(errors)[-300:] or 'no message'}")


def _follow(lines: IO[bytes], on_progress: Callable[[Progress], None]) -> Finished | Failed | None:
    outcome: Finished | Failed | None = None
    for line in lines:
        try:
            report = REPORT.validate_json(line)
        except ValidationError:
            _log.warning("ignored a line of the training process that is no report")
            continue
        if isinstance(report, Progress):
            on_progress(report)
        else:
            outcome = report
    return outcome


def _collect(lines: IO[bytes], last: deque[str]) -> None:
    last.extend(line.decode(errors="replace").strip() for line in lines)
