"""LoRA students of a tiny base, made without training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudies.events import Request, request_of
from understudies.students.lora.adapter import read_adapter
from understudies.students.lora.base_model import find_base
from understudies.students.lora.engine import LoraEngine, ServedAdapter
from understudies.students.lora.gguf_adapter import GGUF_FILE, to_gguf
from understudies.students.lora.student import LoraManifest, LoraStudent


def served(base: Path, files: Mapping[str, bytes]) -> ServedAdapter:
    """An adapter, converted for an engine."""
    found = find_base(str(base))
    return ServedAdapter(to_gguf(read_adapter(files), found.shape), found.digest)


def student(base: Path, files: Mapping[str, bytes], engine: LoraEngine, tokens: int = 12) -> LoraStudent:
    """A student with an adapter."""
    found = find_base(str(base))
    manifest = LoraManifest(base="tiny", base_digest=found.digest, shape=found.shape, answer_tokens=tokens)
    return LoraStudent(manifest, {**files, GGUF_FILE: served(base, files).gguf}, engine)


def question(text: str, **body: Any) -> Request:
    """A request of one turn."""
    return request_of({"messages": [{"role": "user", "content": text}], **{"max_tokens": 12, **body}})
