"""Tell by a field's name, and by what it holds, whether it holds a credential."""

import re
from functools import lru_cache
from typing import Final, Literal

Certainty = Literal["password", "key", "unsure"]
"""What a name says: a password, which may hold blanks; a key, which never does; or either that or something else."""

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s.:-]+")
_PASSWORD: Final = re.compile(r"pass(?:word|wd|phrase)$|(?:^|_)(?:pwd|passwort|kennwort|senha|contrase[nñ]a)$")
_KEY: Final = re.compile(
    r"(?:api_?key|(?:client|app|webhook|jwt|shared|consumer|oauth)_?secret|secret_?(?:access_?)?key|private_?key|"
    r"(?:access|account|encryption|signing|master|auth)_?key|"
    r"(?:access|refresh|auth|api|bearer|session|security|bot|csrf|authorization|personal_access|id)_?token)$"
)
_UNSURE: Final = re.compile(r"(?:^|_)(?:secret|token|jwt|auth|authorization|credentials?|passcode|pass)$")
_POSITION: Final = re.compile(
    r"(?:^|_)(?:page|next|previous|prev|continuation|cursor|sync|delta|max|min|stop|start|end|first|last|bos|eos|pad|cls|"
    r"sep|unk|mask|special)_token$"
)
"""Tokens that are places in a list or pieces of a text."""

_NO_SECRET: Final = re.compile(
    r"required|optional|string|null|none|true|false|empty|missing|incorrect|invalid|wrong|expired|unknown|"
    r"changed|reset|protected|hidden|secret|password|field|text|undefined|redacted|your|must|should|"
    r"please|never|what|yes|no|n/a|public|private|internal|approved|denied|pending|valid|set|unset|"
    r"enabled|disabled|present|absent|default",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(
    r"<.*>|\{.*\}|\[.*\]|\(.*\)|%.*%|\$\{.*\}|\$[A-Z_][A-Z0-9_]*|\.{2,}.*|([*xX.•_#?-])\1*|"
    r"(?i:your|my|the|insert|enter|put)[ _-].*",
    re.DOTALL,
)
_PROSE: Final = re.compile(
    r"(?:the|an?|your|my|new|current|old|user'?s?|at|must|should|is)\s+\S+(?:\s|$)", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"(?:bearer|basic|digest|token|apikey)\s+\S{4,}", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://|/|\d[\d.,:/T +-]*Z?$", re.IGNORECASE)
_MIN_UNSURE_CHARACTERS: Final = 8
_LOOKED_AT: Final = 200


@lru_cache(maxsize=4096)
def credential_certainty(name: str) -> Certainty | None:
    """Return what a field's name says of a text in it; None if nothing suggests a credential.

    >>> [credential_certainty(name) for name in ("dbPassword", "OPENAI_API_KEY", "token", "page_token", "passwords")]
    ['password', 'key', 'unsure', None, None]
    """
    words = _WORDS.sub("_", name).lower()
    if _PASSWORD.search(words):
        return "password"
    if _KEY.search(words):
        return "key"
    return "unsure" if _UNSURE.search(words) and not _POSITION.search(words) else None


def is_credential(certainty: Certainty, value: str) -> bool:
    """Return whether a text under such a name is one, rather than a word about it, a placeholder or a description.

    >>> [is_credential("password", text) for text in ("hunter2", "required", "<password>", "The password of the user")]
    [True, False, False, False]
    >>> [is_credential("unsure", text) for text in ("a8Kd02lqP", "approved", "Bearer abcdef", "https://a.example/b1")]
    [True, False, True, False]
    """
    text = value[:_LOOKED_AT].strip()
    if not text or _NO_SECRET.fullmatch(text) or _PLACEHOLDER.fullmatch(text):
        return False
    if certainty == "password":
        return _PROSE.match(text) is None and not text.startswith("/")  # PWD is a folder too
    if _SCHEME.fullmatch(text):
        return True
    if any(character.isspace() for character in text):
        return False
    return certainty == "key" or _looks_random(text)


def _looks_random(text: str) -> bool:
    if len(text) < _MIN_UNSURE_CHARACTERS or _ADDRESS.match(text):
        return False
    has_digit = any(map(str.isdigit, text))
    return has_digit and any(map(str.isalpha, text))
