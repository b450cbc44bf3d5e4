"""API keys of tenants: the rules hold hashes alone.

A key is 256 random bits, so nobody finds it from its hash by guessing, however fast the hash. A slow hash such as
bcrypt is for passwords; here it would cost tens of milliseconds a call and let anyone keep the router busy.
"""

import hashlib
import re
import secrets
from typing import Annotated, Final

from pydantic import AfterValidator

PREFIX: Final = "sk-understudies-"
"""Begins every key that is made here: the redactor and scanners for leaked secrets know it."""

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SHORTEST, _FEWEST_CHARACTERS = 32, 12


def new_key() -> str:
    """A fresh key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> bytes:
    """SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def hash_of(key: str) -> str:
    """The line that stands for a key in the rules; raises ValueError, which never shows it, for one that is weak."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("a key consists of printable ASCII characters without spaces")
    if len(key) < _SHORTEST or len(set(key)) < _FEWEST_CHARACTERS:
        raise ValueError(
            f"a key needs at least {_SHORTEST} random characters, as its hash is a fast one; "
            "`understudies keys new` makes one"
        )
    return f"sha256:{digest_of(key).hex()}"


def _checked(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError(
            "is no hash of a key, which is 'sha256:' and 64 hexadecimal digits; "
            "`understudies keys new` and `understudies keys hash` print it"
        )
    return text


KeyHash = Annotated[str, AfterValidator(_checked)]
"""SHA-256 of a key, such as `sha256:9f86…`; a plain key in its place is refused and not shown."""
