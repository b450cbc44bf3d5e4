"""Search a text quickly for signs of sensitive data; without its sign, no text of a kind can be present.

Searching for short strings takes a hundredth of the time of the patterns. For kinds without a string of their own, the
text is searched with every letter as `a`, every digit as `0`, a few marks as themselves, and all else as `?`.
"""

import re
import string
from typing import Final

PEM: Final = 1
TOKEN: Final = 2
KEY: Final = 4
BEARER: Final = 8
EMAIL: Final = 16
IBAN: Final = 32
CARD: Final = 64
INTERNATIONAL: Final = 128
AMERICAN: Final = 256
ALL_KINDS: Final = PEM | TOKEN | KEY | BEARER | EMAIL | IBAN | CARD | INTERNATIONAL | AMERICAN


def _byte_class_table(non_ascii_class: str) -> bytes:
    table = bytearray(b"?" * 128 + non_ascii_class.encode() * 128)
    for kind, characters in (("a", string.ascii_letters), ("0", string.digits)):
        for character in characters:
            table[ord(character)] = ord(kind)
    for mark in " .-+()\n":
        table[ord(mark)] = ord(mark)
    return bytes(table)


_ASCII_CLASSES: Final = _byte_class_table("?")
_WIDE_CLASSES: Final = _byte_class_table("0")
"""Phone numbers may have digits of other scripts, so any character that is not ASCII may be one."""

# Each pattern begins with one rare character, which is found many times as fast as a word; underscores are not so rare,
# so what precedes one is first looked at by two characters.
_TOKEN: Final = re.compile(rb"J(?<=eyJ)")
_KEYS: Final = (
    re.compile(
        rb"_(?<=[ahpsv][efmoprstu]_)(?:(?<=k_live_)|(?<=k_test_)|(?<=gh[pousr]_)|(?<=github_pat_)|(?<=hf_)|(?<=npm_))"
    ),
    re.compile(rb"-(?:(?<=sk-)|(?<=glpat-)|(?<=xox[abeoprs]-)|(?<=pypi-))"),
    re.compile(rb"A(?:KIA|SIA|ROA|IDA|Iza)"),
)
# Both begin with a string that is found quickly, and examine a bounded number of characters from there.
_MIN_DIGITS: Final = 7
"""Digits of the shortest number but an IBAN, an American phone's without its area."""
_IBAN: Final = re.compile(rb"aa00(?: ?[a0]){11}")
_INTERNATIONAL: Final = re.compile(rb"\+0(?:(?:[ .-]|\) ?| ?\()?0){7}")


def possible_kinds(raw: bytes, wanted_kinds: int = ALL_KINDS) -> int:
    """Return the kinds with a sign in the text, in UTF-8, as the sum of their numbers.

    The text may also be the JSON that contains it: nothing that is searched for is escaped there.
    """
    # `in` would first take what is searched for as a number, and raise and drop an error, which takes longer.
    find = raw.find
    signs = 0
    if wanted_kinds & PEM and find(b"-----BEGIN ") >= 0:
        signs |= PEM
    if wanted_kinds & TOKEN and _TOKEN.search(raw):
        signs |= TOKEN
    if wanted_kinds & KEY and (_KEYS[0].search(raw) or _KEYS[1].search(raw) or _KEYS[2].search(raw)):
        signs |= KEY
    if wanted_kinds & BEARER and (find(b"earer") >= 0 or find(b"EARER") >= 0):
        signs |= BEARER
    if wanted_kinds & EMAIL and find(b"@") >= 0:
        signs |= EMAIL
    return signs | (
        _possible_number_kinds(raw, wanted_kinds) if wanted_kinds & ~(PEM | TOKEN | KEY | BEARER | EMAIL) else 0
    )


def _possible_number_kinds(raw: bytes, wanted: int) -> int:
    kinds = raw.translate(_ASCII_CLASSES)
    find = kinds.find
    signs = 0
    if wanted & IBAN and find(b"aa00") >= 0 and _IBAN.search(kinds):
        signs |= IBAN
    if kinds.count(b"0") < _MIN_DIGITS and raw.isascii():
        return signs
    if wanted & CARD and (find(b"0000-0000") >= 0 or find(b"0000 0000") >= 0 or find(b"0000000000000") >= 0):
        signs |= CARD
    if not raw.isascii():
        kinds = raw.translate(_WIDE_CLASSES)
        find = kinds.find
    if wanted & INTERNATIONAL and find(b"+0") >= 0 and _INTERNATIONAL.search(kinds):
        signs |= INTERNATIONAL
    if wanted & AMERICAN and (find(b"000-0000") >= 0 or find(b"000.0000") >= 0):
        signs |= AMERICAN
    return signs
