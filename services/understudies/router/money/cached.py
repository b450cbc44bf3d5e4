"""An answer that may be given again."""

from dataclasses import dataclass
from typing import Final

import orjson

_ENTRY_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The whole body of an answer in its API, as where nothing is streamed; the model and the teacher that gave it."""

    body: bytes
    model: str = ""
    teacher: str = ""

    def encode(self) -> bytes:
        """As it is kept: a line about the answer, then the answer."""
        return orjson.dumps([_ENTRY_VERSION, self.model, self.teacher]) + b"\n" + self.body

    @classmethod
    def decode(cls, kept: bytes) -> "CacheEntry | None":
        """What was kept, or None where another version of this program has kept it."""
        head, _, body = kept.partition(b"\n")
        try:
            version, model, teacher = orjson.loads(head)
        except (ValueError, TypeError):
            return None
        return cls(body, model, teacher) if version == _ENTRY_VERSION else None
