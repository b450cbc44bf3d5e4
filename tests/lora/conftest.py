"""Skip where the extra `lora` is not installed; a tiny base model for all tests here."""

import importlib.util
from pathlib import Path

import pytest
from tests.support.tiny_base import write_tiny_base

_MODULES = ("torch", "transformers", "peft", "gguf", "xllamacpp")
_MISSING = [name for name in _MODULES if importlib.util.find_spec(name) is None]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the modules here uncollected without the packages that they import; one test says why."""
    return True if _MISSING and collection_path.name not in ("test_installed.py", "lora") else None


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of two layers, as safetensors and as GGUF."""
    return write_tiny_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture(scope="session")
def other_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the same shape with other weights."""
    return write_tiny_base(tmp_path_factory.mktemp("other-base"), seed=5)
