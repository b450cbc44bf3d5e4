"""API keys of tenants: the rules hold hashes alone.

A key is 256 random bits, so nobody finds it from its hash by guessing, however fast the hash. A slow hash such as
bcrypt is for passwords; here it would cost tens of milliseconds a call and let anyone keep the router busy.
"""

import hashlib
import re
import secrets
from typing import Annotated, Final

from pydantic import AfterValidator

KEY_PREFIX: Final = "sk-understudies-"
"""Begins every key that is made here: the redactor and scanners for leaked secrets know it."""

_HASH_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")
_MIN_LENGTH, _MIN_DISTINCT_CHARACTERS = 32, 12


def generate_key() -> str:
    """A fresh key of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_digest(key: str) -> bytes:
    """SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_hash(key: str) -> str:
    """The line that stands for a key in the rules; raises ValueError, which never shows it, for one that is weak."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("a key consists of printable ASCII characters without spaces")
    if len(key) < _MIN_LENGTH or len(set(key)) < _MIN_DISTINCT_CHARACTERS:
        raise ValueError(
            f"a key needs at least {_MIN_LENGTH} random characters, as its hash is a fast one; "
            "`understudies keys new` makes one"
        )
    return f"sha256:{key_digest(key).hex()}"


def _check_key_hash(text: str) -> str:
    if not _HASH_PATTERN.fullmatch(text):
        raise ValueError(
            "is no hash of a key, which is 'sha256:' and 64 hexadecimal digits; "
            "`understudies keys new` and `understudies keys hash` print it"
        )
    return text


KeyHash = Annotated[str, AfterValidator(_check_key_hash)]
"""SHA-256 of a key, such as `sha256:9f86…`; a plain key in its place is refused and not shown."""
