"""A provider of fine-tuning that really trains: an adapter of a base model, by this product's own LoRA training."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.support.fine_tuning_server import FineTuningServer, StoredJob, serve

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message, Request, Split, fingerprint
from understudies.judges.choice import choose_judge
from understudies.students.base import StudentError, close_student
from understudies.students.calibration import Calibration
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.lora.trainer import train_lora
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, TrainingData


class TrainingProvider(FineTuningServer):
    """A server whose jobs train an adapter on the file that was sent, and which then serves it."""

    def __init__(self, lora: LoraTrainingSettings, report: Callable[[str], None]) -> None:
        super().__init__()
        self._lora, self._report = lora, report
        base = lora.base or ""
        self._engine = LlamaCppEngine(LoraServingSettings(base=base, slots=1, answer_timeout_s=1800))
        self._student: LoraStudent | None = None
        self._training: asyncio.Task[None] | None = None
        self.seconds = 0.0
        """How long the training took."""

    def job_state(self, job: StoredJob) -> str:
        """Start the training at the first look; the job ends when it has ended."""
        if self._training is None:
            self._training = asyncio.ensure_future(self._train(self.trained[job.training_file]))
        if self._training.done():
            job.state = "failed" if self._training.exception() else "succeeded"
        return job.state

    async def complete(self, request: dict[str, Any]) -> tuple[str, float]:
        """Answer by the adapter, with the log-probability of the whole answer."""
        if self._student is None:
            raise KeyError(f"model {request['model']}")
        asked = Request(messages=tuple(Message.model_validate(one) for one in request["messages"]))
        try:
            [answer] = await self._student.answer([asked])
        except StudentError as error:
            raise ValueError(str(error)) from error
        return answer.message.text, math.log(max(answer.confidence, 1e-9))

    async def close(self) -> None:
        """Stop serving."""
        if self._student is not None:
            await close_student(self._student)

    async def _train(self, content: bytes) -> None:
        began = time.monotonic()
        lines = [[Message.model_validate(one) for one in json.loads(line)["messages"]] for line in content.splitlines()]
        examples = [_example(number, turns) for number, turns in enumerate(lines)]
        judge = choose_judge([one.answer for one in examples])
        data = TrainingData(Dataset("job", tuple(examples)), judge, 0, report=self._report)
        outcome = await asyncio.to_thread(train_lora, data, TrainerSettings(lora=self._lora))
        if isinstance(outcome, NotApplicable):
            raise RuntimeError(outcome.reason)
        student = LoraStudent.from_files(dict(outcome.files), self._engine)
        # A provider's log-probabilities are the model's own.
        self._student = student.with_calibration(Calibration())
        self.seconds = time.monotonic() - began


def _example(number: int, turns: Sequence[Message]) -> Example:
    request = Request(messages=tuple(turns[:-1]))
    # A provider holds some of the file out, to stop in time.
    split: Split = "validation" if number % 8 == 7 else "train"
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return Example(
        id=str(number), at=now, fingerprint=fingerprint(request), split=split, teacher="file", request=request,
        answer=turns[-1],
    )  # fmt: skip


@contextmanager
def training_provider(lora: LoraTrainingSettings, report: Callable[[str], None]) -> Iterator[TrainingProvider]:
    """Run a provider on an event loop of its own, in a thread: who asks it may block."""
    ready, stopping = threading.Event(), asyncio.Event()
    held: list[tuple[TrainingProvider, asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        provider = TrainingProvider(lora, report)
        async with serve(provider):
            held.append((provider, asyncio.get_running_loop()))
            ready.set()
            await stopping.wait()
        await provider.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    ready.wait()
    provider, loop = held[0]
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


def provider_settings(provider: TrainingProvider, name: str, usd_per_million_tokens: str) -> dict[str, str]:
    """Return the settings of the endpoint that serves what the provider trains."""
    prefix = f"UNDERSTUDIES_ENDPOINTS__{name.upper()}__"
    return {
        f"{prefix}BASE_URL": f"{provider.url}/v1",
        f"{prefix}MODEL": "small-1",
        f"{prefix}TIMEOUT_SECONDS": "1800",
        f"{prefix}CONCURRENCY": "1",
        f"{prefix}STREAMED": "never",
        f"{prefix}USD_PER_MILLION_PROMPT_TOKENS": usd_per_million_tokens,
        f"{prefix}USD_PER_MILLION_COMPLETION_TOKENS": usd_per_million_tokens,
    }
