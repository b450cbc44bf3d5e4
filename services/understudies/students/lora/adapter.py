"""Read a PEFT adapter from its files, and refuse what the back ends would serve wrongly or not at all."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.base_model import BaseShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
_PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_TENSOR: Final = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(\w+\.\w+)\.lora_([AB])\.weight")
_PLAIN_NAME: Final = re.compile(r"[\w.]+")


class AdapterConfig(BaseModel):
    """The fields of `adapter_config.json` on which the effect of an adapter depends."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peft_type: str
    r: int = Field(gt=0)
    lora_alpha: float = Field(gt=0, allow_inf_nan=False)
    use_rslora: bool = False
    use_dora: bool = False
    bias: str = "none"
    lora_bias: bool = False
    modules_to_save: list[str] | None = None
    alpha_pattern: dict[str, float] = {}
    base_model_name_or_path: str | None = None

    def obstacle(self) -> str | None:
        """Return what keeps the adapter from being served as it was trained, if anything does."""
        if self.peft_type != "LORA":
            return f"it is of type {self.peft_type!r}, not LORA"
        if self.use_dora:
            return "it uses DoRA, which the back ends do not serve; train it with use_dora=False"
        if self.modules_to_save:
            names = ", ".join(map(repr, self.modules_to_save))
            return f"its modules_to_save ({names}) would not be served; train it without"
        if self.bias != "none" or self.lora_bias:
            return f"it trains biases (bias={self.bias!r}), which would not be served; train it with bias='none'"
        if odd := next((key for key in self.alpha_pattern if not _PLAIN_NAME.fullmatch(key)), None):
            return f"its alpha_pattern holds the expression {odd!r}; only plain module names are read"
        return None

    def scaling(self, module: str, rank: int) -> float:
        """Return the factor of a module's product B A."""
        matches = (alpha for name, alpha in self.alpha_pattern.items() if f".{module}".endswith(f".{name}"))
        alpha = next(matches, self.lora_alpha)
        return alpha / (rank**0.5 if self.use_rslora else rank)


@dataclass(frozen=True, slots=True)
class LowRank:
    """Low-rank update of one linear module: a (rank, inputs), b (outputs, rank), and the factor of their product."""

    a: "Matrix"
    b: "Matrix"
    scaling: float

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """Adapter: an update for each (layer, module), such as `(0, "self_attn.q_proj")`."""

    config: AdapterConfig
    updates: Mapping[tuple[int, str], LowRank]

    def check_shape(self, shape: BaseShape) -> None:
        """Raise ArtifactError unless every layer of the base, and nothing beyond, is updated in its own sizes.

        PEFT loads an adapter of more layers without a word, and llama.cpp one of fewer.
        """
        layers = {layer for layer, _ in self.updates}
        if layers != set(range(shape.num_hidden_layers)):
            raise ArtifactError(
                f"the adapter is for a base of {max(layers) + 1} layers, and this one has {shape.num_hidden_layers}"
            )
        for (layer, module), update in self.updates.items():
            sizes = (update.a.shape[1], update.b.shape[0])
            if sizes != shape.linear_size(module):
                raise ArtifactError(
                    f"the adapter's {module!r} of layer {layer} maps {sizes[0]} to {sizes[1]} values, which does not "
                    f"fit the base ({shape.linear_size(module)}): it was trained on another base"
                )


def read_adapter(content: Mapping[str, bytes]) -> LoraAdapter:
    """Read an adapter from the bytes of its files.

    Raises ArtifactError that names what is wrong: a pickle, a truncated file, or a feature that would not be served.
    """
    refuse_pickles(content)
    config = _read_config(content)
    tensors = _read_tensors(content)
    pairs: dict[tuple[int, str], dict[str, Matrix]] = {}
    for name, tensor in tensors.items():
        parts = _TENSOR.fullmatch(name)
        if parts is None or tensor.ndim != 2:
            raise ArtifactError(f"the adapter's tensor {name!r} is not the update of a linear module of a layer")
        pairs.setdefault((int(parts[1]), parts[2]), {})[parts[3]] = tensor
    updates: dict[tuple[int, str], LowRank] = {}
    for (layer, module), pair in sorted(pairs.items()):
        if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            raise ArtifactError(f"the adapter's {module!r} of layer {layer} has no matching pair of matrices")
        rank = int(pair["A"].shape[0])
        updates[layer, module] = LowRank(pair["A"], pair["B"], config.scaling(f"layers.{layer}.{module}", rank))
    if not updates:
        raise ArtifactError("the adapter updates nothing")
    return LoraAdapter(config, updates)


def refuse_pickles(names: Iterable[str]) -> None:
    """Raise ArtifactError if a file is a pickle, by its name."""
    if pickled := next((name for name in names if name.endswith(_PICKLES)), None):
        raise ArtifactError(f"{pickled!r} is a pickle, which can run code; save the adapter as {WEIGHTS_FILE!r}")


def _read_config(content: Mapping[str, bytes]) -> AdapterConfig:
    try:
        config = AdapterConfig.model_validate(json.loads(content[CONFIG_FILE]))
    except KeyError:
        raise ArtifactError(f"the adapter has no {CONFIG_FILE!r}") from None
    except (ValueError, ValidationError) as error:
        raise ArtifactError(f"{CONFIG_FILE!r} of the adapter is invalid: {error}") from error
    if obstacle := config.obstacle():
        raise ArtifactError(f"the adapter cannot be served: {obstacle}")
    return config


def _read_tensors(content: Mapping[str, bytes]) -> "dict[str, Matrix]":
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, Any] = load(content[WEIGHTS_FILE])
    except KeyError as error:
        if error.args == (WEIGHTS_FILE,):
            raise ArtifactError(f"the adapter has no {WEIGHTS_FILE!r}") from None
        raise ArtifactError(f"{WEIGHTS_FILE!r} has a type of number that is not read; save it as float32") from error
    except (SafetensorError, ValueError, TypeError) as error:
        raise ArtifactError(f"{WEIGHTS_FILE!r} of the adapter is damaged or truncated: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
            raise ArtifactError(f"the adapter's tensor {name!r} holds values that are not finite numbers")
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
