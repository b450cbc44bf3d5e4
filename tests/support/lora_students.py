"""LoRA students of a tiny base, made without training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudies.events import Request, request_of
from understudies.students.lora.adapter import read_adapter
from understudies.students.lora.base_model import find_base
from understudies.students.lora.engine import EngineKind, LoraEngine, ServedAdapter
from understudies.students.lora.gguf_adapter import GGUF_FILE, to_gguf
from understudies.students.lora.student import LoraManifest, LoraStudent


def served(base: Path, files: Mapping[str, bytes], engine: EngineKind = "llama.cpp") -> ServedAdapter:
    """An adapter, converted for an engine."""
    found = find_base(str(base))
    digest = found.weights_digest if engine == "vllm" else found.digest
    return ServedAdapter({**files, GGUF_FILE: to_gguf(read_adapter(files), found.shape)}, "tiny", digest)


def student(base: Path, files: Mapping[str, bytes], engine: LoraEngine, tokens: int = 12) -> LoraStudent:
    """A student with an adapter."""
    adapter = served(base, files, engine.kind)
    manifest = LoraManifest(
        base=adapter.base,
        base_digest=adapter.base_digest,
        shape=find_base(str(base)).shape,
        answer_tokens=tokens,
        engine=engine.kind,
    )
    return LoraStudent(manifest, adapter.files, engine)


def question(text: str, **body: Any) -> Request:
    """A request of one turn."""
    return request_of({"messages": [{"role": "user", "content": text}], **{"max_tokens": 12, **body}})
