"""Train the job in a folder: `python -m understudies.trainer.lora.process FOLDER`, progress as JSON lines on stdout.

The process ends after the current step, with a checkpoint, at SIGTERM or when its standard input closes: that of its
parent's end.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from understudies.judges.materials import JudgeUnavailableError
from understudies.trainer.lora.job import (
    JOB_FILE,
    TRAIN_FILE,
    VALIDATION_FILE,
    Failed,
    TrainingJob,
    read_examples,
)

TERMINATED: Final = 143


def main(folder: Path) -> int:
    """Train the job and report its outcome; returns the exit status."""
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    threading.Thread(target=_watch_parent, args=(terminated,), daemon=True).start()
    # What libraries print must not mingle with the reports.
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(line: BaseModel) -> None:
        reports.write(line.model_dump_json() + "\n")

    try:
        # Imported here: these import torch, and that it is missing is to be reported as well.
        from understudies.trainer.lora.encoding import TemplateError
        from understudies.trainer.lora.fit import AdapterFit, NotTrainable, Terminated
        from understudies.trainer.lora.model import NotAvailable
        from understudies.trainer.lora.ranks import is_first_rank, launcher_of_several
    except ImportError as error:
        report(Failed(reason=f"the module {error.name!r} is missing; pip install understudies[lora]"))
        return 1
    job = TrainingJob.model_validate_json((folder / JOB_FILE).read_bytes())
    if launcher := launcher_of_several(job.settings, "understudies.trainer.lora.process", str(folder)):
        os.dup2(reports.fileno(), sys.stdout.fileno())
        os.execv(launcher[0], launcher)
    train, validation = read_examples(folder / TRAIN_FILE), read_examples(folder / VALIDATION_FILE)
    try:
        finished = AdapterFit(job, folder, report, terminated.is_set).run(train, validation)
        if is_first_rank():
            report(finished)
    except Terminated:
        return TERMINATED
    except (NotAvailable, NotTrainable, TemplateError, JudgeUnavailableError) as error:
        report(Failed(reason=str(error)))
        return 1
    except OSError as error:
        report(Failed(reason=f"a file could not be read or written: {error}"))
        return 1
    except Exception as error:  # noqa: BLE001 - libraries may raise anything, and the reason must reach the event
        report(Failed(reason=f"training failed: {error!r}"))
        return 1
    return 0


def _watch_parent(terminated: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(0, 1024):
        pass
    terminated.set()


if __name__ == "__main__":
    # At once: threads of native libraries may abort a process while its interpreter ends.
    os._exit(main(Path(sys.argv[1])))
