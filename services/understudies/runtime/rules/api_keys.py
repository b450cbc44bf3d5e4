"""Generate and hash the API keys of tenants: the rules hold only hashes.

A key is 256 random bits, so it cannot be guessed from its hash, however fast the hash. A slow hash such as bcrypt is
for passwords; here it would cost tens of milliseconds per call, and let anyone overload the router.
"""

import hashlib
import re
import secrets
from typing import Annotated, Final

from pydantic import AfterValidator

KEY_PREFIX: Final = "sk-understudies-"
"""Prefix of every generated key, by which the redactor and secret scanners recognise it."""

_HASH_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")
_MIN_LENGTH, _MIN_DISTINCT_CHARACTERS = 32, 12


def generate_key() -> str:
    """Generate a key of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_digest(key: str) -> bytes:
    """Return the SHA-256 digest of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_hash(key: str) -> str:
    """Return the hash that represents a key in the rules; raises ValueError, which never shows it, for a weak key."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("a key consists of printable ASCII characters without spaces")
    if len(key) < _MIN_LENGTH or len(set(key)) < _MIN_DISTINCT_CHARACTERS:
        raise ValueError(
            f"a key needs at least {_MIN_LENGTH} random characters, as its hash is a fast one; "
            "`understudies keys new` generates one"
        )
    return f"sha256:{key_digest(key).hex()}"


def _check_key_hash(text: str) -> str:
    if not _HASH_PATTERN.fullmatch(text):
        raise ValueError(
            "is not the hash of a key, which is 'sha256:' and 64 hexadecimal digits; "
            "`understudies keys new` and `understudies keys hash` print it"
        )
    return text


KeyHash = Annotated[str, AfterValidator(_check_key_hash)]
"""SHA-256 of a key, such as `sha256:9f86…`; a plaintext key is rejected and not shown."""
