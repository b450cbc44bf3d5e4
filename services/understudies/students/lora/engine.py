"""Define the interface of engines, which serve many adapters of one base model."""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from understudies.students.endpoint.client import ChatClient


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """Adapter to serve, named by its content and base: no name ever stands for two, so no cached state is stale."""

    gguf: bytes
    base_digest: str

    @property
    def name(self) -> str:
        return hashlib.sha256(self.base_digest.encode() + self.gguf).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AdapterRoute:
    """Where an adapter answers: the client of its endpoint, and the fields of a request's body that select it."""

    chat: ChatClient
    fields: Mapping[str, Any]


class LoraEngine(Protocol):
    """Engine that loads adapters when they are first asked, and unloads the least recently used ones."""

    def route(self, adapter: ServedAdapter) -> AbstractAsyncContextManager[AdapterRoute]:
        """Return the route of an adapter, loaded if need be, which stays valid inside the context.

        Raises ArtifactError for an adapter of another base or one that cannot be loaded, after which the others go on
        being served, and StudentError while the engine cannot serve.
        """
        ...

    async def unload(self, name: str) -> None:
        """Forget a retired adapter once its calls in progress have ended; with the last one, the engine stops."""
        ...

    def is_healthy(self) -> bool:
        """Return whether the engine serves now, or has not been needed yet."""
        ...

    async def close(self) -> None:
        """Stop serving once the calls in progress have ended; a later call starts again."""
        ...
