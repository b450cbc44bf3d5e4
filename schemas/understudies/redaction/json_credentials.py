"""Mask credentials in JSON that a text is or holds, such as the arguments of a tool, by the names of their fields.

Only the credential is replaced, and nothing else of the text changes: the JSON stays as it was written, so fields that
hold no credential keep every character. The text may be cut off, stand in prose or a code block, and JSON may stand
in a string of other JSON.
"""

import re
from collections.abc import Iterator
from typing import Final

from understudies.redaction.credential_names import Certainty, credential_certainty, is_credential

CREDENTIAL_PLACEHOLDER: Final = "[KEY]"

_SIGNS: Final = ("pass", "pwd", "senha", "contrase", "kennwort", "secret", "key", "token", "jwt", "auth", "credential")
"""What is in the names of credentials, in lower case. All are searched for by their text, not by a pattern."""
_RAW_SIGNS: Final = tuple(sign.encode() for sign in _SIGNS)
_MAX_NAME: Final = 64
_MAX_SLASHES: Final = 8
_NESTED: Final = frozenset({0, 1, 3, 7})
"""Numbers of backslashes before the quotes of JSON: of its own, in a string, in a string in a string, and once more."""
_BLANK: Final = r"(?:\s|\\{1,8}[nrt])*+"
_FIELD: Final = re.compile(
    rf'(?P<slashes>\\{{0,8}})"(?P<name>[^"\\\n]{{1,{_MAX_NAME}}})(?P=slashes)"{_BLANK}'
    rf'(?::|,{_BLANK}(?P=slashes)"value(?P=slashes)"{_BLANK}:){_BLANK}'
)
"""A field up to its value; of `"name": "password", "value": ...` from the name that counts to the value that does."""
_BETWEEN: Final = re.compile(rf"{_BLANK},{_BLANK}")
_NUMBER: Final = re.compile(r"\d{4,}(?=\s*[,}\]]|\s*\Z)")


def has_json_credentials(raw: bytes) -> bool:
    """Return whether compact JSON may have a text that is or holds JSON with a credential."""
    # Not by `in`, which first takes what is searched for as a number, and raises and drops an error.
    if raw.find(b'\\":') < 0 and raw.find(b'\\" :') < 0:
        return False
    lower = raw.lower()
    return any(lower.find(sign) >= 0 for sign in _RAW_SIGNS)


def mask_json_credentials(text: str) -> str:
    r"""Replace credentials in the JSON that a text is or holds; return the same object if there are none.

    >>> mask_json_credentials('{"user": "ada", "password": "hunter2", "retries": 1.0}')
    '{"user": "ada", "password": "[KEY]", "retries": 1.0}'
    >>> mask_json_credentials(r'{"body": "{\"api_key\": \"k-1\"}"}')
    '{"body": "{\\"api_key\\": \\"[KEY]\\"}"}'
    """
    if '":' not in text and '" :' not in text:
        return text
    pieces, done = list[str](), 0
    for place in _places_of_names(text):
        match = _FIELD.match(text, place) if place >= done else None
        if match is None or len(match["slashes"]) not in _NESTED:
            continue
        for start, end, masked in _credentials_at(text, match.end(), len(match["slashes"]), match["name"]):
            pieces += [text[done:start], masked]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def _places_of_names(text: str) -> list[int]:
    """Return where quoted texts with a sign begin, in order, with the backslashes before their quotes."""
    lower, places = text.lower(), set[int]()
    if len(lower) != len(text):  # a few letters of other scripts are longer in lower case
        lower = "".join(character.lower() if character.isascii() else character for character in text)
    for sign in _SIGNS:
        at = lower.find(sign)
        while at >= 0:
            quote = text.rfind('"', max(0, at - _MAX_NAME), at)
            if quote >= 0:
                places.add(quote - _count_slashes(text, quote, max(0, quote - _MAX_SLASHES)))
            at = lower.find(sign, at + len(sign))
    return sorted(places)


def _credentials_at(text: str, at: int, slashes: int, name: str) -> Iterator[tuple[int, int, str]]:
    """Yield the credentials of the value that begins at a place: where each is, and what stands there instead."""
    is_list = text.startswith("[", at)
    certainty = credential_certainty(name) or (credential_certainty(name.rstrip("sS")) if is_list else None)
    if certainty is None:
        return
    if is_list:
        yield from _credentials_in_list(text, at + 1, slashes, certainty)
    elif (value := _string_at(text, at, slashes)) is not None:
        start, end = value
        if is_credential(certainty, text[start:end]):
            yield start, end, CREDENTIAL_PLACEHOLDER
    elif certainty == "password" and (number := _NUMBER.match(text, at)) is not None:
        quote = "\\" * slashes + '"'
        yield *number.span(), f"{quote}{CREDENTIAL_PLACEHOLDER}{quote}"


def _credentials_in_list(text: str, at: int, slashes: int, certainty: Certainty) -> Iterator[tuple[int, int, str]]:
    while (value := _string_at(text, at, slashes)) is not None:
        start, end = value
        if is_credential(certainty, text[start:end]):
            yield start, end, CREDENTIAL_PLACEHOLDER
        between = _BETWEEN.match(text, end + slashes + 1)
        if between is None:
            return
        at = between.end()


def _string_at(text: str, at: int, slashes: int) -> tuple[int, int] | None:
    """Return where the string that begins at a place has its text; None if no string begins there.

    Its end is a quote with as many backslashes as its beginning, on top of those of whole escaped backslashes. One that
    is cut off goes up to the end of the line.
    """
    start = at + slashes + 1
    if not text.startswith("\\" * slashes + '"', at):
        return None
    quote = text.find('"', start)
    while quote >= 0:
        if _count_slashes(text, quote, start) % (2 * (slashes + 1)) == slashes:
            return start, quote - slashes
        quote = text.find('"', quote + 1)
    line_end = text.find("\n", start)
    return start, len(text) if line_end < 0 else line_end


def _count_slashes(text: str, quote: int, start: int) -> int:
    """Return the number of backslashes right before a quote, none of them before `start`."""
    at = quote
    while at > start and text[at - 1] == "\\":
        at -= 1
    return quote - at
