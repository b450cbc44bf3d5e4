"""Redact more than the default does, by packs of patterns that a user switches on and patterns of the user's own.

What these packs find is less certain than the default, which is why nobody has them unasked: a word after `password:`
may be no password, and nine digits in threes may be an order number.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Literal, get_args

from understudies.redaction.national_ids import NATIONAL_IDS
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor, combined

Pack = Literal["passwords", "cloud_secrets", "national_ids", "local_phones"]
"""Passwords in prose and URLs; secrets of providers; national identity numbers; phone numbers in local forms."""

PACKS: Final[tuple[Pack, ...]] = get_args(Pack)

_PASSWORD: Final = re.compile(
    r"(?<![A-Za-z])(?P<name>pass(?:word|wd|phrase|code)|pwd|passwort|kennwort|contrase[nñ]a|mot de passe|senha|"
    r"secret(?:[ _-]?(?:access[ _-]?)?key)?|(?:client|shared)[ _-]secret|api[ _-]?key|"
    r"(?:access|auth|refresh)[ _-]?token)"
    r"(?P<between>[\"']?(?:\s{0,3}[:=]|\s{1,3}(?:is|was|ist|es|est)(?:\s{0,2}:)?)\s{0,3}[\"'`]?)"
    r"(?P<value>[^\s\"'`,;<>{}\[\]()]{4,128})",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(r"(?:[*x.•_-]+|\$.*|%.*%|\[.*)", re.IGNORECASE)
_NO_SECRETS: Final = frozenset(
    {"required", "optional", "string", "null", "none", "true", "false", "empty", "missing", "incorrect", "invalid"}
    | {
        "wrong",
        "expired",
        "unknown",
        "changed",
        "reset",
        "protected",
        "hidden",
        "secret",
        "password",
    }
    | {"field", "text", "undefined", "redacted", "your", "must", "should", "please", "never", "what"}
)
_URL_CREDENTIALS: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])([a-z][a-z0-9+.-]{1,20}://)[^\s/:@?#\"'<>]{0,64}:[^\s/@\"'<>]{1,128}@", re.IGNORECASE
)
_BARE_CREDENTIALS: Final = re.compile(
    r"(?<![\w.%+/:@-])(?!(?:mailto|sips?|acct|xmpp|skype|e-?mail|to|cc|from):)[\w.%+-]{1,64}:"
    r"(?=[^\s:@/]*[\d!#$%^&*])[^\s:@/\"'<>]{4,128}@(?=[\w-]+\.|localhost\b)",
    re.IGNORECASE,
)

_CLOUD_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9/+_.-])(?:"
    r"[A-Za-z0-9/+]{86}==|"  # Azure storage
    r"[\w~.-]{3}[78]Q~[\w~.-]{31,34}|"  # Entra ID
    r"SG\.[\w-]{22}\.[\w-]{43}|dapi[0-9a-f]{32}(?:-\d)?|do[por]_v1_[0-9a-f]{64}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20,}|"
    r"\d{8,10}:AA[\w-]{33}|key-[0-9a-f]{32}|(?:SK|AC)[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|"
    r"dckr_pat_[\w-]{27}|hvs\.[\w-]{24,}|sq0(?:atp|csp)-[\w-]{22,43}|r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{40,}"
    r")(?![A-Za-z0-9/+=_-])"
)
_WEBHOOK: Final = re.compile(r"(https://hooks\.slack\.com/(?:services|workflows)/)[\w/-]{20,}")
_SIGNATURE: Final = re.compile(r"([?&](?:sig|X-Amz-Signature|X-Goog-Signature)=)[\w%/+=-]{20,}", re.IGNORECASE)
_AWS_SECRET: Final = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")

_PHONE: Final = re.compile(
    r"(?<![\w.:/+-])(?:"
    r"\(0\d{1,5}\)[ /.-]?\d{2,4}(?:[ .-]?\d{2,4}){1,3}|"
    r"0\d{1,5}[ /-]\d{2,9}(?:[ .-]\d{2,5}){0,4}|0\d(?:[ .]\d\d){4}|"
    r"[2-9]\d{2} \d{3} \d{4}"
    r")(?![\w:/%€$£-]|[.,]\d)"
)
_DATE: Final = re.compile(r"(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|1[0-2])[./-](?:\d\d){1,2}(?!\d)")


def build_redactor(packs: Iterable[Pack] = (), patterns: Mapping[str, str] | None = None) -> Redactor:
    """Return a redactor of the default's kinds, those of the packs, and patterns by the names of their placeholders.

    Raises ValueError for an unknown pack, and for a pattern that is no regular expression or matches an empty text.

    >>> redact = build_redactor(["passwords"], {"STAFF": r"E-[0-9]{6}"})
    >>> redact("E-123456 logs in, password: hunter2")
    '[STAFF] logs in, password: [SECRET]'
    """
    own = [_compile(name, pattern) for name, pattern in (patterns or {}).items()]
    chosen = [_redactor_of(pack) for pack in dict.fromkeys(packs)]
    return combined(*own, *chosen, default_redactor) if own or chosen else default_redactor


def _redactor_of(pack: str) -> Redactor:
    if pack not in _REDACTORS:
        raise ValueError(f"no redaction pack is named {pack!r}; there are {', '.join(PACKS)}")
    return _REDACTORS[pack]


def _compile(name: str, pattern: str) -> Redactor:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"redaction pattern {name!r} is no regular expression: {error}") from error
    if compiled.search("") is not None:
        raise ValueError(f"redaction pattern {name!r} matches an empty text; let it need a character")
    return partial(compiled.sub, f"[{name.upper()}]".replace("\\", r"\\"))


def _redact_passwords(text: str) -> str:
    text = _URL_CREDENTIALS.sub(r"\1[CREDENTIALS]@", text)
    text = _BARE_CREDENTIALS.sub("[CREDENTIALS]@", text)
    return _PASSWORD.sub(_replace_password, text)


def _replace_password(match: re.Match[str]) -> str:
    value = match["value"].rstrip(".!?")
    if value.lower() in _NO_SECRETS or _PLACEHOLDER.fullmatch(value) or len(value) < 4:
        return match[0]
    is_assigned = any(mark in match["between"] for mark in ":=")
    if not is_assigned and value.isalpha():
        return match[0]  # "the password is expiring" is prose, "the password is hunter2" is not
    return f"{match['name']}{match['between']}[SECRET]{match['value'][len(value) :]}"


def _redact_cloud_secrets(text: str) -> str:
    text = _CLOUD_SECRET.sub("[KEY]", text)
    text = _SIGNATURE.sub(r"\1[KEY]", _WEBHOOK.sub(r"\1[KEY]", text))
    return _AWS_SECRET.sub(_replace_aws_secret, text)


def _replace_aws_secret(match: re.Match[str]) -> str:
    """Replace forty characters that are random enough: a hash in hexadecimal has no capitals, a path has words."""
    found = match[0]
    is_mixed = all(sum(map(kind, found)) >= 4 for kind in (str.islower, str.isupper)) and any(map(str.isdigit, found))
    return "[KEY]" if is_mixed and len(set(found)) >= 18 else found


def _redact_national_ids(text: str) -> str:
    for pattern, is_valid in NATIONAL_IDS:
        text = pattern.sub(partial(_replace_valid, is_valid), text)
    return text


def _replace_valid(is_valid: Callable[[str], bool], match: re.Match[str]) -> str:
    return "[NATIONAL_ID]" if is_valid(match[0]) else match[0]


def _redact_local_phones(text: str) -> str:
    return _PHONE.sub(_replace_local_phone, text)


def _replace_local_phone(match: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in match[0])
    return match[0] if not 9 <= digits <= 13 or _DATE.match(match[0]) else "[PHONE]"


_REDACTORS: Final[Mapping[str, Redactor]] = {
    "passwords": _redact_passwords,
    "cloud_secrets": _redact_cloud_secrets,
    "national_ids": _redact_national_ids,
    "local_phones": _redact_local_phones,
}
