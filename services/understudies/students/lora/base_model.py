"""Describe the base model of LoRA students: where its weights are, their digest, shape, licence and revision."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.runtime.errors import ConfigurationError

_LICENCE: Final = re.compile(r"^license:\s*[\"']?([\w.+-]+)", re.MULTILINE)
_REVISION: Final = re.compile(r"[0-9a-f]{40}")
_NO_GGUF: Final = (
    "the base model {source!r} has {count} GGUF files where one is needed, which llama.cpp serves: put one in that "
    "folder (llama.cpp's convert_hf_to_gguf.py makes it), or name the file itself"
)


class BaseShape(BaseModel):
    """Sizes of a decoder that determine the shapes of its weights; field names are those of `config.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: str
    num_hidden_layers: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "BaseShape":
        """Read the shape from the content of a `config.json`; raises ValidationError if a size is missing."""
        heads = config.get("num_attention_heads")
        derived = config.get("hidden_size", 0) // heads if isinstance(heads, int) and heads else 0
        fields = {**config, "num_key_value_heads": config.get("num_key_value_heads") or heads}
        return cls.model_validate({**fields, "head_dim": config.get("head_dim") or derived})

    def linear_size(self, module: str) -> tuple[int, int] | None:
        """Return (inputs, outputs) of a linear module of a layer; None if the decoder has no such module."""
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return {
            "self_attn.q_proj": (self.hidden_size, queries),
            "self_attn.k_proj": (self.hidden_size, keys),
            "self_attn.v_proj": (self.hidden_size, keys),
            "self_attn.o_proj": (queries, self.hidden_size),
            "mlp.gate_proj": (self.hidden_size, self.intermediate_size),
            "mlp.up_proj": (self.hidden_size, self.intermediate_size),
            "mlp.down_proj": (self.intermediate_size, self.hidden_size),
        }.get(module)


@dataclass(frozen=True, slots=True)
class LoraBase:
    """Base model on this machine: the GGUF file that is served, and the folder or file that training reads."""

    source: str
    """As the operator named it."""
    gguf: Path | None
    """The file that llama.cpp serves; None in a folder of safetensors alone."""
    weights: Path
    """The folder of safetensors to train on, which vLLM serves; the GGUF file itself if there is none."""
    shape: BaseShape
    licence: str = ""
    revision: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the GGUF file; an adapter serves on the very weights that it was validated on."""
        return _digest(self.require_gguf())

    def require_gguf(self) -> Path:
        """Return the GGUF file; raises ConfigurationError, with the remedy, if there is none."""
        if self.gguf is None:
            raise ConfigurationError(_NO_GGUF.format(source=self.source, count=0))
        return self.gguf

    @property
    def weights_digest(self) -> str:
        """SHA-256 over the safetensors files, which vLLM serves; of the GGUF file if there are none."""
        if self.weights.is_file():
            return _digest(self.weights)
        parts = [f"{path.name} {_digest(path)}" for path in sorted(self.weights.glob("*.safetensors"))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def find_base(source: str) -> LoraBase:
    """Return the base model named by a GGUF file, a folder, or the id of a model on the hub.

    A folder holds one GGUF file to serve by llama.cpp, and `config.json` with safetensors to train on and to serve by
    vLLM; without these, training reads the GGUF file. Raises ConfigurationError, with the remedy, if anything is
    missing.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _from_gguf(source, path)
    if not path.is_dir():
        path = _download(source)
    files = sorted(path.glob("*.gguf"))
    has_weights = (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    if len(files) > 1 or not (files or has_weights):
        raise ConfigurationError(_NO_GGUF.format(source=source, count=len(files)))
    if not has_weights:
        return _from_gguf(source, files[0])
    try:
        shape = BaseShape.from_config(json.loads((path / "config.json").read_text()))
    except (ValueError, ValidationError) as error:
        raise ConfigurationError(f"config.json of the base model {source!r} is invalid: {error}") from error
    card = path / "README.md"
    licence = _LICENCE.search(card.read_text(errors="replace")) if card.is_file() else None
    revision = path.resolve().name if _REVISION.fullmatch(path.resolve().name) else ""
    return LoraBase(source, files[0] if files else None, path, shape, licence[1] if licence else "", revision)


def _from_gguf(source: str, path: Path) -> LoraBase:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConfigurationError(f"{str(path)!r} is not a GGUF file; name one, or a folder that holds one")
    stat = path.stat()
    shape, licence = _read_gguf(path.resolve(), stat.st_size, stat.st_mtime_ns)
    return LoraBase(source, path, path, shape, licence)


@lru_cache(maxsize=8)
def _read_gguf(path: Path, size: int, modified_ns: int) -> tuple[BaseShape, str]:
    """Read the shape and licence from a GGUF file's metadata; size and time are part of the cache's key."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(path).fields
        known = {name: field.contents() for name, field in fields.items() if not name.startswith("tokenizer.")}
        kind = str(known["general.architecture"])
        hidden, heads = known[f"{kind}.embedding_length"], known[f"{kind}.attention.head_count"]
        shape = BaseShape(
            model_type=kind,
            num_hidden_layers=known[f"{kind}.block_count"],
            hidden_size=hidden,
            intermediate_size=known[f"{kind}.feed_forward_length"],
            num_attention_heads=heads,
            num_key_value_heads=known.get(f"{kind}.attention.head_count_kv", heads),
            head_dim=known.get(f"{kind}.attention.key_length", hidden // heads),
        )
    except (KeyError, ValueError, IndexError, ValidationError) as error:
        raise ConfigurationError(f"{str(path)!r} is not a GGUF file of a language model: {error!r}") from error
    return shape, str(known.get("general.license", ""))


def _digest(path: Path) -> str:
    stat = path.stat()
    return _file_digest(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Return the SHA-256 of a file; size and time are part of the cache's key."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(source: str) -> Path:
    """Return the folder of a model of the hub, downloaded unless it is cached already."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", source) or source.startswith((".", "/")):
        raise ConfigurationError(
            f"there is no base model at {source!r}: name a folder, a GGUF file, or a hub id such as org/model@revision"
        )
    from huggingface_hub import snapshot_download

    name, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None))
    except Exception as error:
        raise ConfigurationError(
            f"the base model {source!r} is neither a folder or file here nor to be had from the hub: {error!r}"
        ) from error
