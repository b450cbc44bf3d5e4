"""Recognise national identity numbers by their forms and check digits."""

import re
from collections.abc import Callable
from typing import Final

from understudies.redaction.account_numbers import has_valid_luhn

_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_CHARACTERS: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_VERHOEFF_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_brazilian(text: str) -> bool:
    digits = _digits(text)
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        rest = _weighted(digits, tuple(range(length + 1, 1, -1))) * 10 % 11 % 10
        if rest != int(digits[length]):
            return False
    return True


def _is_german(text: str) -> bool:
    digits = _digits(text)
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    repeated = max(digits[:10].count(digit) for digit in set(digits[:10]))
    return (11 - product) % 10 == int(digits[10]) and 2 <= repeated <= 3


def _is_french(text: str) -> bool:
    compact = re.sub(r"\s", "", text).upper().replace("2A", "19").replace("2B", "18")
    return 97 - int(compact[:13]) % 97 == int(compact[13:])


def _is_spanish(text: str) -> bool:
    compact = text.replace("-", "").upper()
    number = compact[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(number) % 23] == compact[-1]


def _is_belgian(text: str) -> bool:
    digits = _digits(text)
    return int(digits[9:]) in (97 - int(century + digits[:9]) % 97 for century in ("", "2"))


def _is_polish(text: str) -> bool:
    digits = _digits(text)
    month = int(digits[2:4]) % 20
    total = _weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3))
    return 1 <= month <= 12 and 1 <= int(digits[4:6]) <= 31 and (10 - total % 10) % 10 == int(digits[10])


def _is_finnish(text: str) -> bool:
    compact = text.upper()
    return _HETU_CHARACTERS[int(compact[:6] + compact[7:10]) % 31] == compact[10]


def _is_indian(text: str) -> bool:
    """Check the digit by the scheme of Verhoeff, over the dihedral group of order 10."""
    check = 0
    for place, digit in enumerate(reversed(_digits(text))):
        value = int(digit)
        for _ in range(place % 8):
            value = _VERHOEFF_PERMUTATION[value]
        check = _multiply(check, value)
    return check == 0


def _multiply(left: int, right: int) -> int:
    """Multiply in the dihedral group: 0-4 are rotations, 5-9 reflections."""
    if left < 5:
        return (left + right) % 5 if right < 5 else (left + right - 5) % 5 + 5
    return (left - 5 - right) % 5 + 5 if right < 5 else (left - right) % 5


def _has_luhn(text: str) -> bool:
    return has_valid_luhn(_digits(text))


_Form = tuple[re.Pattern[str], Callable[[str], bool]]


def _form(pattern: str, check: Callable[[str], bool] = lambda _: True) -> _Form:
    return re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-]|\.\d)", re.ASCII), check


NATIONAL_IDS: Final[tuple[_Form, ...]] = (
    _form(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}"),  # United States
    _form(r"(?i:(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D])"),  # Britain
    _form(r"\d{3}[ -]\d{3}[ -]\d{3}", _has_luhn),  # Canada
    _form(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d", _is_french),
    _form(r"(?i:(?:\d{8}|[XYZ]-?\d{7})-?[A-Z])", _is_spanish),
    _form(r"(?i:[A-Z]{6}\d\d[A-EHLMPRST](?:[0-7]\d)[A-Z]\d{3}[A-Z])"),  # Italy
    _form(r"[1-9]\d(?: ?\d{3}){3}", _is_german),
    _form(r"\d\d\.(?:0\d|1[0-2])\.[0-3]\d-\d{3}\.\d\d", _is_belgian),
    _form(r"\d{11}", _is_polish),
    _form(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}", _has_luhn),  # Sweden
    _form(r"(?i:[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y])", _is_finnish),
    _form(r"\d{3}\.\d{3}\.\d{3}-\d\d", _is_brazilian),
    _form(r"[2-9]\d{3} \d{4} \d{4}", _is_indian),
)
"""Forms of national numbers, each with the check of its digits."""
