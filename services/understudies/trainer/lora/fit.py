"""Fit an adapter: packed rows, loss on the answers, early stopping by judged agreement, checkpoints."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import torch

from understudies.judge_backends.install import install_judge_backends
from understudies.judges.base import Judge
from understudies.judges.cost_sum import CostSum
from understudies.judges.fallible import counting_cost
from understudies.judges.materials import keep_material
from understudies.judges.registry import parse_judge
from understudies.trainer.lora.agreement import Agreement, AgreementMeter, RowSize
from understudies.trainer.lora.checkpoint import Counters, read_checkpoint, write_checkpoint
from understudies.trainer.lora.encoding import EncodedExample, encode_example, pack_rows, shared_tokens
from understudies.trainer.lora.job import BEST_FOLDER, CHECKPOINT_FOLDER, Finished, Progress, TextExample, TrainingJob
from understudies.trainer.lora.model import AdaptedModel, is_cpu
from understudies.trainer.lora.packing import Batch, one_cycle_rate, plan_batches
from understudies.trainer.lora.ranks import Ranks

_MAX_NORM: Final = 1.0
_EVALUATIONS: Final = 10
_FEWEST_STEPS: Final = 40
_UNKNOWN: Final = Agreement(0.0, [])
_OUT_OF_MEMORY: Final = ("out of memory", "not enough memory", "can't allocate memory")

_log = logging.getLogger(__name__)


class Terminated(Exception):  # noqa: N818 - nothing went wrong
    """Report a training that was told to end; its checkpoint is written."""


class NotTrainable(Exception):  # noqa: N818 - a property of the data
    """Report data on which nothing can be trained, and why."""


@dataclass
class AdapterFit:
    """Fit of one job; `report` takes the progress, `is_terminated` says whether to end after the current step."""

    job: TrainingJob
    folder: Path
    report: Callable[[Progress], None]
    is_terminated: Callable[[], bool] = lambda: False
    _best: Agreement | None = field(default=None, init=False)

    def run(self, train: list[TextExample], validation: list[TextExample]) -> Finished:
        """Train to the end, from the checkpoint if there is one; raises Terminated or NotTrainable."""
        settings = self.job.settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._ranks = Ranks(is_cpu=is_cpu(settings))
        self._model = model = AdaptedModel(self.job, device=self._ranks.device)
        encoded = [one for one in (self._encode(text) for text in train) if one is not None]
        if len(encoded) < settings.min_examples:
            raise NotTrainable(
                f"{len(encoded)} examples of at most {settings.max_tokens} tokens are too few to train on, "
                f"{settings.min_examples} are needed"
            )
        self._encoded = encoded
        sample = [(text, one) for text in validation if (one := self._encode(text)) is not None]
        everything = [*encoded, *(one for _, one in sample)]
        self._shared = shared = shared_tokens(everything)
        row = max(settings.row_tokens, *(len(one) - shared for one in everything))
        rows = max(1, settings.batch_tokens // row)
        batches = plan_batches(
            [len(one) - shared for one in encoded],
            row_tokens=row,
            rows=rows,
            epochs=settings.epochs,
            seed=self.job.seed,
            max_steps=settings.max_steps,
        )
        judge = self._prepare_judge()
        texts, own = [text for text, _ in sample], [one for _, one in sample]
        self._meter = AgreementMeter(model, texts, own, judge, RowSize(row, rows, shared))
        self._optimizer = torch.optim.AdamW(model.trained.values(), weight_decay=0.0)
        counters = read_checkpoint(self.folder / CHECKPOINT_FOLDER, model, self._optimizer)
        self._rows_at_once = counters.rows_at_once or rows
        counters, ended_by = self._steps(batches, counters)
        best = self._best_answers()
        answers = dict(zip((id(text) for text, _ in sample), best.answers, strict=True))
        return Finished(
            step=counters.step,
            steps=len(batches),
            best_step=counters.best_step,
            agreement=best.share,
            loss=round(counters.loss, 6),
            tokens=counters.tokens,
            seconds=round(counters.seconds, 3),
            left_out=len(train) - len(encoded),
            answer_tokens=max(len(one.answer) for one in encoded),
            learning_rate=settings.peak_rate(model.weights),
            ended_by=ended_by,
            judging_usd=self._judging.total_usd,
            answers=[answers.get(id(text), "") for text in validation],
        )

    def _prepare_judge(self) -> Judge:
        """Return the judge of the task, which reaches here what it reaches in the process that began the job."""
        install_judge_backends()
        for text in self.job.materials:
            keep_material(text)
        self._judging = CostSum()
        return counting_cost(parse_judge(self.job.judge), self._judging)

    def _encode(self, text: TextExample) -> EncodedExample | None:
        one = encode_example(self._model.tokenizer, text)
        return one if len(one) <= self.job.settings.max_tokens else None

    def _steps(self, batches: list[Batch], counters: Counters) -> tuple[Counters, Literal["steps", "patience", "time"]]:
        settings, peak = self.job.settings, self.job.settings.peak_rate(self._model.weights)
        self._model.peft.train()
        # Too often, and its patience would end before the learning rate has fallen, when a student learns most.
        evaluate_every = settings.evaluate_every or max(_FEWEST_STEPS, len(batches) // _EVALUATIONS)
        for step in range(counters.step, len(batches)):
            began = time.monotonic()
            # By whichever ends first, so that the rate has fallen by then: an adapter is best at the end of its cycle.
            progress = max(step / max(1, len(batches) - 1), counters.seconds / settings.max_seconds)
            for group in self._optimizer.param_groups:
                group["lr"] = one_cycle_rate(progress, peak)
            loss, tokens = self._step(batches[step])
            done = step + 1
            counters = counters.model_copy(
                update={
                    "step": done,
                    "loss": loss,
                    "tokens": counters.tokens + tokens,
                    "rows_at_once": self._rows_at_once,
                }
            )
            if done % evaluate_every == 0 or done == len(batches):
                counters = self._evaluate(counters)
            counters = counters.model_copy(update={"seconds": counters.seconds + time.monotonic() - began})
            if self._ranks.is_first:
                self.report(self._progress(counters, len(batches)))
            # Times and signals differ between processes, and all of them are to end at the same step.
            counters, terminated = self._ranks.as_first((counters, self.is_terminated()))
            if self._ranks.is_first and (done % settings.checkpoint_every == 0 or terminated):
                write_checkpoint(self.folder / CHECKPOINT_FOLDER, self._model, self._optimizer, counters)
            if terminated:
                raise Terminated(f"ended at step {done}, which is kept as a checkpoint")
            if counters.worse_in_a_row >= settings.patience:
                return counters, "patience"
            if counters.seconds >= settings.max_seconds:
                return self._evaluate(counters), "time"
        return counters, "steps"

    def _step(self, batch: Batch) -> tuple[float, int]:
        """Update the adapter once."""
        answer_tokens = sum(len(self._encoded[index].answer) for row in batch for index in row)
        loss = self._compute(self._ranks.share_of(batch), answer_tokens)
        loss = self._ranks.add_up(loss, self._model.trained.values())
        torch.nn.utils.clip_grad_norm_(self._model.trained.values(), _MAX_NORM)
        self._optimizer.step()
        return loss, sum(len(self._encoded[index]) for row in batch for index in row)

    def _compute(self, rows: Batch, answer_tokens: int) -> float:
        """Compute the gradients of some rows; out of memory, halve the rows computed at once and start again."""
        while True:
            try:
                return self._gradients(rows, answer_tokens)
            except (MemoryError, RuntimeError) as error:
                exhausted = isinstance(error, MemoryError) or any(part in str(error) for part in _OUT_OF_MEMORY)
                if not exhausted or self._rows_at_once == 1:
                    raise
                self._rows_at_once = max(1, self._rows_at_once // 2)
                _log.warning("out of memory: %d rows of a batch at once from now on", self._rows_at_once)
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()

    def _gradients(self, rows: Batch, answer_tokens: int) -> float:
        self._optimizer.zero_grad()
        total = 0.0
        for start in range(0, len(rows), self._rows_at_once):
            packed = pack_rows(self._encoded, rows[start : start + self._rows_at_once], self._model.pad, self._shared)
            # Divided by the tokens of the whole batch, so that its parts add up to the same gradient.
            loss = self._model.loss(packed.to(self._model.device)) / answer_tokens
            loss.backward()
            total += loss.item()
        return total

    def _evaluate(self, counters: Counters) -> Counters:
        """Keep the adapter unless it agrees less often than the best one by more than a standard error.

        The sample is small, and the learning rate falls to the end: of adapters that it cannot tell apart the later one
        is the better (the one-standard-error rule of Breiman, Friedman, Olshen and Stone 1984, "Classification and
        regression trees", section 3.4.3).
        """
        found = self._ranks.as_first(self._meter.measure() if self._ranks.is_first else _UNKNOWN)
        best = max(found.share, counters.best_agreement)
        is_kept = found.share >= best - _standard_error(counters.best_agreement, len(found.answers))
        # What agrees on everything cannot become better.
        is_done = counters.best_agreement == 1.0
        update: dict[str, float] = {
            "worse_in_a_row": 0 if is_kept and not is_done else counters.worse_in_a_row + 1,
            "best_agreement": best,
        }
        if is_kept:
            self._best = found
            if self._ranks.is_first:
                self._model.save(self.folder / BEST_FOLDER)
            update["best_step"] = counters.step
        return counters.model_copy(update=update)

    def _best_answers(self) -> Agreement:
        """Return the best evaluation; one from before a resumption is measured again, with its own adapter."""
        if self._best is None:
            self._model.load(self.folder / BEST_FOLDER)
            self._best = self._ranks.as_first(self._meter.measure() if self._ranks.is_first else _UNKNOWN)
        return self._best

    def _progress(self, counters: Counters, steps: int) -> Progress:
        per_step = counters.seconds / counters.step
        hours = Decimal(str(round(counters.seconds, 3))) / 3600
        return Progress(
            step=counters.step,
            steps=steps,
            loss=round(counters.loss, 6),
            agreement=counters.best_agreement if counters.best_agreement >= 0 else None,
            tokens_per_s=round(counters.tokens / max(counters.seconds, 1e-9), 1),
            eta_s=round(per_step * (steps - counters.step), 1),
            cost_usd=(self.job.settings.usd_per_hour * hours).quantize(Decimal("0.000001")),
            judging_usd=self._judging.total_usd,
        )


def _standard_error(share: float, n: int) -> float:
    """Return the standard error of a share of n examples; 0 without any."""
    return math.sqrt(max(0.0, share * (1 - share)) / n) if n else 0.0
