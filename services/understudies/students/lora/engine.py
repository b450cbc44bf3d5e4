"""Define the interface of engines, which serve many adapters of one base model."""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from understudies.students.endpoint.client import ProgressCallback
from understudies.students.endpoint.generation import Generation
from understudies.students.lora.base_model import LoraBase

EngineKind = Literal["llama.cpp", "vllm"]


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """Adapter to serve: PEFT's files with their GGUF form, and the base, as the operator named it and by digest.

    It is named by its content and base: no name ever stands for two, so that no cached state is stale.
    """

    files: Mapping[str, bytes]
    base: str
    base_digest: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        parts = [self.base_digest, *(f"{name} {_sha256(data)}" for name, data in sorted(self.files.items()))]
        object.__setattr__(self, "name", _sha256("\n".join(parts).encode())[:32])


class AdapterChat(Protocol):
    """Endpoint that answers chat completions."""

    async def complete(self, body: dict[str, Any], on_progress: ProgressCallback | None = None) -> Generation:
        """Return the complete answer; raises StudentError for any failure."""
        ...


@dataclass(frozen=True, slots=True)
class AdapterRoute:
    """Where an adapter answers: its endpoint, and the fields of a request's body that select it."""

    chat: AdapterChat
    fields: Mapping[str, Any]


class LoraEngine(Protocol):
    """Engine that loads adapters when they are first asked, and unloads the least recently used ones."""

    @property
    def kind(self) -> EngineKind:
        """What serves: a confidence is calibrated for one kind, as log-probabilities differ between them."""
        ...

    def base_digest(self, base: LoraBase) -> str:
        """Return the SHA-256 of those weights of a base that this engine serves."""
        ...

    def route(self, adapter: ServedAdapter) -> AbstractAsyncContextManager[AdapterRoute]:
        """Return the route of an adapter, loaded if need be, which stays valid inside the context.

        Raises ArtifactError for an adapter of another base or one that cannot be loaded, after which the others go on
        being served, and StudentError while the engine cannot serve.
        """
        ...

    async def unload(self, name: str) -> None:
        """Forget a retired adapter once its calls in progress have ended; a later call loads it again."""
        ...

    def is_healthy(self) -> bool:
        """Return whether the engine serves now, or has not been needed yet."""
        ...

    async def close(self) -> None:
        """Stop serving once the calls in progress have ended; a later call starts again."""
        ...


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
