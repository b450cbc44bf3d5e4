"""Engines of LoRA students under test: made alike, looked into and broken each in its own way."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Protocol

from tests.support.tcp_proxy import TcpProxy

from understudies.students.lora.engine import EngineKind, LoraEngine
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.vllm import VllmEngine
from understudies.students.lora.vllm_api import VllmApi

PREFIX = "understudies-"


class EngineHarness(Protocol):
    """Makes engines of one kind."""

    kind: EngineKind

    def make(self, **settings: Any) -> LoraEngine:
        """An engine, closed with the harness."""
        ...

    async def loaded(self, engine: LoraEngine) -> set[str]:
        """Names of the adapters that are loaded now."""
        ...

    async def break_down(self, engine: LoraEngine) -> None:
        """What serves fails."""
        ...

    async def mend(self) -> None:
        """What serves can serve again."""
        ...

    async def close(self) -> None:
        """Close all engines."""
        ...


class LlamaCppHarness:
    """Engines with children of their own."""

    kind: EngineKind = "llama.cpp"

    def __init__(self, base: Path) -> None:
        self._base = base
        self._engines: list[LlamaCppEngine] = []

    def make(self, **settings: Any) -> LoraEngine:
        options = {"slots": 4, "slot_tokens": 256, "engine_threads": 1, "restart_delay_s": 0.01, **settings}
        engine = LlamaCppEngine(LoraServingSettings(base=str(self._base), **options))
        self._engines.append(engine)
        return engine

    async def loaded(self, engine: LoraEngine) -> set[str]:
        assert isinstance(engine, LlamaCppEngine)
        return set(engine._server.ids) if engine._server else set()

    async def break_down(self, engine: LoraEngine) -> None:
        assert isinstance(engine, LlamaCppEngine)
        assert engine._server is not None
        os.kill(engine._server.pid, signal.SIGKILL)
        await asyncio.to_thread(engine._server._process.wait)

    async def mend(self) -> None:
        """It starts again by itself."""

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()


class VllmHarness:
    """Engines of one server, each by a line that can be cut."""

    kind: EngineKind = "vllm"

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._engines: list[VllmEngine] = []
        self._line = TcpProxy(url.removeprefix("http://"))

    async def open(self) -> None:
        """Open the line."""
        await self._line.set_state("open")

    def make(self, **settings: Any) -> LoraEngine:
        options = {"answer_timeout_s": 120, "restart_delay_s": 0.01, **settings}
        url = f"http://{self._line.address}/v1"
        engine = VllmEngine(LoraServingSettings(vllm_url=url, vllm_adapters=self._folder, **options))
        self._engines.append(engine)
        return engine

    async def loaded(self, engine: LoraEngine) -> set[str]:
        cards = await VllmApi(self._url, None, 30).models()
        return {card.id.removeprefix(PREFIX) for card in cards if card.parent is not None}

    async def break_down(self, engine: LoraEngine) -> None:
        await self._line.set_state("refused")

    async def mend(self) -> None:
        await self._line.set_state("open")

    async def close(self) -> None:
        await self.mend()
        for engine in self._engines:
            await engine.close()
        await self._line.set_state("refused")
