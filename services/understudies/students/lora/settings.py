"""Define the settings with which LoRA students are served."""

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class LoraServingSettings(BaseSettings):
    """Settings of the engine that serves LoRA students, from the environment, prefix `UNDERSTUDIES_LORA_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_LORA_", frozen=True)

    base: str | None = Field(
        default=None, description="base model: a folder with a GGUF file, a GGUF file, or a hub id; the one trained on"
    )
    adapters: int = Field(
        default=8, gt=0, le=64, description="most adapters in memory; beyond them the least recently used one leaves"
    )
    slots: int = Field(default=4, gt=0, le=256, description="answers generated at the same time")
    slot_tokens: int = Field(default=2048, ge=64, description="longest prompt and answer together")
    engine_threads: int | None = Field(
        default=None, gt=0, description="threads of the engine; unset: half of the cores, as more wait for each other"
    )
    start_timeout_s: float = Field(default=120.0, gt=0, description="longest start of the engine with its adapters")
    answer_timeout_s: float = Field(default=30.0, gt=0, description="longest wait for an answer")
    restart_delay_s: float = Field(
        default=1.0, gt=0, description="wait before a failed engine is tried again; doubles up to a minute"
    )
    vllm_url: str | None = Field(
        default=None, description="vLLM servers of the base, separated by commas; unset: llama.cpp serves"
    )
    vllm_api_key: SecretStr | None = Field(default=None, description="key of these servers, sent as a bearer token")
    vllm_adapters: Path | None = Field(default=None, description="folder of adapters that these servers see too")
    vllm_adapters_mount: str | None = Field(
        default=None, description="path of that folder as the servers see it; unset: the same path"
    )
    vllm_concurrency: int = Field(default=256, gt=0, description="most concurrent calls to one server; others wait")

    @property
    def vllm_urls(self) -> tuple[str, ...]:
        """The servers' URLs, without `/v1`."""
        urls = (one.strip().rstrip("/").removesuffix("/v1") for one in (self.vllm_url or "").split(","))
        return tuple(dict.fromkeys(filter(None, urls)))

    @property
    def threads(self) -> int:
        """The number of threads of the engine.

        llama.cpp's threads meet after every operation: on a core that another process uses, all of them wait.
        """
        return self.engine_threads or max(1, (os.cpu_count() or 1) // 2)
