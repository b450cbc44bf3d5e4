import hashlib

import pytest
from pydantic import TypeAdapter, ValidationError

from understudies.redaction.patterns import default_redactor
from understudies.runtime.rules.api_keys import KeyHash, generate_key, key_hash

CHECKED = TypeAdapter(KeyHash)


def test_every_key_is_another_one_of_256_random_bits() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sk-understudies-") and len(key) == len("sk-understudies-") + 43 for key in keys)


def test_a_key_in_a_prompt_is_redacted() -> None:
    key = generate_key()
    assert key not in default_redactor(f"My key is {key}, keep it.")


def test_the_hash_is_that_of_the_keys_bytes() -> None:
    key = generate_key()
    assert key_hash(key) == "sha256:" + hashlib.sha256(key.encode()).hexdigest()
    assert CHECKED.validate_python(key_hash(key)) == key_hash(key)


@pytest.mark.parametrize("key", ["", "hunter2", "a" * 64, "correct horse battery staple, and more", "schlüssel" * 5])
def test_a_key_that_could_be_guessed_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="a key") as refused:
        key_hash(key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "md5:" + "a" * 64, "sha256:" + "a" * 64 + "\n"]
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not the hash of a key"):
        CHECKED.validate_python(text)
