"""Call the part of a vLLM server's API that is not chat: its models, and adapters loaded and unloaded at run time."""

from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.students.base import StudentError
from understudies.students.endpoint.connection_pool import EndpointUnavailable

_DISABLED: Final = (
    "vLLM at {url} does not load adapters at run time: start it with --enable-lora and with "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 in its environment"
)
_UNSEEN: Final = (
    "vLLM at {url} finds no adapter at {path!r}: share the folder UNDERSTUDIES_LORA_VLLM_ADAPTERS with it, and name "
    "its path there in UNDERSTUDIES_LORA_VLLM_ADAPTERS_MOUNT"
)
_LONGEST_REASON: Final = 500


class ModelCard(BaseModel):
    """Model or adapter that a server lists: an adapter has a parent; `root` is its path or hub id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    root: str | None = None
    parent: str | None = None


class _ModelList(BaseModel):
    data: list[ModelCard]


@dataclass(frozen=True, slots=True)
class VllmApi:
    """Administration of one server, at a URL without `/v1`.

    Every method raises EndpointUnavailable if the server cannot be reached, and StudentError if it fails.
    """

    url: str
    api_key: SecretStr | None
    timeout_s: float

    async def models(self) -> list[ModelCard]:
        """Return the models and adapters that the server lists."""
        status, body = await self._call("GET", "/v1/models", None)
        if status != 200:
            raise StudentError(f"{self.url} does not list its models: HTTP {status}")
        try:
            return _ModelList.model_validate(body).data
        except ValidationError as error:
            reason = f"{self.url} does not list models as vLLM does; check UNDERSTUDIES_LORA_VLLM_URL"
            raise StudentError(reason) from error

    async def load(self, name: str, path: str) -> None:
        """Load an adapter from a path of the server; raises ArtifactError, with the server's reason, if it refuses."""
        status, body = await self._call("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        if status == 200:
            return
        reason = _reason(body)
        if reason is None:
            raise StudentError(_DISABLED.format(url=self.url) if status == 404 else f"{self.url}: HTTP {status}")
        if status == 404:
            raise StudentError(_UNSEEN.format(url=self.url, path=path))
        if not await self.is_healthy():
            raise EndpointUnavailable(f"vLLM at {self.url} ended while it loaded an adapter")
        raise ArtifactError(f"{self.url} cannot load the adapter at {path!r}: {reason}")

    async def unload(self, name: str) -> None:
        """Unload an adapter, if it is loaded; calls in progress go on."""
        await self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def is_healthy(self) -> bool:
        """Return whether the server's engine runs."""
        try:
            status, _ = await self._call("GET", "/health", None)
        except StudentError:
            return False
        return status == 200

    async def _call(self, method: str, path: str, body: dict[str, str] | None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        # Rare calls, in the loop of whoever makes them: a session kept open would belong to one loop.
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.request(method, f"{self.url}{path}", json=body, allow_redirects=False) as response,
            ):
                is_json = response.content_type == "application/json"
                return response.status, await response.json() if is_json else None
        except TimeoutError as error:
            raise EndpointUnavailable(f"vLLM at {self.url} gave no answer within {self.timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EndpointUnavailable(f"vLLM at {self.url} cannot be reached: {type(error).__name__}") from error


def _reason(body: Any) -> str | None:
    """Return why a server refused; None if it is not vLLM that says so."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message[:_LONGEST_REASON] if isinstance(message, str) else None
