"""Recognise numbers of payment cards and bank accounts by their forms and check digits."""

import re
from collections.abc import Sequence

_GROUPINGS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)}
_ISSUERS = (
    re.compile(r"4(?:\d{12}|\d{15}|\d{18})"),  # Visa
    re.compile(r"(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+"),  # Mastercard
    re.compile(r"3[47]\d{13}"),  # American Express
    re.compile(r"3(?:0[0-5]|[68]\d)\d{11}"),  # Diners Club
    re.compile(r"(?:6011|64[4-9]|65)\d+"),  # Discover
    re.compile(r"35\d{14}"),  # JCB
    re.compile(r"62\d{14,17}"),  # UnionPay
)
_SIXTEEN_DIGIT_ISSUERS = {1, 4}

# ISO 13616 registry: length of the whole IBAN by country.
_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}


def has_valid_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + index % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def is_card(groups: Sequence[str], count: int) -> bool:
    """Return whether exactly `count` groups of digits are one payment card's number in its usual grouping."""
    if len(groups) != count or (count > 1 and tuple(map(len, groups)) not in _GROUPINGS):
        return False
    number = "".join(groups)
    return 13 <= len(number) <= 19 and number.isascii() and _has_known_issuer(number) and has_valid_luhn(number)


def _has_known_issuer(number: str) -> bool:
    for index, issuer in enumerate(_ISSUERS):
        if issuer.fullmatch(number):
            return index not in _SIXTEEN_DIGIT_ISSUERS or len(number) == 16
    return False


def compile_iban_pattern() -> re.Pattern[str]:
    """Return a pattern for text with the length and country of an IBAN, in one piece or in groups."""
    forms = (
        f"(?:{countries.replace(' ', '|')})[0-9]{{2}}(?: ?[A-Z0-9]){{{length - 4}}}"
        for length, countries in _IBAN_LENGTHS.items()
    )
    return re.compile(f"(?<![A-Z0-9])(?:{'|'.join(forms)})(?![A-Z0-9])", re.IGNORECASE | re.ASCII)


def is_iban(text: str) -> bool:
    """Return whether the checksum is valid (ISO 7064, modulo 97)."""
    compact = text.replace(" ", "").upper()
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
