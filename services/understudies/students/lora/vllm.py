"""Serve adapters by vLLM servers that run on their own, which load and unload adapters at run time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import settings_from
from understudies.students.base import StudentError
from understudies.students.endpoint.client import ProgressCallback
from understudies.students.endpoint.connection_pool import EndpointUnavailable
from understudies.students.endpoint.generation import Generation
from understudies.students.lora.adapter_folder import PREFIX, AdapterFolder
from understudies.students.lora.base_model import LoraBase
from understudies.students.lora.engine import AdapterRoute, EngineKind, ServedAdapter
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm_server import VllmServer

# A base's generation_config.json may set this, and training knows nothing of it.
_AS_TRAINED: Final = {"repetition_penalty": 1.0}


class VllmEngine:
    """Engine of one or several vLLM servers of the same base; each call goes to the one with the fewest in progress.

    A new adapter is loaded beside the others, without a restart. Adapters are handed over in a folder that the servers
    see too.
    """

    kind: EngineKind = "vllm"

    def __init__(self, settings: LoraServingSettings | None = None) -> None:
        settings = settings or settings_from(LoraServingSettings)
        if settings.vllm_adapters is None:
            raise ConfigurationError(
                "vLLM reads adapters from a folder: set UNDERSTUDIES_LORA_VLLM_ADAPTERS to one that it sees too"
            )
        folder = AdapterFolder(settings.vllm_adapters, settings.vllm_adapters_mount)
        self._servers = [VllmServer(url, settings, folder) for url in settings.vllm_urls]

    def base_digest(self, base: LoraBase) -> str:
        """Return the SHA-256 over the safetensors files."""
        return base.weights_digest

    @asynccontextmanager
    async def route(self, adapter: ServedAdapter) -> AsyncIterator[AdapterRoute]:
        """Return the route of an adapter, as `LoraEngine` says."""
        server = await self._server_with(adapter)
        try:
            yield AdapterRoute(_AdapterChat(server, adapter), {"model": f"{PREFIX}{adapter.name}", **_AS_TRAINED})
        finally:
            server.calls -= 1

    async def unload(self, name: str) -> None:
        """Unload a retired adapter; calls in progress go on."""
        await asyncio.gather(*(server.unload(name) for server in self._servers))

    def is_healthy(self) -> bool:
        """Return whether a server answered when it was last asked, or none has been asked yet."""
        return any(not server.is_down for server in self._servers)

    async def close(self) -> None:
        """Unload the adapters once the calls in progress have ended; a later call loads them again."""
        await asyncio.gather(*(server.close() for server in self._servers))

    async def _server_with(self, adapter: ServedAdapter) -> VllmServer:
        """Return the least busy server that answers, with the adapter loaded and a call begun."""
        failure = StudentError("no vLLM server answers; each is asked again within a minute")
        for server in sorted((one for one in self._servers if one.is_due()), key=lambda one: one.calls):
            # Counted at once, or calls that begin together would all go to the same one.
            server.calls += 1
            try:
                await server.ensure_loaded(adapter)
            except EndpointUnavailable as error:
                server.calls -= 1
                failure = error
            except BaseException:
                server.calls -= 1
                raise
            else:
                return server
        raise failure


class _AdapterChat:
    """Endpoint of one adapter at one server."""

    def __init__(self, server: VllmServer, adapter: ServedAdapter) -> None:
        self._server = server
        self._adapter = adapter

    async def complete(self, body: dict[str, Any], on_progress: ProgressCallback | None = None) -> Generation:
        """Return the complete answer; raises StudentError for any failure."""
        return await self._server.complete(self._adapter, body, on_progress)
