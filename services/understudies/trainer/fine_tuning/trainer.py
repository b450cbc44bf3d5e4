"""Train a student by a provider's fine-tuning API, and validate it at the endpoint that serves it."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.export import ExportFormat, NotExportable, export_examples, to_record
from understudies.students.base import StudentError, close_student
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.calibration import calibrate
from understudies.trainer.costs import counting_lost
from understudies.trainer.fine_tuning.http import ProviderClient, ProviderError
from understudies.trainer.fine_tuning.job import Job
from understudies.trainer.fine_tuning.providers import (
    FineTuningProvider,
    FireworksProvider,
    OpenAIProvider,
    TogetherProvider,
)
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.fine_tuning.training import FineTuning, JobFailed, TrainingFiles
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, TrainedStudent, TrainingData, charged, evenly_spread
from understudies.trainer.validation import held_out_examples, judge_student

_OPENAI: Final = "api.openai.com"
_OPENAI_ENDS: Final = date(2027, 1, 6)
_CLOSED: Final = (
    f"OpenAI takes no new fine-tuning jobs since {_OPENAI_ENDS}: name another provider in "
    "UNDERSTUDIES_FINE_TUNING_PROVIDER, such as together or fireworks, or the URL of a compatible API in "
    "UNDERSTUDIES_FINE_TUNING_BASE_URL"
)

_log = logging.getLogger(__name__)


def train_api_fine_tune(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Have a provider train a model on the training examples, once for each student, and calibrate what it answers.

    Synthetic examples are left out: what they are worth is measured by a second training, which would be a second job.
    """
    chosen = settings.fine_tuning
    assert chosen.endpoint is not None
    endpoint = EndpointSettings().get(chosen.endpoint)
    if (obstacle := find_obstacle(chosen, endpoint, data.at or datetime.now(UTC))) is not None:
        return NotApplicable(obstacle)
    form = _format_of(chosen)
    real = [example for example in data.dataset.in_split("train") if not example.synthetic]
    train = _exportable(real, form)[-chosen.max_examples :]
    if len(train) < chosen.min_examples:
        return NotApplicable(
            f"{len(train)} training examples can be written for {chosen.provider}, and {chosen.min_examples} are needed"
        )
    held_out = held_out_examples(_exportable(data.dataset.in_split("validation"), form))
    files = training_files(data, train, held_out, form)
    try:
        job, name = asyncio.run(_run(data, chosen, endpoint, files))
    except JobFailed as error:
        return NotApplicable(str(error), charged_usd=_count_once(data, error.charged_usd))
    cost = _count_once(data, job.cost_usd or Decimal(0))
    with counting_lost(data.unreported, lambda: cost):
        return _validated(data, chosen, endpoint, job, name, held_out, cost)


def _count_once(data: TrainingData, cost: Decimal) -> Decimal:
    """Return the cost of the job, or 0 if this training counts it already: there is one job for a student."""
    if "job" in data.counted:
        return Decimal(0)
    data.counted.add("job")
    return cost


def find_obstacle(chosen: FineTuningSettings, endpoint: Endpoint, now: datetime) -> str | None:
    """Return why no job can be begun with these settings, with the remedy; warn of what will end soon."""
    if chosen.base is None:
        return "no base model is named: set UNDERSTUDIES_FINE_TUNING_BASE"
    if endpoint.api != "chat":
        return f"the endpoint {chosen.endpoint!r} answers decisions, not chat completions"
    if urlsplit(chosen.base_url or endpoint.base_url).hostname == _OPENAI:
        if now.date() >= _OPENAI_ENDS:
            return _CLOSED
        _log.warning("OpenAI takes no new fine-tuning jobs from %s on; what was trained is served longer", _OPENAI_ENDS)
    return None


def _format_of(chosen: FineTuningSettings) -> ExportFormat:
    kinds: dict[str, type[FineTuningProvider]] = {"together": TogetherProvider, "fireworks": FireworksProvider}
    return kinds.get(chosen.provider, OpenAIProvider).form


def _exportable(examples: Sequence[Example], form: ExportFormat) -> list[Example]:
    return [example for example in examples if _is_exportable(example, form)]


def _is_exportable(example: Example, form: ExportFormat) -> bool:
    try:
        to_record(example, form)
    except NotExportable:
        return False
    return True


def training_files(
    data: TrainingData, train: Sequence[Example], held_out: Sequence[Example], form: ExportFormat
) -> TrainingFiles:
    """Return the files to upload, under a name of this student alone."""
    content = export_examples(train, form).content
    # Unique to the student, so that its files and its job are found again.
    digest = hashlib.sha256(f"{data.student}:{data.seed}:".encode("utf-8", "surrogatepass") + content).hexdigest()
    return TrainingFiles(f"understudies-{digest[:20]}", content, export_examples(held_out, form).content)


async def _run(
    data: TrainingData, chosen: FineTuningSettings, endpoint: Endpoint, files: TrainingFiles
) -> tuple[Job, str]:
    """Return the job, and the name by which the trained model answers; raises JobFailed."""
    base_url = chosen.base_url or endpoint.base_url
    async with ProviderClient(base_url, endpoint.api_key, chosen.timeout_s) as client:
        provider = _provider(chosen, client)
        job = await FineTuning(provider, chosen, data.journal, files, data.seed % 2**31, data.report).run()
        assert job.model is not None
        try:
            return job, await provider.deploy(job.model)
        except ProviderError as error:
            raise JobFailed(str(error), job.cost_usd or Decimal(0)) from error


def _provider(chosen: FineTuningSettings, client: ProviderClient) -> FineTuningProvider:
    if chosen.provider == "together":
        return TogetherProvider(client)
    return FireworksProvider(client, chosen.deployment) if chosen.provider == "fireworks" else OpenAIProvider(client)


def _validated(
    data: TrainingData,
    chosen: FineTuningSettings,
    endpoint: Endpoint,
    job: Job,
    name: str,
    held_out: Sequence[Example],
    cost: Decimal,
) -> TrainedStudent | NotApplicable:
    """Return the student of a job; `cost` is what of the job's price is not counted yet."""
    assert chosen.endpoint is not None
    price = job.cost_usd or Decimal(0)
    student = FewShotStudent.fit(
        [example for example in data.dataset.in_split("train") if not example.synthetic],
        data.judge,
        endpoint_name=chosen.endpoint,
        endpoint=endpoint,
        shots=0,
        system=data.system,
        kind="api_fine_tune",
        model=name,
    )
    sample = evenly_spread(held_out, chosen.validation)
    if not sample:
        return NotApplicable("no validation call can be asked", charged_usd=cost)
    if (reason := asyncio.run(_wait_until_served(student, sample[0], chosen))) is not None:
        return NotApplicable(
            f"job {job.id} trained {job.model!r}, which does not answer at the endpoint {chosen.endpoint!r} within "
            f"{chosen.deploy_minutes:g} minutes ({reason}): deploy it there, then ask for a new student",
            charged_usd=cost,
        )
    try:
        judged = judge_student(student, sample, data.judge, data.unreported)
    except StudentError as error:
        return NotApplicable(
            f"job {job.id} trained {job.model!r}, which cannot be validated: {error}", charged_usd=cost
        )
    result = calibrate(judged)
    student = student.with_calibration(result.calibration)
    return TrainedStudent(
        student,
        student.to_files(),
        result.validation_calls,
        {"provider": chosen.provider, "epochs": chosen.epochs, "job": job.id, "seed": data.seed},
        base_model=chosen.base,
        metrics={**result.metrics, "training": {"job": job.id, "model": name, "cost_usd": format(price, "f")}},
        charged_usd=cost + charged(judged),
    )


async def _wait_until_served(student: FewShotStudent, example: Example, chosen: FineTuningSettings) -> str | None:
    """Ask the trained model until it answers; return why it does not, None once it does."""
    ends = time.monotonic() + chosen.deploy_minutes * 60
    try:
        while True:
            try:
                await student.answer([example.request])
            except (StudentError, ArtifactError) as error:
                if time.monotonic() > ends:
                    return str(error)
                await asyncio.sleep(chosen.poll_s)
            else:
                return None
    finally:
        await close_student(student)
