"""Find secrets and personal data in a text, and replace them by placeholders."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from understudies.redaction.account_numbers import compile_iban_pattern, is_card, is_iban
from understudies.redaction.prefilter import (
    ALL_KINDS,
    AMERICAN,
    BEARER,
    CARD,
    EMAIL,
    IBAN,
    INTERNATIONAL,
    KEY,
    PEM,
    TOKEN,
    possible_kinds,
)

_MIN_SENSITIVE_CHARACTERS: Final = 6
"""Length of the shortest sensitive text, an e-mail address such as `a@b.cc`."""

# Every pattern starts only where a run of its characters starts and never backtracks (possessive quantifiers), so
# matching takes linear time for any text. Before Python 3.11.5 such a quantifier on a group keeps what a last, failed
# round looked at: hence none on the groups of _PEM and _EMAIL.
_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?=-----|\Z)"
    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?"
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+\.[\w-]*+")
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[\w-]{16,}+|[rs]k_(?:live|test)_\w{16,}+|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])|"
    r"gh[pousr]_\w{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+|xox[abeoprs]-[\w-]{10,}+|"
    r"AIza[\w-]{30,}+|hf_[A-Za-z0-9]{20,}+|npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{40,}+)"
)
_HUGGING_FACE = 34
_BEARER = re.compile(r"(?<![A-Za-z0-9])([Bb]earer|BEARER)([ \t]{1,4})([\w.~+/=-]{16,}+)")
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)+")
_DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,}+(?!\w|\.\d)")
_IBAN = compile_iban_pattern()
_INTERNATIONAL = re.compile(r"(?<![\w+.])\+[1-9](?:(?:[ .-]|\) ?| ?\()?\d){7,}+(?!\w|[.,]\d)")
_AMOUNT = re.compile(r"\+\d+\.\d\d")
_AMERICAN = re.compile(r"(?<![\w.-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])\d{3}[.-]\d{4}(?!\w|[.-]\d)")


def default_redactor(text: str) -> str:
    """Replace keys, tokens, e-mail addresses, payment cards, IBANs and phone numbers by placeholders such as `[EMAIL]`.

    Cards need a known issuer and a valid check digit, IBANs a known country and a valid checksum; phone numbers need a
    leading `+` or the American form, since amounts, dates and order numbers must stay.

    >>> default_redactor("Write to ada@example.org, order 4711, total 1,299.00")
    'Write to [EMAIL], order 4711, total 1,299.00'
    """
    if len(text) < _MIN_SENSITIVE_CHARACTERS or text.isalpha():
        return text
    kinds = _find_possible_kinds(text)
    if not kinds:
        return text
    if kinds & PEM:
        text = _PEM.sub("[PRIVATE_KEY]", text)
    if "\n" not in text:
        return _replace_kinds(text, kinds)
    # No other pattern crosses the end of a line.
    return "\n".join([_replace_kinds(line, _find_possible_kinds(line, kinds)) for line in text.split("\n")])


def _find_possible_kinds(text: str, wanted: int = ALL_KINDS) -> int:
    return possible_kinds(text.encode("utf-8", "surrogatepass"), wanted)


def _replace_kinds(text: str, kinds: int) -> str:
    """Replace the kinds whose signs were found by placeholders."""
    if kinds:
        for kind, replace in _REPLACEMENTS:
            if kinds & kind:
                text = replace(text)
    return text


def _replace_key(match: re.Match[str]) -> str:
    key = match[0]
    # Those of Hugging Face are of letters alone.
    is_of_letters = key.startswith("hf_") and len(key) >= _HUGGING_FACE and not (key[3:].islower() or key[3:].isupper())
    return "[KEY]" if is_of_letters or any(character.isdigit() for character in key) else key


def _replace_bearer(match: re.Match[str]) -> str:
    if not any(character.isdigit() for character in match[3]):
        return match[0]
    return f"{match[1]}{match[2]}[TOKEN]"


def _replace_email(match: re.Match[str]) -> str:
    top = match[0].rsplit(".", 1)[-1]
    return "[EMAIL]" if len(top) > 1 and (top.isalpha() or top.startswith("xn--")) else match[0]


def _replace_iban(match: re.Match[str]) -> str:
    return "[IBAN]" if is_iban(match[0]) else match[0]


def _replace_phone(match: re.Match[str]) -> str:
    if _AMOUNT.fullmatch(match[0]):
        return match[0]
    if sum(character.isdigit() for character in match[0]) <= 15:
        return "[PHONE]"
    # Too long for one number: one in the American form may follow another.
    rest = _AMERICAN.sub("[PHONE]", match[0])
    return match[0] if rest == match[0] else _INTERNATIONAL.sub(_replace_phone, rest)


def _replace_cards(match: re.Match[str]) -> str:
    groups = list(re.finditer(r"\d+", match[0]))
    text, done, at = "", 0, 0
    while at < len(groups):
        if groups[at].end() - groups[at].start() < 4:  # no card begins like this
            at += 1
            continue
        count = next((n for n in (1, 3, 4, 5) if is_card([g[0] for g in groups[at : at + n]], n)), 0)
        if count:
            text += match[0][done : groups[at].start()] + "[CARD]"
            done = groups[at + count - 1].end()
        at += count or 1
    return text + match[0][done:]


_REPLACEMENTS: Final[tuple[tuple[int, Callable[[str], str]], ...]] = (
    (TOKEN, lambda text: _JWT.sub("[TOKEN]", text)),
    (KEY, lambda text: _KEY.sub(_replace_key, text)),
    (BEARER, lambda text: _BEARER.sub(_replace_bearer, text)),
    (EMAIL, lambda text: _EMAIL.sub(_replace_email, text)),
    (IBAN, lambda text: _IBAN.sub(_replace_iban, text)),
    (CARD, lambda text: _DIGITS.sub(_replace_cards, text)),
    (INTERNATIONAL, lambda text: _INTERNATIONAL.sub(_replace_phone, text)),
    (AMERICAN, lambda text: _AMERICAN.sub("[PHONE]", text)),
)
"""Replacements by kind, in this order: each leaves the placeholders of the earlier ones alone."""

_MAX_CACHED_CHARACTERS: Final = 32_768


def redact_prompt(text: str) -> str:
    """Redact a repeated text, such as a system prompt; the last 128 are cached, in memory only."""
    return _redact_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else default_redactor(text)


_redact_cached = lru_cache(maxsize=128)(default_redactor)
