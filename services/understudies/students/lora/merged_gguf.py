"""Merge an adapter into its base's GGUF file, for a llama.cpp of the task's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import LoraAdapter
from understudies.students.lora.base_model import BaseShape
from understudies.students.lora.gguf_adapter import gguf_updates

if TYPE_CHECKING:
    from understudies.students.lora.adapter import Matrix

_LARGEST: Final = 65_504.0
"""Of the numbers of 16 bits."""
_WRITTEN_ANEW: Final = ("general.architecture", "general.file_type", "general.quantization_version", "general.name")


def merge_gguf(base: Path, adapter: LoraAdapter, shape: BaseShape, target: Path, name: str) -> None:
    """Write the base's GGUF file with the updates added to its weights, as numbers of 16 bits.

    Quantised weights are dequantised first; vectors, such as those of norms, keep their precision, and all metadata
    but for `name` and the type of the file are the base's. Raises ArtifactError for an adapter of another shape, or a
    sum that 16 bits do not hold.
    """
    import gguf
    from gguf.quants import dequantize

    reader: Any = gguf.GGUFReader(base)
    updates = gguf_updates(adapter, shape)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in _WRITTEN_ANEW:
            of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=of)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    kinds = [gguf.GGMLQuantizationType.F16 if len(one.shape) > 1 else one.tensor_type for one in reader.tensors]
    for tensor, kind in zip(reader.tensors, kinds, strict=True):
        # The reader's shape is in llama.cpp's order, the writer's in that of numpy.
        rows = [int(size) for size in reversed(tensor.shape)]
        is_half = kind == gguf.GGMLQuantizationType.F16
        size = 2 * int(tensor.n_elements) if is_half else int(tensor.n_bytes)
        dtype = "float16" if is_half else tensor.data.dtype
        writer.add_tensor_info(tensor.name, rows, _dtype(dtype), size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    merged = 0
    for tensor, kind in zip(reader.tensors, kinds, strict=True):
        if kind != gguf.GGMLQuantizationType.F16:
            writer.write_tensor_data(tensor.data)
            continue
        values = dequantize(tensor.data, tensor.tensor_type).astype("float32")
        if (update := updates.get(tensor.name.removesuffix(".weight"))) is not None:
            a, b = update
            values = values.reshape(b.shape[0], a.shape[1]) + b @ a
            merged += 1
        writer.write_tensor_data(_halved(tensor.name, values))
    writer.close()
    if merged != len(updates):
        raise ArtifactError(
            f"the base's GGUF file has {merged} of the {len(updates)} modules that the adapter updates: is it whole?"
        )


def _halved(name: str, values: "Matrix") -> Any:
    if not abs(values).max() <= _LARGEST:
        raise ArtifactError(f"the merged weights of {name!r} exceed what 16 bits hold: serve base and adapter instead")
    return values.astype("float16")


def _dtype(name: Any) -> Any:
    import numpy as np

    return np.dtype(name)
