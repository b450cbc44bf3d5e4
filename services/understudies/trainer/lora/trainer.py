"""Train, convert and validate a LoRA student."""

import asyncio
import hashlib
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.judges.fallible import is_slow, judge_materials
from understudies.judges.materials import JudgeUnavailableError
from understudies.runtime.errors import SERVICE_ERRORS, ConfigurationError
from understudies.students.base import StudentError, close_student
from understudies.students.calibration import Check
from understudies.students.encoder.runtime import ENCODER_LICENCE, ENCODER_NAME
from understudies.students.extractor.obstacles import NotExtractable
from understudies.students.extractor.student import ExtractorStudent
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from understudies.students.lora.base_model import LoraBase, find_base
from understudies.students.lora.engines import create_engine
from understudies.students.lora.gguf_adapter import GGUF_FILE, to_gguf
from understudies.students.lora.prompt import answer_text, to_turns
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraManifest, LoraStudent
from understudies.students.verifier import Verifier
from understudies.trainer.calibration import calibrate
from understudies.trainer.lora.job import BEST_FOLDER, Finished, Progress, TextExample, TrainingJob
from understudies.trainer.lora.parity import Parity, compare_answers
from understudies.trainer.lora.run import TrainingFailed, run_job, write_job
from understudies.trainer.lora.throughput import Throughput, measure_throughput
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, TrainedStudent, TrainingData
from understudies.trainer.validation import ValidationCall, held_out_examples, judge_student

_MODULES: Final = ("torch", "transformers", "peft", "safetensors", "gguf", "xllamacpp")
_ROOM: Final = 2
"""How many times as many tokens as the longest training answer an answer may have."""
_SHORTEST_LIMIT: Final = 16

_log = logging.getLogger(__name__)


def train_lora(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train an adapter in a process of its own, convert it, and validate it with the engine that will serve it."""
    if missing := [name for name in _MODULES if importlib.util.find_spec(name) is None]:
        return NotApplicable(f"{' and '.join(missing)} not installed: pip install understudies[lora]")
    if settings.lora.base is None:
        return NotApplicable("no base model is named: set UNDERSTUDIES_LORA_BASE, or --base of a backtest")
    train = [text for one in data.dataset.in_split("train") if (text := to_text(one)) is not None]
    if len(train) < settings.lora.min_examples:
        return NotApplicable(
            f"{len(train)} training examples are text or calls of functions, "
            f"and {settings.lora.min_examples} are needed"
        )
    held_out = [one for one in held_out_examples(data.dataset.in_split("validation")) if to_text(one) is not None]
    try:
        base = find_base(settings.lora.base)
        return _Training(data, settings, base, train, held_out).run()
    except (ArtifactError, ConfigurationError, TrainingFailed, StudentError, JudgeUnavailableError) as error:
        return NotApplicable(str(error))
    except OSError as error:
        return NotApplicable(f"a file of the training could not be written: {error}")


def to_text(example: Example) -> TextExample | None:
    """Return an example as chat turns and text; None if it has anything else."""
    turns, answer = to_turns(example.request), answer_text(example.answer)
    return None if turns is None or answer is None else TextExample(turns=turns, answer=answer)


class _Training:
    """One training with its inputs."""

    def __init__(
        self,
        data: TrainingData,
        settings: TrainerSettings,
        base: LoraBase,
        train: list[TextExample],
        held_out: list[Example],
    ) -> None:
        self._data = data
        self._settings = settings.lora
        self._uses_encoder = settings.encoder is not False
        self._base = base
        # What it serves with is named, and the base found, before hours are spent on training.
        self._engine = create_engine(LoraServingSettings(base=settings.lora.base, answer_timeout_s=600.0))
        self._base_digest = self._engine.base_digest(base)
        self._train = train
        self._held_out = held_out
        self._judging_usd = Decimal(0)
        self._sample = held_out[:: max(1, -(-len(held_out) // settings.lora.validation_examples))]

    def run(self) -> TrainedStudent:
        """Return the trained student; raises TrainingFailed, ArtifactError or StudentError with the reason."""
        job = TrainingJob(
            weights=self._base.weights.resolve(),
            base_name=self._base.source,
            judge=self._data.judge.name,
            materials=judge_materials(self._data.judge),
            seed=self._data.seed,
            settings=self._settings.model_copy(update={"work": None}),
        )
        texts = [text for one in self._sample if (text := to_text(one)) is not None]
        with self._folder(job, texts) as folder:
            write_job(folder, job, self._train, texts)
            finished = run_job(folder, self._settings.max_seconds, self._log_progress)
            self._count_judging(finished.judging_usd)
            files = {name: (folder / BEST_FOLDER / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}
            return self._validated(files, finished)

    @contextmanager
    def _folder(self, job: TrainingJob, texts: Sequence[TextExample]) -> Iterator[Path]:
        """Make the job's folder; one below the configured folder keeps its checkpoint until the job is done."""
        if self._settings.work is None:
            with tempfile.TemporaryDirectory(prefix="understudies-training-") as temporary:
                yield Path(temporary)
            return
        digest = hashlib.sha256(job.model_dump_json().encode())
        for text in (*self._train, *texts):
            digest.update(text.model_dump_json().encode())
        folder = self._settings.work / digest.hexdigest()[:32]
        yield folder
        # Not reached after an error.
        shutil.rmtree(folder, ignore_errors=True)

    def _count_judging(self, total_usd: Decimal) -> None:
        """Count what the judge has cost in the process that trains, as it goes: the process may fail later."""
        self._data.judging.add(total_usd - self._judging_usd)
        self._judging_usd = total_usd

    def _log_progress(self, progress: Progress) -> None:
        self._count_judging(progress.judging_usd)
        _log.info("%s, lora: %s", self._data.dataset.task, progress)
        self._data.report(f"lora, {progress}")

    def _validated(self, files: dict[str, bytes], finished: Finished) -> TrainedStudent:
        files[GGUF_FILE] = to_gguf(read_adapter(files), self._base.shape)
        manifest = LoraManifest(
            base=self._base.source,
            base_digest=self._base_digest,
            shape=self._base.shape,
            answer_tokens=max(_SHORTEST_LIMIT, _ROOM * finished.answer_tokens),
            engine=self._engine.kind,
        )
        student = LoraStudent(manifest, files, self._engine)
        judged = judge_student(student, self._held_out, self._data.judge, self._data.unreported)
        verifier = self._fit_verifier()
        checks = None if verifier is None else asyncio.run(_check(verifier, self._held_out, judged))
        result = calibrate(judged, checks)
        throughput = self._measured_throughput(student)
        if throughput is not None and self._settings.serving_usd_per_hour is not None:
            price = throughput.usd_per_million_tokens(self._settings.serving_usd_per_hour)
            manifest = manifest.model_copy(update={"usd_per_million_tokens": price})
            student = LoraStudent(manifest, files, self._engine)
        verifier = verifier if result.calibration.needs_verifier else None
        student = student.with_calibration(result.calibration, verifier)
        parity = asyncio.run(self._compare(student, finished.answers))
        if parity.is_broken:
            raise TrainingFailed(f"the adapter is not served as it was trained: {parity}")
        metrics: dict[str, JsonValue] = {
            **result.metrics,
            "training": finished.model_dump(mode="json", exclude={"kind", "answers", "judging_usd"}),
            **parity.summary(),
            **({} if throughput is None else {"serving": throughput.summary()}),
        }
        return TrainedStudent(
            student,
            student.to_files(),
            result.validation_calls,
            self._hyper_parameters(finished, verifier),
            base_model=self._base.source,
            licence=", ".join(filter(None, (self._base.licence, _encoder_licence(verifier)))),
            metrics=metrics,
            answer_cost_usd=self._answer_cost(student, throughput),
        )

    def _fit_verifier(self) -> Verifier | None:
        """Fit an extractor on the training split to check answers with; None where none suits the task or its judge."""
        if is_slow(self._data.judge):
            return None
        self._data.report("lora, fitting its verifier")
        for encoder in (True, False) if self._uses_encoder else (False,):
            try:
                return Verifier(self._fit_extractor(encoder=encoder), self._data.judge)
            except NotExtractable as error:
                kind = "with" if encoder else "without"
                _log.info("%s, lora: no verifier %s the encoder: %s", self._data.dataset.task, kind, error)
            except SERVICE_ERRORS:
                raise
            except Exception:  # noqa: BLE001 - the adapter took hours, and is a student without a verifier, too
                _log.exception("%s, lora: failed to fit a verifier", self._data.dataset.task)
        return None

    def _fit_extractor(self, *, encoder: bool) -> ExtractorStudent:
        data = self._data
        train = data.dataset.in_split("train")
        return ExtractorStudent.fit(train, data.judge, seed=data.seed, system=data.system, encoder=encoder)

    def _answer_cost(self, student: LoraStudent, throughput: Throughput | None) -> Decimal:
        """Return the price of an answer: by the measured throughput if there is one, else as declared."""
        measured = student.cost(throughput.usage_per_answer) if throughput else None
        return self._settings.usd_per_1000_answers / 1000 if measured is None else measured

    def _measured_throughput(self, student: LoraStudent) -> Throughput | None:
        """Measure how fast the engine answers; None unless it has an hourly price: replays are to cost the same."""
        if self._settings.serving_usd_per_hour is None:
            return None
        return asyncio.run(measure_throughput(student, [one.request for one in self._sample]))

    async def _compare(self, student: LoraStudent, trained: Sequence[str]) -> Parity:
        try:
            return await compare_answers(student, self._sample, trained, self._data.judge)
        finally:
            await close_student(student)

    def _hyper_parameters(self, finished: Finished, verifier: Verifier | None) -> dict[str, JsonValue]:
        chosen = {"rank", "alpha_ratio", "epochs", "max_steps", "batch_tokens", "row_tokens", "max_tokens"}
        return {
            **self._settings.model_dump(mode="json", include=chosen),
            "learning_rate": finished.learning_rate,
            "seed": self._data.seed,
            "steps": finished.best_step,
            "base_digest": self._base_digest,
            "base_revision": self._base.revision,
            **({} if verifier is None else {"verifier": {"kind": "extractor", "encoder": verifier.uses_encoder}}),
        }


def _encoder_licence(verifier: Verifier | None) -> str:
    return f"{ENCODER_NAME} {ENCODER_LICENCE}" if verifier is not None and verifier.uses_encoder else ""


async def _check(
    verifier: Verifier, examples: Sequence[Example], judged: Sequence[ValidationCall]
) -> list[Check | None]:
    """Return what the verifier says of each answer; None where either has none."""
    return [
        None if one.message is None else verifier.check(await verifier.answer(example.request), one.message)
        for example, one in zip(examples, judged, strict=True)
    ]
