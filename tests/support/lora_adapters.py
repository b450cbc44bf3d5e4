"""Adapters for tests, made without training: random updates of a tiny base, in PEFT's own files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZES = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (64, 32),
    "self_attn.v_proj": (64, 32),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (64, 128),
    "mlp.up_proj": (64, 128),
    "mlp.down_proj": (128, 64),
}
SHAPE = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def adapter_files(
    seed: int = 0, *, layers: int = 2, rank: int = 4, ranks: Mapping[str, int] | None = None, **config: Any
) -> dict[str, bytes]:
    """The files of an adapter of a tiny base; `config` overrides its configuration."""
    import numpy as np
    from safetensors.numpy import save

    draw = np.random.default_rng(seed)
    tensors = {}
    for layer in range(layers):
        for module, (inputs, outputs) in SIZES.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            own = (ranks or {}).get(module.split(".")[1], rank)
            tensors[f"{name}.lora_A.weight"] = draw.normal(0, 0.3, (own, inputs)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = draw.normal(0, 0.3, (outputs, own)).astype(np.float32)
    fields = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 8,
        "target_modules": sorted({module.split(".")[1] for module in SIZES}),
        "task_type": "CAUSAL_LM",
        "rank_pattern": dict(ranks or {}),
        **config,
    }
    return {"adapter_config.json": json.dumps(fields).encode(), "adapter_model.safetensors": save(tensors)}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
