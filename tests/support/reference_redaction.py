"""Redaction as it was first written, slow and plain: what the fast one has to agree with, letter by letter."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import reduce
from typing import Any

from understudies.events import Invocation, Request, Response, fingerprint
from understudies.redaction.account_numbers import compile_iban_pattern, is_card, is_iban
from understudies.redaction.credential_names import credential_certainty, is_credential
from understudies.redaction.json_credentials import mask_json_credentials

Redactor = Callable[[str], str]
"""Replaces what must not leave the process; called with every text of a call."""

# Every pattern starts only where a run of its characters starts and gives nothing back (possessive
# quantifiers), so the time is linear in the length of the text whatever the text. Before Python 3.11.5 such a
# quantifier on a group keeps what a last, failed round looked at: hence none on the groups of _PEM and _EMAIL.
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
_BEARER = re.compile(r"(?<![A-Za-z0-9])([Bb]earer|BEARER)([ \t]{1,4})([\w.~+/=-]{16,}+)")
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)+")
_DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,}+(?!\w|\.\d)")
_IBAN = compile_iban_pattern()
_INTERNATIONAL = re.compile(r"(?<![\w+.])\+[1-9](?:(?:[ .-]|\) ?| ?\()?\d){7,}+(?!\w|[.,]\d)")
_AMOUNT = re.compile(r"\+\d+\.\d\d")
_AMERICAN = re.compile(r"(?<![\w.-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])\d{3}[.-]\d{4}(?!\w|[.-]\d)")
_CREDENTIAL = re.compile(
    r"authorization([_-]token)?|(x[_-])?api[_-]key|apikey|password|passwd|(client[_-])?secret|(access|refresh)[_-]token|"
    r"private[_-]key",
    re.IGNORECASE | re.ASCII,
)


def default_redactor(text: str) -> str:
    """Replace keys, tokens, e-mail addresses, payment cards, IBANs and phone numbers by placeholders such as `[EMAIL]`.

    Cards need a known issuer and a valid check digit, IBANs a known country and a valid checksum; phone
    numbers need a leading `+` or the American form, since amounts, dates and order numbers must stay.

    >>> default_redactor("Write to ada@example.org, order 4711, total 1,299.00")
    'Write to [EMAIL], order 4711, total 1,299.00'
    """
    text = _PEM.sub("[PRIVATE_KEY]", text)
    text = _JWT.sub("[TOKEN]", text)
    text = _KEY.sub(_key, text)
    text = _BEARER.sub(_bearer, text)
    if "@" in text:
        text = _EMAIL.sub(_email, text)
    text = _IBAN.sub(lambda match: "[IBAN]" if is_iban(match[0]) else match[0], text)
    text = _DIGITS.sub(_cards, text)
    text = _INTERNATIONAL.sub(_phone, text)
    return _AMERICAN.sub("[PHONE]", text)


def combined(*redactors: Redactor) -> Redactor:
    """One redactor that applies several, in order."""
    return lambda text: reduce(lambda so_far, redactor: redactor(so_far), redactors, text)


def redacted_request(request: Request, redact: Redactor = default_redactor) -> Request:
    """The request with every text redacted."""
    return Request.model_validate(_walk(request.model_dump(exclude_none=True), redact))


def redacted(
    invocation: Invocation, redact: Redactor = default_redactor, *, request: Request | None = None
) -> Invocation:
    """The invocation with every text redacted, and the fingerprint of what is left.

    `request` is its request, redacted before.
    """
    if request is None:
        request = redacted_request(invocation.request, redact)
    response = invocation.response and Response.model_validate(
        _walk(invocation.response.model_dump(exclude_none=True), redact)
    )
    return invocation.model_copy(
        update={
            "request": request,
            "response": response,
            "error": None if invocation.error is None else redact(mask_json_credentials(invocation.error)),
            "tags": {redact(key): redact(value) for key, value in invocation.tags.items()},
            "episode": invocation.episode and _episode(invocation.episode, redact),
            "fingerprint": invocation.fingerprint if request == invocation.request else fingerprint(request),
        }
    )


def _episode(name: str, redact: Redactor) -> str:
    clean = redact(name)
    if clean == name:
        return name
    return f"{clean}-{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _walk(value: Any, redact: Redactor, *, in_text: bool = False) -> Any:
    if isinstance(value, str):
        return _text(value, redact)
    if isinstance(value, dict):
        shown = value if in_text else {key: _masked(key, item, value) for key, item in value.items()}
        return {key: _walk(item, redact, in_text=in_text) for key, item in shown.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, redact, in_text=in_text) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, redact)
    return value


def _text(text: str, redact: Redactor) -> str:
    text = mask_json_credentials(text)  # which has an oracle of its own
    clean = redact(text)
    if clean == text or text.lstrip()[:1] not in ("{", "["):
        return clean
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return clean
    # JSON stays JSON: a card number without quotes becomes a quoted placeholder.
    return json.dumps(_walk(parsed, redact, in_text=True), ensure_ascii=False)


def _masked(key: str, item: Any, around: dict[str, Any]) -> Any:
    """What is left of a field: nothing of a credential, and nothing of a server's headers."""
    if isinstance(item, str) and item:
        certainty = credential_certainty(key)
        if _CREDENTIAL.fullmatch(key) or (certainty is not None and is_credential(certainty, item)):
            return "[KEY]"
    at_a_server = any(
        isinstance(around.get(name), str) for name in ("server_url", "url", "server_label", "connector_id")
    )
    return dict.fromkeys(item, "[KEY]") if key == "headers" and isinstance(item, dict) and at_a_server else item


def _number(number: float, redact: Redactor) -> float | str:
    clean = redact(str(number))
    return number if clean == str(number) else clean


def _key(match: re.Match[str]) -> str:
    return "[KEY]" if any(character.isdigit() for character in match[0]) else match[0]


def _bearer(match: re.Match[str]) -> str:
    if not any(character.isdigit() for character in match[3]):
        return match[0]
    return f"{match[1]}{match[2]}[TOKEN]"


def _email(match: re.Match[str]) -> str:
    top = match[0].rsplit(".", 1)[-1]
    return "[EMAIL]" if len(top) > 1 and (top.isalpha() or top.startswith("xn--")) else match[0]


def _phone(match: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in match[0])
    if digits > 15 and _AMERICAN.search(match[0]):
        return _INTERNATIONAL.sub(_phone, _AMERICAN.sub("[PHONE]", match[0]))
    return match[0] if digits > 15 or _AMOUNT.fullmatch(match[0]) else "[PHONE]"


def _cards(match: re.Match[str]) -> str:
    groups = list(re.finditer(r"\d+", match[0]))
    text, done, at = "", 0, 0
    while at < len(groups):
        if groups[at].end() - groups[at].start() < 4:  # no card begins so
            at += 1
            continue
        count = next((n for n in (1, 3, 4, 5) if is_card([g[0] for g in groups[at : at + n]], n)), 0)
        if count:
            text += match[0][done : groups[at].start()] + "[CARD]"
            done = groups[at + count - 1].end()
        at += count or 1
    return text + match[0][done:]
