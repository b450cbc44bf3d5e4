import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from tests.support.lora_adapters import SHAPE, adapter_files

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from understudies.students.lora.base_model import BaseShape

BASE = BaseShape.from_config(SHAPE)


def test_an_adapter_has_an_update_for_each_module_of_each_layer_and_fits_its_base() -> None:
    adapter = read_adapter(adapter_files(rank=4))
    assert len(adapter.updates) == 2 * 7
    update = adapter.updates[1, "self_attn.k_proj"]
    assert (update.a.shape, update.b.shape, update.scaling) == ((4, 64), (32, 4), 2.0)
    adapter.check_shape(BASE)


def test_the_factor_of_an_update_follows_rank_alpha_pattern_and_rank_stabilisation() -> None:
    files = adapter_files(rank=4, ranks={"q_proj": 16}, use_rslora=True, alpha_pattern={"layers.1.mlp.up_proj": 32})
    updates = read_adapter(files).updates
    assert updates[0, "self_attn.q_proj"].scaling == 8 / 4
    assert updates[0, "mlp.up_proj"].scaling == 8 / 2
    assert updates[1, "mlp.up_proj"].scaling == 32 / 2


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "lm_head"),
        ({"bias": "all"}, "bias='all'"),
        ({"lora_bias": True}, "biases"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"alpha_pattern": {"(a+)+": 4}}, "(a+)+"),
        ({"r": 0}, "invalid"),
        ({"lora_alpha": "nan"}, "invalid"),
    ],
)
def test_what_would_not_be_served_as_it_was_trained_is_refused_by_name(config: dict[str, Any], named: str) -> None:
    files = adapter_files()
    files[CONFIG_FILE] = json.dumps({**json.loads(files[CONFIG_FILE]), **config}).encode()
    with pytest.raises(ArtifactError) as refusal:
        read_adapter(files)
    assert named in str(refusal.value)


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "training.pkl"])
def test_a_pickle_is_refused_and_never_read(name: str) -> None:
    with pytest.raises(ArtifactError, match="pickle"):
        read_adapter({**adapter_files(), name: b"cos\nsystem\n(S'false'\ntR."})


@pytest.mark.parametrize("length", [0, 7, 100, 5_000])
def test_a_truncated_file_is_refused(length: int) -> None:
    files = adapter_files()
    with pytest.raises(ArtifactError, match="damaged or truncated"):
        read_adapter({**files, WEIGHTS_FILE: files[WEIGHTS_FILE][:length]})


@pytest.mark.parametrize("missing", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(missing: str) -> None:
    files = adapter_files()
    del files[missing]
    with pytest.raises(ArtifactError, match=missing):
        read_adapter(files)


def test_a_tensor_that_is_no_update_a_lone_matrix_and_values_that_are_no_numbers_are_refused() -> None:
    files = adapter_files()
    tensors = load(files[WEIGHTS_FILE])
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"
    embedding = {"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((4, 9), np.float32)}
    lone = {key: value for key, value in tensors.items() if key != name}
    broken = {**tensors, name: np.full_like(tensors[name], np.nan)}
    for found, reason in (({**tensors, **embedding}, "embed_tokens"), (lone, "matching pair"), (broken, "finite")):
        with pytest.raises(ArtifactError, match=reason):
            read_adapter({**files, WEIGHTS_FILE: save(found)})
    with pytest.raises(ArtifactError, match="updates nothing"):
        read_adapter({**files, WEIGHTS_FILE: save({})})


def test_an_adapter_of_more_or_fewer_layers_or_other_sizes_does_not_fit() -> None:
    for layers in (1, 4):
        with pytest.raises(ArtifactError, match=f"base of {layers} layers, and this one has 2"):
            read_adapter(adapter_files(layers=layers)).check_shape(BASE)
    wider = BaseShape.from_config({**SHAPE, "intermediate_size": 256})
    with pytest.raises(ArtifactError, match="another base"):
        read_adapter(adapter_files()).check_shape(wider)
