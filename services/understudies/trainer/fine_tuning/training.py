"""Take a fine-tuning job from the examples to its end, once, however often it is interrupted."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from understudies.events import usd, usd_text
from understudies.trainer.fine_tuning.http import ProviderError, ProviderUnavailable, wait_before_retry
from understudies.trainer.fine_tuning.job import Job, JobOrder
from understudies.trainer.fine_tuning.providers import FineTuningProvider
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.journal import Journal

_log = logging.getLogger(__name__)
_MILLION: Final = 1_000_000
_BYTES_PER_TOKEN: Final = 3
"""Fewer than most tokenizers take, so that what is estimated is rather too much."""
_FILES, _JOB, _INTENT, _RESULT = "files", "job", "intent", "result"

T = TypeVar("T")


class JobFailed(Exception):  # noqa: N818 - named by what happened
    """Report a training that came to nothing, why, and what it was charged in US dollars."""

    def __init__(self, reason: str, charged_usd: Decimal = Decimal(0)) -> None:
        super().__init__(reason)
        self.charged_usd = charged_usd


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Content of the files to train and to validate on, and the name that they and what comes of them have."""

    name: str
    train: bytes
    validation: bytes


class FineTuning:
    """One fine-tuning: its journal says how far it has come, so that a restart goes on and never begins a second job.

    Whether a job was begun whose answer was lost is found out by its training file, which no other job has.
    """

    def __init__(
        self,
        provider: FineTuningProvider,
        settings: FineTuningSettings,
        journal: Journal,
        files: TrainingFiles,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        assert settings.base is not None
        self._provider = provider
        self._settings = settings
        self._base = settings.base
        self._journal = journal
        self._files = files
        self._seed = seed
        self._report = report
        self._ends = time.monotonic() + settings.max_hours * 3600

    async def run(self) -> Job:
        """Return the job once it has succeeded; raises JobFailed, or RetryLater while the journal is unavailable."""
        if (done := self._journal.read(_RESULT)) is not None:
            return Job(
                done["id"], "succeeded", "succeeded", model=done["model"], cost_usd=Decimal(str(done["cost_usd"]))
            )
        try:
            order = await self._upload()
            try:
                job = await self._follow(await self._begin(order))
            except (JobFailed, ProviderError):
                await self._clean_up(order)
                raise
            await self._clean_up(order)
            return job
        except ProviderError as error:
            raise JobFailed(str(error)) from error

    async def _upload(self) -> JobOrder:
        noted = self._journal.read(_FILES)
        if noted is None:
            named = (("train", self._files.train), ("validation", self._files.validation))
            uploaded: dict[str, Any] = {
                part: await self._upload_one(f"{self._files.name}-{part}.jsonl", content) if content else None
                for part, content in named
            }
            self._journal.write(_FILES, uploaded)
            noted = uploaded
        return JobOrder(
            base=self._base,
            training_file=noted["train"],
            validation_file=noted["validation"],
            epochs=self._settings.epochs,
            seed=self._seed,
            suffix=self._files.name,
        )

    async def _upload_one(self, name: str, content: bytes) -> str:
        """Upload a file, or find it where an earlier upload arrived whose answer did not."""
        self._report(f"api_fine_tune, uploading {len(content):,} bytes")

        async def find_or_upload() -> str:
            found = await self._provider.find_file(name, len(content))
            return found or await self._provider.upload(name, content)

        return await self._patiently(find_or_upload)

    async def _begin(self, order: JobOrder) -> Job:
        """Begin the job unless it was begun; its id is noted before it is followed."""
        if (noted := self._journal.read(_JOB)) is not None:
            return await self._patiently(lambda: self._provider.job(noted["id"]))
        for file in (order.training_file, order.validation_file):
            await self._wait_ready(file)
        was_tried = self._journal.read(_INTENT) is not None
        job = await self._patiently(lambda: self._provider.find_job(order.training_file))
        if job is None and was_tried:
            # A list may be late: what was begun just before a restart is looked for twice.
            await asyncio.sleep(self._settings.poll_s)
            job = await self._patiently(lambda: self._provider.find_job(order.training_file))
        if job is None:
            await self._check_price(order)
            self._journal.write(_INTENT, {"training_file": order.training_file})
            job = await self._create(order)
        self._journal.write(_JOB, {"id": job.id})
        return job

    async def _wait_ready(self, file: str | None) -> None:
        while file is not None and not await self._patiently(lambda: self._provider.is_file_ready(file)):
            self._check_time(f"the provider has not processed file {file}")
            await asyncio.sleep(self._settings.poll_s)

    async def _check_price(self, order: JobOrder) -> None:
        price = await self._patiently(lambda: self._provider.estimate(order))
        if price is None:
            rate = self._settings.usd_per_million_training_tokens
            if rate is None:
                raise JobFailed(
                    "the provider tells no price beforehand: set "
                    "UNDERSTUDIES_FINE_TUNING_USD_PER_MILLION_TRAINING_TOKENS, so that the cap can be kept"
                )
            tokens = -(-len(self._files.train) // _BYTES_PER_TOKEN) * order.epochs
            price = rate * tokens / _MILLION
        if price > self._settings.max_usd:
            raise JobFailed(
                f"a training is estimated at ${usd_text(usd(price))}, above the cap of ${self._settings.max_usd}: "
                "raise UNDERSTUDIES_FINE_TUNING_MAX_USD, or lower EPOCHS or MAX_EXAMPLES"
            )

    async def _create(self, order: JobOrder) -> Job:
        """Begin a job; where the answer is lost, look for it before it is begun again."""
        for attempt in range(1000):
            try:
                return await self._provider.create(order)
            except ProviderUnavailable as error:
                self._check_time(str(error))
                _log.warning("the fine-tuning job is not begun yet: %s", error)
                await wait_before_retry(error, attempt, self._settings.poll_s)
                # Busy means not done; anything else may have been done.
                if error.status != 429 and (found := await self._look_twice(order)) is not None:
                    return found
        raise JobFailed("the provider could not begin the job")

    async def _look_twice(self, order: JobOrder) -> Job | None:
        found = await self._patiently(lambda: self._provider.find_job(order.training_file))
        if found is None:
            await asyncio.sleep(self._settings.poll_s)
            found = await self._patiently(lambda: self._provider.find_job(order.training_file))
        return found

    async def _follow(self, job: Job) -> Job:
        """Look at the job until it has ended; cancel it where it takes too long, or costs too much."""
        last = ""
        while job.state == "running":
            event = await self._last_event(job.id)
            if (line := f"api_fine_tune, job {job.id}: {job.status}{f', {event}' if event else ''}") != last:
                _log.info("%s", line)
                self._report(line)
                last = line
            if job.cost_usd is not None and job.cost_usd > self._settings.max_usd:
                reason = f"it would cost ${usd_text(usd(job.cost_usd))}, above UNDERSTUDIES_FINE_TUNING_MAX_USD"
                raise await self._cancelled(job, reason)
            if time.monotonic() > self._ends:
                reason = f"it took more than {self._settings.max_hours:g} hours, UNDERSTUDIES_FINE_TUNING_MAX_HOURS"
                raise await self._cancelled(job, reason)
            await asyncio.sleep(self._settings.poll_s)
            job = await self._patiently(partial(self._provider.job, job.id))
        return self._ended(job)

    def _ended(self, job: Job) -> Job:
        cost = self._cost(job)
        if job.state != "succeeded":
            raise JobFailed(f"job {job.id} ended as {job.status}{job.reason}", cost)
        if job.model is None:
            raise JobFailed(f"job {job.id} succeeded, and the provider names no model", cost)
        self._journal.write(_RESULT, {"id": job.id, "model": job.model, "cost_usd": str(cost)})
        return replace(job, cost_usd=cost)

    def _cost(self, job: Job) -> Decimal:
        """Return what the provider charged, else its tokens at the declared price, else 0."""
        if job.cost_usd is not None:
            return job.cost_usd
        rate = self._settings.usd_per_million_training_tokens
        return rate * job.trained_tokens / _MILLION if rate is not None and job.trained_tokens else Decimal(0)

    async def _cancelled(self, job: Job, reason: str) -> JobFailed:
        """Cancel a job, and return what to raise."""
        try:
            await self._provider.cancel(job.id)
            job = await self._provider.job(job.id)
        except ProviderError as error:
            _log.warning("job %s could not be cancelled: %s", job.id, error)
            return JobFailed(f"job {job.id}: {reason}; it could NOT be cancelled ({error}): cancel it", self._cost(job))
        return JobFailed(f"job {job.id} was cancelled: {reason}", self._cost(job))

    async def _last_event(self, id: str) -> str:
        try:
            return await self._provider.last_event(id)
        except ProviderError as error:
            # Events only tell how far it is; not every server of the API has them.
            _log.debug("no events of job %s: %s", id, error)
            return ""

    async def _clean_up(self, order: JobOrder) -> None:
        """Delete the uploaded calls, which the provider needs no more."""
        for file in (order.training_file, order.validation_file):
            try:
                if file is not None:
                    await self._provider.delete_file(file)
            except ProviderError as error:
                _log.warning("the file %s of recorded calls stays with the provider, delete it there: %s", file, error)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call that may be repeated, once the provider gives one."""
        attempt = 0
        while True:
            try:
                return await call()
            except ProviderUnavailable as error:
                self._check_time(str(error))
                _log.warning("the provider is asked again: %s", error)
                await wait_before_retry(error, attempt, self._settings.poll_s)
                attempt += 1

    def _check_time(self, reason: str) -> None:
        if time.monotonic() > self._ends:
            raise JobFailed(f"{reason}; given up after {self._settings.max_hours:g} hours")
