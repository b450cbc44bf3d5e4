import importlib.util
import os

import pytest

MODULES = ("torch", "transformers", "peft", "gguf", "xllamacpp")


def test_the_packages_of_the_extra_are_there() -> None:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed: the tests in tests/lora need make test-lora"
        assert os.environ.get("UNDERSTUDIES_TEST_LORA") != "required", reason
        pytest.skip(reason)
