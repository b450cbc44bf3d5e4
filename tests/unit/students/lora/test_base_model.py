import hashlib
import json
from pathlib import Path

import pytest
from tests.support.lora_adapters import SHAPE, write_files

from understudies.runtime.errors import ConfigurationError
from understudies.students.lora.base_model import BaseShape, find_base

FILES = {
    "config.json": json.dumps(SHAPE).encode(),
    "model.safetensors": b"weights",
    "base.gguf": b"served",
    "README.md": b"---\nlanguage: en\nlicense: apache-2.0\n---\n",
}


def test_a_folder_names_what_is_trained_on_and_what_is_served(tmp_path: Path) -> None:
    base = find_base(str(write_files(tmp_path / ("0" * 40), FILES)))
    assert base.weights == tmp_path / ("0" * 40)
    assert base.gguf == base.weights / "base.gguf"
    assert base.digest == hashlib.sha256(b"served").hexdigest()
    assert (base.licence, base.revision) == ("apache-2.0", "0" * 40)
    assert base.shape == BaseShape.from_config(SHAPE)
    assert base.shape.head_dim == 16


def test_another_content_of_the_file_has_another_digest(tmp_path: Path) -> None:
    folder = write_files(tmp_path, FILES)
    before = find_base(str(folder)).digest
    (folder / "base.gguf").write_bytes(b"served, once more")
    assert find_base(str(folder)).digest != before


def test_a_folder_of_safetensors_alone_is_for_vllm_and_named_by_their_content(tmp_path: Path) -> None:
    files = {name: data for name, data in FILES.items() if name != "base.gguf"}
    base = find_base(str(write_files(tmp_path, files)))
    with pytest.raises(ConfigurationError, match=r"0 GGUF files .* which llama\.cpp serves: put one in that folder"):
        _ = base.digest
    before = base.weights_digest
    (tmp_path / "model-2.safetensors").write_bytes(b"more")
    assert base.weights_digest != before


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({**FILES, "other.gguf": b""}, "2 GGUF files"),
        ({"config.json": FILES["config.json"]}, "0 GGUF files"),
        ({**FILES, "config.json": b"{"}, "config.json"),
        ({**FILES, "config.json": b'{"model_type": "llama"}'}, "config.json"),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        find_base(str(write_files(tmp_path, files)))


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./missing", "a b/c", "../missing/base"])
def test_what_is_neither_here_nor_a_hub_id_is_not_looked_for_on_the_hub(source: str) -> None:
    with pytest.raises(ConfigurationError, match="name a folder, a GGUF file, or a hub id"):
        find_base(source)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a base model, some day")
    with pytest.raises(ConfigurationError, match="not a GGUF file"):
        find_base(str(tmp_path / "notes.txt"))
