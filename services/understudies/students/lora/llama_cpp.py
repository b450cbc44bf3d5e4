"""Serve adapters by llama.cpp, in a child process that is replaced when an adapter joins."""

import asyncio
import logging
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import settings_from
from understudies.students.base import StudentError
from understudies.students.lora.base_model import LoraBase, find_base
from understudies.students.lora.engine import AdapterRoute, EngineKind, ServedAdapter
from understudies.students.lora.gguf_adapter import GGUF_FILE
from understudies.students.lora.llama_cpp_process import ServerOptions
from understudies.students.lora.llama_cpp_server import LlamaCppServer, ServerNotStarted
from understudies.students.lora.settings import LoraServingSettings

_MAX_DELAY_S: Final = 60.0
_REFUSED_FOR_S: Final = 60.0
"""Time for which an adapter that could not be loaded is not tried again."""
_STABLE_S: Final = 60.0
"""Time after which a crash counts as the first one."""

_log = logging.getLogger(__name__)


class LlamaCppEngine:
    """Engine whose child process serves the base and some adapters, each chosen by request.

    llama.cpp loads adapters at its start alone. A new adapter therefore starts a new child, with it and with the most
    recently used ones; calls move there when it serves, and the old child ends after its last call. The base's pages
    are mapped from one file, and so are not in memory twice.
    """

    kind: EngineKind = "llama.cpp"

    def __init__(self, settings: LoraServingSettings | None = None) -> None:
        self._settings = settings or settings_from(LoraServingSettings)
        self._base: LoraBase | None = None
        self._adapters: OrderedDict[str, ServedAdapter] = OrderedDict()
        self._server: LlamaCppServer | None = None
        self._lock = asyncio.Lock()
        self._starts: dict[str, asyncio.Task[None]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._refused: dict[str, tuple[float, str]] = {}
        self._crashes = 0
        self._restart_at = 0.0

    def base_digest(self, base: LoraBase) -> str:
        """Return the SHA-256 of the GGUF file; raises ConfigurationError if there is none."""
        return base.digest

    @asynccontextmanager
    async def route(self, adapter: ServedAdapter) -> AsyncIterator[AdapterRoute]:
        """Return the route of an adapter, as `LoraEngine` says."""
        server = await self._server_with(adapter)
        try:
            # An adapter that is not listed has no effect on the answer. Adapters share the prompt cache, and what one
            # adapter computed is wrong for another.
            chosen = [{"id": server.ids[adapter.name], "scale": 1.0}]
            yield AdapterRoute(server.chat, {"lora": chosen, "cache_prompt": False})
        finally:
            server.end_call()

    async def unload(self, name: str) -> None:
        """Forget a retired adapter; without adapters, the engine stops."""
        self._adapters.pop(name, None)
        if not self._adapters:
            await self.close()

    def is_healthy(self) -> bool:
        """Return whether the child serves, or none has been needed yet."""
        return self._server is None or self._server.is_running

    async def close(self) -> None:
        """Stop once the calls in progress have ended; a later call starts again."""
        await asyncio.gather(*self._starts.values(), return_exceptions=True)
        self._replace_server(None)
        self._adapters.clear()
        await asyncio.gather(*self._stops, return_exceptions=True)
        # Locks belong to the event loop in which calls waited for them.
        self._lock = asyncio.Lock()

    async def _server_with(self, adapter: ServedAdapter) -> LlamaCppServer:
        """Return the child that serves an adapter, with a call begun."""
        while True:
            server = self._server
            if server is not None and server.is_running and adapter.name in server.ids:
                self._adapters[adapter.name] = adapter
                self._adapters.move_to_end(adapter.name)
                server.begin_call()
                return server
            start = self._starts.get(adapter.name)
            if start is None:
                start = self._starts[adapter.name] = asyncio.ensure_future(self._start(adapter))
                start.add_done_callback(lambda done: self._end_start(adapter.name, done))
            # Goes on if this caller gives up, or an adapter that takes long to load would never be loaded.
            await asyncio.shield(start)

    def _end_start(self, name: str, done: asyncio.Task[None]) -> None:
        self._starts.pop(name, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("an adapter is not served: %s", error)

    async def _start(self, adapter: ServedAdapter) -> None:
        """Start a child that also serves the adapter, and move the calls there."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            self._check_refused(adapter.name, now)
            base = await self._checked_base(adapter)
            self._note_crash(now)
            others = [one for name, one in self._adapters.items() if name != adapter.name]
            keep = [*others[max(0, len(others) - self._settings.adapters + 1) :], adapter]
            try:
                server = await self._launch(base.require_gguf().resolve(), keep)
            except ServerNotStarted as error:
                reason = f"llama.cpp cannot load the adapter {adapter.name!r} with the base {base.source!r}: {error}"
                self._refused[adapter.name] = (now + _REFUSED_FOR_S, reason)
                raise ArtifactError(reason) from error
            for name in self._adapters.keys() - server.ids.keys():
                del self._adapters[name]
            self._adapters[adapter.name] = adapter
            self._replace_server(server)

    def _check_refused(self, name: str, now: float) -> None:
        until, reason = self._refused.get(name, (0.0, ""))
        if now < until:
            raise ArtifactError(reason)

    def _note_crash(self, now: float) -> None:
        """Count a child that ended by itself; raises StudentError until it is time to start the next one."""
        server = self._server
        if server is not None and not server.is_running:
            self._crashes = 1 if now - server.started_at > _STABLE_S else self._crashes + 1
            delay = min(_MAX_DELAY_S, self._settings.restart_delay_s * 2 ** (self._crashes - 1))
            self._restart_at = now + delay
            _log.error("llama.cpp ended by itself; it is started again in %g s", delay)
            self._replace_server(None)
        if now < self._restart_at:
            raise StudentError(f"llama.cpp ended by itself, and starts again in {self._restart_at - now:.1f} s")

    async def _checked_base(self, adapter: ServedAdapter) -> LoraBase:
        if self._settings.base is None:
            raise ArtifactError("a LoRA student needs its base model: set UNDERSTUDIES_LORA_BASE to its folder or file")
        try:
            if self._base is None:
                self._base = await asyncio.to_thread(find_base, self._settings.base)
            digest = await asyncio.to_thread(lambda base: base.digest, self._base)
        except (ConfigurationError, OSError) as error:
            raise ArtifactError(f"the base model cannot be read: {error}") from error
        if digest != adapter.base_digest:
            raise ArtifactError(
                f"the adapter was trained on a base with digest {adapter.base_digest[:12]!r}, and "
                f"{self._base.source!r} is {digest[:12]!r}: set UNDERSTUDIES_LORA_BASE to the base it was trained on"
            )
        return self._base

    async def _launch(self, gguf: Path, adapters: list[ServedAdapter]) -> LlamaCppServer:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="understudies-lora-") as folder:
            paths = [Path(folder) / f"{one.name}.gguf" for one in adapters]
            for path, one in zip(paths, adapters, strict=True):
                path.write_bytes(one.files[GGUF_FILE])
            options = ServerOptions(
                base=gguf,
                adapters=tuple(paths),
                slots=settings.slots,
                slot_tokens=settings.slot_tokens,
                threads=settings.threads,
            )
            # Adapters are read whole at the start, so that their files are not needed later.
            return await LlamaCppServer.start(
                options,
                tuple(one.name for one in adapters),
                start_timeout_s=settings.start_timeout_s,
                answer_timeout_s=settings.answer_timeout_s,
            )

    def _replace_server(self, server: LlamaCppServer | None) -> None:
        """Serve by another child from now on; the old one stops after its last call."""
        old, self._server = self._server, server
        if old is not None:
            stop = asyncio.ensure_future(old.stop())
            self._stops.add(stop)
            stop.add_done_callback(self._stops.discard)
