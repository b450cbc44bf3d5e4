"""Speak the fine-tuning APIs: OpenAI's, which Bedrock and others share, Together's, and Fireworks'."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from understudies.datasets.export import ExportFormat
from understudies.trainer.fine_tuning.http import ProviderClient, ProviderError
from understudies.trainer.fine_tuning.job import Job, JobOrder, JobState

_NANO: Final = Decimal(10) ** 9
_LISTED: Final = 100
_LONGEST_REASON: Final = 300


class FineTuningProvider(Protocol):
    """API of a provider; its methods raise as those of ProviderClient do."""

    form: ExportFormat

    async def find_file(self, name: str, size: int) -> str | None:
        """Return the id of a whole file that was uploaded under this name, if there is one."""
        ...

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its id."""
        ...

    async def is_file_ready(self, file: str) -> bool:
        """Return whether a file may be trained on; raises ProviderError if the provider rejects it."""
        ...

    async def delete_file(self, file: str) -> None:
        """Delete an uploaded file."""
        ...

    async def estimate(self, order: JobOrder) -> Decimal | None:
        """Return the provider's estimate of a job's price in US dollars; None if it gives none."""
        ...

    async def create(self, order: JobOrder) -> Job:
        """Begin a job."""
        ...

    async def find_job(self, training_file: str) -> Job | None:
        """Return the job that trains on a file, if one was begun."""
        ...

    async def job(self, id: str) -> Job:
        """Return a job as it stands."""
        ...

    async def last_event(self, id: str) -> str:
        """Return what the job's last event says; empty if nothing."""
        ...

    async def cancel(self, id: str) -> None:
        """Cancel a job."""
        ...

    async def deploy(self, model: str) -> str:
        """Have a trained model served, where that is not done by itself; returns the name by which to ask it."""
        ...


class OpenAIProvider:
    """OpenAI's API: `/files` and `/fine_tuning/jobs`."""

    form: ExportFormat = "openai"
    _states: Final[Mapping[str, JobState]] = {"succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled"}

    def __init__(self, client: ProviderClient) -> None:
        self._client = client

    async def find_file(self, name: str, size: int) -> str | None:
        """Return the id of a whole file that was uploaded under this name, if there is one."""
        listed = await self._client.get("/files", {"purpose": "fine-tune"})
        for file in _items(listed):
            if file.get("filename") == name and file.get("bytes") == size and file.get("status") != "error":
                return _text(file, "id")
        return None

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its id."""
        return _text(await self._client.upload("/files", {"purpose": "fine-tune"}, name, content), "id")

    async def is_file_ready(self, file: str) -> bool:
        """Return whether a file may be trained on; raises ProviderError if the provider rejects it."""
        found = await self._client.get(f"/files/{file}")
        if found.get("status") == "error":
            raise ProviderError(f"the file was rejected{_said(found.get('status_details'))}")
        # The status is deprecated: a server that has none validates the file with the job.
        return found.get("status") in (None, "processed", "uploaded")

    async def delete_file(self, file: str) -> None:
        """Delete an uploaded file."""
        await self._client.delete(f"/files/{file}")

    async def estimate(self, order: JobOrder) -> Decimal | None:
        """Return None: the API estimates no price."""
        return None

    async def create(self, order: JobOrder) -> Job:
        """Begin a job."""
        body: dict[str, Any] = {
            "model": order.base,
            "training_file": order.training_file,
            "seed": order.seed,
            "suffix": order.suffix,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": order.epochs}}},
        }
        if order.validation_file is not None:
            body["validation_file"] = order.validation_file
        return self._job(await self._client.post("/fine_tuning/jobs", body))

    async def find_job(self, training_file: str) -> Job | None:
        """Return the job that trains on a file, if one was begun."""
        after: dict[str, str] = {}
        while True:
            page = await self._client.get("/fine_tuning/jobs", {"limit": str(_LISTED), **after})
            jobs = list(_items(page))
            for body in jobs:
                if body.get("training_file") == training_file:
                    return self._job(body)
            if not jobs or page.get("has_more") is not True:
                return None
            after = {"after": _text(jobs[-1], "id")}

    async def job(self, id: str) -> Job:
        """Return a job as it stands."""
        return self._job(await self._client.get(f"/fine_tuning/jobs/{id}"))

    async def last_event(self, id: str) -> str:
        """Return what the job's last event says; empty if nothing."""
        events = list(_items(await self._client.get(f"/fine_tuning/jobs/{id}/events", {"limit": "10"})))
        latest = max(events, key=lambda event: _whole(event.get("created_at")), default={})
        return str(latest.get("message") or "")[:_LONGEST_REASON]

    async def cancel(self, id: str) -> None:
        """Cancel a job."""
        await self._client.post(f"/fine_tuning/jobs/{id}/cancel", {})

    async def deploy(self, model: str) -> str:
        """Return the model's name: what was trained is served by it."""
        return model

    def _job(self, body: Mapping[str, Any]) -> Job:
        status = _text(body, "status")
        error = body.get("error")
        tokens = body.get("trained_tokens")
        return Job(
            _text(body, "id"),
            self._states.get(status, "running"),
            status,
            model=body.get("fine_tuned_model") or None,
            trained_tokens=tokens if isinstance(tokens, int) else None,
            reason=_said(error.get("message")) if isinstance(error, dict) else "",
        )


class TogetherProvider:
    """Together's API: `/files` and `/fine-tunes`."""

    form: ExportFormat = "together"
    _states: Final[Mapping[str, JobState]] = {
        "completed": "succeeded",
        "error": "failed",
        "user_error": "failed",
        "cancelled": "cancelled",
    }

    def __init__(self, client: ProviderClient) -> None:
        self._client = client

    async def find_file(self, name: str, size: int) -> str | None:
        """Return the id of a whole file that was uploaded under this name, if there is one."""
        for file in _items(await self._client.get("/files")):
            bad = file.get("processing_status") in ("FAILED", "INVALID_FORMAT")
            if file.get("filename") == name and file.get("bytes") == size and not bad:
                return _text(file, "id")
        return None

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its id."""
        fields = {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}
        return _text(await self._client.upload("/files/upload", fields, name, content), "id")

    async def is_file_ready(self, file: str) -> bool:
        """Return whether a file may be trained on; raises ProviderError if the provider rejects it."""
        found = await self._client.get(f"/files/{file}")
        if found.get("processing_status") in ("FAILED", "INVALID_FORMAT"):
            report = found.get("validation_report")
            raise ProviderError(
                f"the file was rejected{_said(report.get('error') if isinstance(report, dict) else None)}"
            )
        return found.get("processing_status") in (None, "COMPLETED")

    async def delete_file(self, file: str) -> None:
        """Delete an uploaded file."""
        await self._client.delete(f"/files/{file}")

    async def estimate(self, order: JobOrder) -> Decimal | None:
        """Return the provider's estimate of a job's price in US dollars; None if it gives none."""
        body = {
            key: value for key, value in self._body(order).items() if key not in ("suffix", "random_seed", "packing")
        }
        found = await self._client.post("/fine-tunes/estimate-price", body)
        if found.get("allowed_to_proceed") is False:
            raise ProviderError("the credit at Together is below the estimated price")
        price = found.get("estimated_total_price")
        return Decimal(str(price)) if _is_number(price) else None

    async def create(self, order: JobOrder) -> Job:
        """Begin a job."""
        return self._job(await self._client.post("/fine-tunes", self._body(order)))

    async def find_job(self, training_file: str) -> Job | None:
        """Return the job that trains on a file, if one was begun."""
        for body in _items(await self._client.get("/fine-tunes")):
            if body.get("training_file") == training_file:
                return self._job(body)
        return None

    async def job(self, id: str) -> Job:
        """Return a job as it stands."""
        return self._job(await self._client.get(f"/fine-tunes/{id}"))

    async def last_event(self, id: str) -> str:
        """Return what the job's last event says; empty if nothing."""
        events = list(_items(await self._client.get(f"/fine-tunes/{id}/events")))
        latest = max(events, key=lambda event: str(event.get("created_at") or ""), default={})
        return str(latest.get("message") or "")[:_LONGEST_REASON]

    async def cancel(self, id: str) -> None:
        """Cancel a job."""
        await self._client.post(f"/fine-tunes/{id}/cancel", {})

    async def deploy(self, model: str) -> str:
        """Return the model's name: an endpoint for it, which is paid by the hour, is for a person to make."""
        return model

    def _body(self, order: JobOrder) -> dict[str, Any]:
        return {
            "model": order.base,
            "training_file": order.training_file,
            **({} if order.validation_file is None else {"validation_file": order.validation_file, "n_evals": 1}),
            "n_epochs": order.epochs,
            "suffix": order.suffix,
            "random_seed": order.seed,
            "training_method": {"method": "sft", "train_on_inputs": False},
        }

    def _job(self, body: Mapping[str, Any]) -> Job:
        status = _text(body, "status")
        price, tokens = body.get("total_price"), body.get("token_count")
        name = body.get("model_output_name") or body.get("x_model_output_name")
        return Job(
            _text(body, "id"),
            self._states.get(status, "running"),
            status,
            model=name if isinstance(name, str) and name else None,
            # In billionths of a dollar, as the provider's own command reads it.
            cost_usd=Decimal(str(price)) / _NANO if price and _is_number(price) and price > 0 else None,
            trained_tokens=tokens if isinstance(tokens, int) else None,
        )


class FireworksProvider:
    """Fireworks' API below `/v1/accounts/ACCOUNT`: `/datasets`, `/supervisedFineTuningJobs`, `/deployedModels`."""

    form: ExportFormat = "fireworks"
    _states: Final[Mapping[str, JobState]] = {
        "JOB_STATE_COMPLETED": "succeeded",
        "JOB_STATE_FAILED": "failed",
        "JOB_STATE_EXPIRED": "failed",
        "JOB_STATE_CANCELLED": "cancelled",
    }

    def __init__(self, client: ProviderClient, deployment: str | None = None) -> None:
        self._client = client
        self._deployment = deployment

    async def find_file(self, name: str, size: int) -> str | None:
        """Return the id of a whole file that was uploaded under this name, if there is one."""
        try:
            found = await self._client.get(f"/datasets/{_id(name)}")
        except ProviderError as error:
            if error.status == 404:
                return None
            raise
        return _id(name) if found.get("state") == "READY" else None

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its id: ours, so that a second upload after a lost answer replaces the first."""
        dataset = _id(name)
        try:
            await self._client.get(f"/datasets/{dataset}")
        except ProviderError as error:
            if error.status != 404:
                raise
            body = {"datasetId": dataset, "dataset": {"userUploaded": {}, "format": "CHAT"}}
            await self._client.post("/datasets", body)
        await self._client.upload(f"/datasets/{dataset}:upload", {}, name, content)
        return dataset

    async def is_file_ready(self, file: str) -> bool:
        """Return whether a file may be trained on; raises ProviderError if the provider rejects it."""
        found = await self._client.get(f"/datasets/{file}")
        status = found.get("status")
        if isinstance(status, dict) and status.get("code") not in (None, "OK"):
            raise ProviderError(f"the file was rejected{_said(status.get('message'))}")
        return found.get("state") == "READY"

    async def delete_file(self, file: str) -> None:
        """Delete an uploaded file."""
        await self._client.delete(f"/datasets/{file}")

    async def estimate(self, order: JobOrder) -> Decimal | None:
        """Return None: a price is estimated only for a job that was begun."""
        return None

    async def create(self, order: JobOrder) -> Job:
        """Begin a job under an id of ours: beginning it again after a lost answer finds the first."""
        account = self._client.base_url.rpartition("/v1/")[2]
        body: dict[str, Any] = {
            "baseModel": order.base,
            "dataset": f"{account}/datasets/{order.training_file}",
            "displayName": order.suffix,
            "outputModel": f"{account}/models/{order.suffix}",
            "epochs": order.epochs,
        }
        if order.validation_file is not None:
            body["evaluationDataset"] = f"{account}/datasets/{order.validation_file}"
        path = f"/supervisedFineTuningJobs?supervisedFineTuningJobId={_job_of(order.training_file)}"
        return self._job(await self._client.post(path, body))

    async def find_job(self, training_file: str) -> Job | None:
        """Return the job that trains on a file, if one was begun."""
        try:
            return await self.job(_job_of(training_file))
        except ProviderError as error:
            if error.status == 404:
                return None
            raise

    async def job(self, id: str) -> Job:
        """Return a job as it stands."""
        return self._job(await self._client.get(f"/supervisedFineTuningJobs/{id}"))

    async def last_event(self, id: str) -> str:
        """Return how far the job has come: there are no events."""
        progress = (await self._client.get(f"/supervisedFineTuningJobs/{id}")).get("jobProgress")
        return f"{progress['percent']}%" if isinstance(progress, dict) and _is_number(progress.get("percent")) else ""

    async def cancel(self, id: str) -> None:
        """Cancel a job."""
        await self._client.post(f"/supervisedFineTuningJobs/{id}:cancel", {})

    async def deploy(self, model: str) -> str:
        """Load the adapter onto the deployment of the settings; returns the name by which to ask it there."""
        if self._deployment is None:
            raise ProviderError(
                f"{model} was trained, and serving it needs a deployment of its base model: name it in "
                "UNDERSTUDIES_FINE_TUNING_DEPLOYMENT"
            )
        listed = await self._client.get("/deployedModels", {"pageSize": "200"})
        named = (model, self._deployment)
        if all((one.get("model"), one.get("deployment")) != named for one in _items(listed, "deployedModels")):
            await self._client.post("/deployedModels", {"model": model, "deployment": self._deployment})
        return f"{model}#{self._deployment}"

    def _job(self, body: Mapping[str, Any]) -> Job:
        status = _text(body, "state")
        told = body.get("status")
        model = body.get("outputModel")
        return Job(
            _text(body, "name").rpartition("/")[2],
            self._states.get(status, "running"),
            status.removeprefix("JOB_STATE_").lower(),
            model=model if isinstance(model, str) and model else None,
            cost_usd=_money(body.get("estimatedCost")),
            reason=_said(told.get("message")) if isinstance(told, dict) and told.get("code") != "OK" else "",
        )


def _items(body: Mapping[str, Any], field: str = "data") -> Iterator[Mapping[str, Any]]:
    listed = body.get(field)
    yield from (item for item in listed or () if isinstance(item, dict)) if isinstance(listed, list) else ()


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise ProviderError(f"the provider's answer has no {field!r}; check the provider and the URL of the API")
    return value


def _said(reason: Any) -> str:
    return f": {reason[:_LONGEST_REASON]}" if isinstance(reason, str) and reason else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    return int(value) if _is_number(value) else 0


def _money(cost: Any) -> Decimal | None:
    """Return an amount of Google's `Money` in US dollars; None if it is none, or of another currency."""
    if not isinstance(cost, dict) or cost.get("currencyCode", "USD") != "USD":
        return None
    try:
        return Decimal(str(cost.get("units") or 0)) + Decimal(str(cost.get("nanos") or 0)) / _NANO
    except ArithmeticError:
        return None


def _id(name: str) -> str:
    """Return a file's name as an id: letters, digits and hyphens."""
    return name.rpartition(".")[0].replace("_", "-").lower()


def _job_of(training_file: str) -> str:
    return training_file.removesuffix("-train")
