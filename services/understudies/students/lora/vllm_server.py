"""Serve adapters by one vLLM server, which runs on its own."""

import asyncio
import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import ConfigurationError
from understudies.students.base import StudentError
from understudies.students.endpoint.client import ChatClient, ProgressCallback
from understudies.students.endpoint.connection_pool import EndpointPool, EndpointUnavailable, ModelNotFound
from understudies.students.endpoint.generation import Generation
from understudies.students.endpoint.settings import Endpoint
from understudies.students.lora.adapter import read_adapter
from understudies.students.lora.adapter_folder import PREFIX, AdapterFolder
from understudies.students.lora.base_model import find_base
from understudies.students.lora.engine import ServedAdapter
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm_api import ModelCard, VllmApi

_MAX_DELAY_S: Final = 60.0
_REFUSED_FOR_S: Final = 60.0
"""Time for which an adapter that could not be loaded is not tried again."""

_log = logging.getLogger(__name__)


class VllmServer:
    """One server: what this process has loaded there, and whether it answered lately.

    Other processes load and unload adapters there as well. An adapter that is gone, as after a restart of the server,
    is loaded again by the call that finds out.
    """

    def __init__(self, url: str, settings: LoraServingSettings, folder: AdapterFolder) -> None:
        self.url = url
        self.calls = 0
        self._settings = settings
        self._folder = folder
        self._api = VllmApi(url, settings.vllm_api_key, settings.start_timeout_s)
        endpoint = Endpoint(
            base_url=f"{url}/v1",
            model=f"vLLM at {url}",
            api_key=settings.vllm_api_key,
            timeout_seconds=settings.answer_timeout_s,
            concurrency=settings.vllm_concurrency,
            streamed="always",
        )
        self._pool = EndpointPool(endpoint)
        self._chat = ChatClient(endpoint, self._pool)
        self._adapters: OrderedDict[str, ServedAdapter] = OrderedDict()
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, tuple[float, str]] = {}
        self._failures = 0
        self._retry_at = 0.0

    @property
    def is_down(self) -> bool:
        """Whether it did not answer lately, and has not answered since."""
        return self._failures > 0

    def is_due(self) -> bool:
        """Return whether it may be asked: it answers, or has been left alone for long enough."""
        return not self._failures or asyncio.get_running_loop().time() >= self._retry_at

    async def ensure_loaded(self, adapter: ServedAdapter) -> None:
        """Load an adapter unless it is there; raises ArtifactError if that is refused, StudentError if it fails now."""
        if adapter.name in self._adapters:
            self._adapters.move_to_end(adapter.name)
            return
        load = self._loads.get(adapter.name)
        if load is None:
            load = self._loads[adapter.name] = asyncio.ensure_future(self._load(adapter))
            load.add_done_callback(lambda done: self._end_load(adapter.name, done))
        # Goes on if this caller gives up, or an adapter that takes long to load would never be loaded.
        await asyncio.shield(load)

    async def complete(
        self, adapter: ServedAdapter, body: dict[str, Any], on_progress: ProgressCallback | None
    ) -> Generation:
        """Return the answer of an adapter; raises StudentError."""
        try:
            try:
                generation = await self._chat.complete(body, on_progress)
            except ModelNotFound:
                self._adapters.pop(adapter.name, None)
                await self.ensure_loaded(adapter)
                generation = await self._chat.complete(body, on_progress)
        except EndpointUnavailable:
            self.note_failure()
            raise
        self._failures = 0
        return generation

    async def unload(self, name: str) -> None:
        """Unload an adapter, if this process loaded it; with the last one, connections are closed."""
        if self._adapters.pop(name, None) is None:
            return
        try:
            await self._api.unload(f"{PREFIX}{name}")
        except StudentError as error:
            _log.warning("an adapter stays loaded: %s", error)
        if not self._adapters:
            # They belong to the event loop, which may end when its students are closed.
            await self._pool.close()

    async def close(self) -> None:
        """Unload what this process loaded, and close the connections once the calls in progress have ended."""
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        await self._pool.close()
        for name in list(self._adapters):
            await self.unload(name)

    def note_failure(self) -> None:
        """Leave the server alone for a while, twice as long after each failure in a row."""
        now = asyncio.get_running_loop().time()
        if self.is_due():
            self._failures += 1
            delay = min(_MAX_DELAY_S, self._settings.restart_delay_s * 2 ** (self._failures - 1))
            self._retry_at = now + delay
            _log.error("vLLM at %s does not answer; it is asked again in %g s", self.url, delay)

    def _end_load(self, name: str, done: asyncio.Task[None]) -> None:
        self._loads.pop(name, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("an adapter is not served: %s", error)

    async def _load(self, adapter: ServedAdapter) -> None:
        now = asyncio.get_running_loop().time()
        until, reason = self._refused.get(adapter.name, (0.0, ""))
        if now < until:
            raise ArtifactError(reason)
        try:
            await self._check_and_load(adapter)
        except ArtifactError as error:
            self._refused[adapter.name] = (now + _REFUSED_FOR_S, str(error))
            raise
        except EndpointUnavailable:
            self.note_failure()
            raise
        except OSError as error:
            raise StudentError(f"the folder UNDERSTUDIES_LORA_VLLM_ADAPTERS cannot be written: {error}") from error
        self._failures = 0
        self._adapters[adapter.name] = adapter
        while len(self._adapters) > self._settings.adapters:
            await self.unload(next(iter(self._adapters)))

    async def _check_and_load(self, adapter: ServedAdapter) -> None:
        # vLLM itself would take an adapter of another base, and answer by what is left of both.
        await asyncio.to_thread(read_adapter, adapter.files)
        cards = await self._api.models()
        await asyncio.to_thread(check_base, self.url, cards, adapter)
        await asyncio.to_thread(self._folder.write, adapter)
        name, location = f"{PREFIX}{adapter.name}", self._folder.location(adapter)
        if not _is_listed(cards, name, location):
            try:
                await self._api.load(name, location)
            except ArtifactError:
                # Another process may have loaded it in between.
                if not _is_listed(await self._api.models(), name, location):
                    raise
        await asyncio.to_thread(self._folder.sweep, {card.id for card in cards})


def _is_listed(cards: list[ModelCard], name: str, location: str) -> bool:
    """Return whether an adapter is loaded; raises ArtifactError if its name stands for another path."""
    card = next((card for card in cards if card.id == name), None)
    if card is not None and card.root != location:
        raise ArtifactError(f"{name!r} is loaded from {card.root!r} instead of {location!r}: unload it from vLLM")
    return card is not None


def check_base(url: str, cards: list[ModelCard], adapter: ServedAdapter) -> None:
    """Check that a server's base is the adapter's: by content if it is on this machine, else by name."""
    bases = [card for card in cards if card.parent is None]
    local = next((card.root for card in bases if card.root and Path(card.root).exists()), None)
    if local is not None:
        try:
            digest = find_base(local).weights_digest
        except (ConfigurationError, OSError) as error:
            raise ArtifactError(f"the base model of vLLM at {url} cannot be read: {error}") from error
        if digest != adapter.base_digest:
            raise ArtifactError(
                f"the adapter was trained on a base with digest {adapter.base_digest[:12]!r}, and vLLM at {url} serves "
                f"{local!r}, which is {digest[:12]!r}: serve the base {adapter.base!r} that it was trained on"
            )
        return
    names = {name for card in bases for name in (card.id, card.root) if name}
    if adapter.base not in names:
        raise ArtifactError(
            f"the adapter was trained on the base {adapter.base!r}, and vLLM at {url} serves {sorted(names)}: if "
            f"that is the same, start it with --served-model-name {adapter.base!r}"
        )
