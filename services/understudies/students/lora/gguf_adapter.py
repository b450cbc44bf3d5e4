"""Convert an adapter to the GGUF format that llama.cpp reads."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import LoraAdapter
from understudies.students.lora.base_model import BaseShape

if TYPE_CHECKING:
    from understudies.students.lora.adapter import Matrix

GGUF_FILE: Final = "adapter.gguf"
_ARCHITECTURES: Final = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
_ROTATED: Final = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}


def to_gguf(adapter: LoraAdapter, shape: BaseShape) -> bytes:
    """Return the adapter as a GGUF file for a base of the given shape.

    llama.cpp multiplies each update by alpha over its rank, with one alpha for all; what a module's own factor differs
    from that goes into its matrix B. Raises ArtifactError for an architecture that is not converted, or another shape.
    """
    import gguf

    name = _architecture(shape)
    updates = gguf_updates(adapter, shape, adapter.config.lora_alpha)
    with tempfile.TemporaryDirectory(prefix="understudies-gguf-") as folder:
        path = Path(folder) / GGUF_FILE
        writer = gguf.GGUFWriter(path, name)
        writer.add_type("adapter")
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.config.lora_alpha)
        for target, (a, b) in updates.items():
            writer.add_tensor(f"{target}.weight.lora_a", a)
            writer.add_tensor(f"{target}.weight.lora_b", b)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def gguf_updates(
    adapter: LoraAdapter, shape: BaseShape, alpha: float | None = None
) -> "dict[str, tuple[Matrix, Matrix]]":
    """Return the matrices A and B of each module, by its name in a GGUF file and with rows in llama.cpp's order.

    B is scaled so that the update is B A; with `alpha`, so that it is B A times alpha over the module's rank. Raises
    ArtifactError as `to_gguf` does.
    """
    import gguf

    name = _architecture(shape)
    adapter.check_shape(shape)
    architecture = next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    names = gguf.get_tensor_name_map(architecture, shape.num_hidden_layers)
    found: dict[str, tuple[Matrix, Matrix]] = {}
    for (layer, module), update in adapter.updates.items():
        b = update.b * (update.scaling if alpha is None else update.scaling * update.rank / alpha)
        if name == "llama" and module in _ROTATED:
            b = _permute(b, getattr(shape, _ROTATED[module]))
        found[str(names.get_name(f"model.layers.{layer}.{module}"))] = (update.a, b)
    return found


def _architecture(shape: BaseShape) -> str:
    if (name := _ARCHITECTURES.get(shape.model_type)) is None:
        known = ", ".join(sorted(_ARCHITECTURES))
        raise ArtifactError(f"adapters of a {shape.model_type!r} base are not converted for llama.cpp; of {known} only")
    return name


def _permute(b: "Matrix", heads: int) -> "Matrix":
    """Reorder the rows of queries or keys: llama.cpp rotates pairs of neighbours, transformers halves of a head."""
    rows, rank = b.shape
    return b.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank)
