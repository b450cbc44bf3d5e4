"""Load the base with a new adapter, and compute what training needs of it."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from understudies.students.lora.adapter import WEIGHTS_FILE
from understudies.students.lora.prompt import Turn
from understudies.trainer.lora.base_weights import base_location, generate_answers, load_base
from understudies.trainer.lora.encoding import PackedRows
from understudies.trainer.lora.fused_linear import fuse_linear_modules
from understudies.trainer.lora.job import TrainingJob
from understudies.trainer.lora.settings import LoraTrainingSettings

_QUANTIZED_FROM: Final = 3_000_000_000


class NotAvailable(Exception):  # noqa: N818 - a property of the machine
    """Report settings of training that this machine cannot follow, and the remedy."""


class AdaptedModel:
    """Frozen base with an adapter that is trained; `is_fused` lets fewer passes compute the adapted modules."""

    def __init__(self, job: TrainingJob, *, is_fused: bool = True, device: torch.device | None = None) -> None:
        settings = job.settings
        self.device = device or torch.device("cpu" if is_cpu(settings) else "cuda")
        folder, options = base_location(job.weights)
        precision = _precision(settings.precision, self.device)
        quantized = _quantized(
            settings, self.device, lambda: _count_weights(folder, options), is_gguf=job.weights.is_file()
        )
        # The kernel for long texts takes three times as long as plain products on a CPU, with rows of 256 tokens.
        self._is_eager = self.device.type == "cpu"
        base, self.tokenizer = load_base(job.weights, precision, is_eager=self._is_eager, **quantized)
        self.weights = base.num_parameters()
        torch.manual_seed(job.seed)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha_ratio * settings.rank,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            task_type="CAUSAL_LM",
        )
        self.peft: Any = get_peft_model(base, config)
        # A quantised base is on its device from the start.
        if not quantized:
            self.peft.to(self.device)
        if is_fused:
            fuse_linear_modules(self.peft)
        self.peft.peft_config["default"].base_model_name_or_path = job.base_name

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The adapter's parameters by name."""
        return {name: one for name, one in self.peft.named_parameters() if one.requires_grad}

    def logits(self, rows: PackedRows) -> torch.Tensor:
        """Return the logits at the labelled positions; the head, a fifth of a small model, computes no others."""
        causal = self.peft.get_base_model()
        mask = _added(rows.mask, causal.dtype) if self._is_eager else rows.mask
        hidden = causal.get_decoder()(
            input_ids=rows.ids, attention_mask=mask, position_ids=rows.positions, use_cache=False
        ).last_hidden_state
        logits: torch.Tensor = causal.get_output_embeddings()(hidden[rows.labelled]).float()
        return logits

    def loss(self, rows: PackedRows) -> torch.Tensor:
        """Return the summed cross entropy of the answers."""
        return cross_entropy(self.logits(rows), rows.labels, reduction="sum")

    def generate(self, chats: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
        """Return the greedy answers to some chats, in one batch."""
        return generate_answers(self.peft, self.tokenizer, chats, max_tokens)

    def save(self, folder: Path) -> None:
        """Write the adapter as safetensors, with its configuration."""
        # Embeddings are not trained; to find that out, PEFT would ask the hub for the base's configuration.
        self.peft.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)

    def load(self, folder: Path) -> None:
        """Replace the adapter's weights with those that `save` wrote."""
        set_peft_model_state_dict(self.peft, load_file(folder / WEIGHTS_FILE))


def _added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores of attention: nothing where a token is seen, else the least number."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)


def is_cpu(settings: LoraTrainingSettings) -> bool:
    """Return whether training computes on the CPU: as set, or for want of a GPU."""
    return settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    """Return the precision of the base: bfloat16 where the device has instructions for it, if none is chosen."""
    # Unknown to older versions of PyTorch.
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    is_fast = device.type == "cuda" or features.get("avx512_bf16") or features.get("amx_bf16")
    return torch.bfloat16 if wanted == "bfloat16" or (wanted == "auto" and is_fast) else torch.float32


def _count_weights(folder: Path, options: Mapping[str, Any]) -> int:
    """Return the number of the base's weights, without loading them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, **options))
    return int(model.num_parameters())


def _quantized(
    settings: LoraTrainingSettings, device: torch.device, count_weights: Callable[[], int], *, is_gguf: bool
) -> dict[str, Any]:
    """Return the options by which a base is loaded in four bits, if it is to be: Dettmers et al. (2023), "QLoRA".

    Raises NotAvailable if the settings ask for it, and it cannot be done here.
    """
    is_available = device.type == "cuda" and find_spec("bitsandbytes") is not None and not is_gguf
    is_wanted = settings.quantization == "nf4" or (
        settings.quantization == "auto" and is_available and count_weights() > _QUANTIZED_FROM
    )
    if is_wanted and not is_available:
        raise NotAvailable(
            "quantization nf4 needs CUDA, bitsandbytes (pip install bitsandbytes) and a base of safetensors; "
            "UNDERSTUDIES_LORA_QUANTIZATION=none trains without it"
        )
    if not is_wanted:
        return {}
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": config, "device_map": {"": device}}
