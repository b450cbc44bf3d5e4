"""Read the value that a span of text stands for: as written, in another case, as a number, a date or a time."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

Scalar = str | int | float | bool | None

_MAX_OCCURRENCES: Final = 20
"""Places of a value in a text that are looked at."""
_MAX_LENGTH: Final = 200
"""Longer values are not looked for."""
_MARGIN: Final = 50
"""Characters around a span in which the value must be found at that place."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One way in which a span stands for a value.

    `read` returns the value of a span, or None if the span is none of that kind; `find` yields the spans of a text that
    stand for a value. `scan` yields all values of a text with their spans, where they can be told without one.
    """

    name: str
    read: Callable[[str], Scalar]
    find: Callable[[str, Scalar], Iterator[tuple[int, int]]]
    scan: Callable[[str], Iterator[tuple[Scalar, tuple[int, int]]]] | None = None


def _find_written(normalize: Callable[[str], str]) -> Callable[[str, Scalar], Iterator[tuple[int, int]]]:
    """Return a search for spans that give the value once they are normalized, whatever their case and spaces."""

    def find(text: str, value: Scalar) -> Iterator[tuple[int, int]]:
        if not isinstance(value, str) or not value.strip() or len(value) > _MAX_LENGTH:
            return
        pattern = r"\s+".join(re.escape(word) for word in value.split())
        for number, match in enumerate(re.finditer(pattern, text, re.IGNORECASE)):
            if number >= _MAX_OCCURRENCES:
                return
            if normalize(match[0]) == value:
                yield match.span()

    return find


def _scan_matches(
    pattern: re.Pattern[str], read: Callable[[str], Scalar]
) -> Callable[[str], Iterator[tuple[Scalar, tuple[int, int]]]]:
    """Return a search for all spans that match a pattern and can be read."""

    def scan(text: str) -> Iterator[tuple[Scalar, tuple[int, int]]]:
        for match in pattern.finditer(text):
            value = read(match[0])
            if value is not None:
                yield value, match.span()

    return scan


def _find_scanned(
    scan: Callable[[str], Iterator[tuple[Scalar, tuple[int, int]]]],
) -> Callable[[str, Scalar], Iterator[tuple[int, int]]]:
    """Return a search among the spans of a scan."""

    def find(text: str, value: Scalar) -> Iterator[tuple[int, int]]:
        if isinstance(value, bool):
            return
        for found, span in scan(text):
            if found == value and isinstance(found, str) == isinstance(value, str):
                yield span

    return find


_SPACES: Final = "'\u00a0\u202f "
_MAX_DIGITS: Final = 15
"""More do not fit into a float."""
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:[.,'\u00a0\u202f ]\d{3}(?!\d))*(?:[.,]\d+)?|[.,]\d+)(?!\d|%|[kKmM]\b)")


def parse_number(span: str, decimal: str | None = None, *, grouped: bool = True) -> int | float | None:
    """Return the number that a span stands for, whole if it has no decimal mark; None if it is none.

    `decimal` is the decimal mark. Without one, the last of two different marks is decimal; one that occurs several
    times, or once before three digits, groups thousands. Groups have three digits.

    >>> parse_number("1.234,50"), parse_number("1,234"), parse_number("-0.125"), parse_number("1.2.3")
    (1234.5, 1234, -0.125, None)
    >>> parse_number("1,234", ","), parse_number("1,234", ".", grouped=False)
    (1.234, None)
    """
    text = span.strip()
    sign, body = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    marks = [character for character in body if character in ".,"]
    if decimal is None:
        decimal = _decimal_mark(body, marks)
    whole, _, fraction = body.partition(decimal) if decimal else (body, "", "")
    grouping = {".": ",", ",": "."}.get(decimal, marks[0] if marks else ",")
    parts = re.split(f"[{re.escape(grouping)}{_SPACES}]", whole)
    has_groups = len(parts) > 1 and grouped and 1 <= len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:])
    digits = "".join(parts)
    all_digits = f"{digits}{fraction}"
    if (len(parts) > 1 and not has_groups) or (decimal and decimal in body and not fraction):
        return None
    if not (all_digits.isascii() and all_digits.isdecimal() and len(all_digits) <= _MAX_DIGITS):
        return None
    return float(f"{sign}{digits or 0}.{fraction}") if fraction else int(f"{sign}{digits}")


def _decimal_mark(body: str, marks: list[str]) -> str:
    """Return the mark that is decimal; "" if none is."""
    if not marks or (len(marks) > 1 and len(set(marks)) == 1):
        return ""
    is_grouping = len(marks) == 1 and re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", body)
    return "" if is_grouping else marks[-1]


def _integer(decimal: str | None, *, grouped: bool = True) -> Callable[[str], Scalar]:
    def read(span: str) -> Scalar:
        number = parse_number(span, decimal, grouped=grouped)
        return number if isinstance(number, int) else None

    return read


def _number(decimal: str | None, *, grouped: bool = True) -> Callable[[str], Scalar]:
    return lambda span: parse_number(span, decimal, grouped=grouped)


def _fixed(decimals: int, decimal: str) -> Callable[[str], Scalar]:
    def read(span: str) -> Scalar:
        number = parse_number(span, decimal)
        return None if number is None or round(number, decimals) != number else f"{number:.{decimals}f}"

    return read


# fmt: off
_SMALL_NUMBERS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)
_TENS: Final = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_MONTH_NAMES: Final = (
    ("january", "januar", "janvier", "enero", "gennaio"),
    ("february", "februar", "février", "febrero", "febbraio"),
    ("march", "märz", "mars", "marzo"),
    ("april", "avril", "abril", "aprile"),
    ("may", "mai", "mayo", "maggio"),
    ("june", "juni", "juin", "junio", "giugno"),
    ("july", "juli", "juillet", "julio", "luglio"),
    ("august", "août", "agosto"),
    ("september", "septembre", "septiembre", "settembre"),
    ("october", "oktober", "octobre", "octubre", "ottobre"),
    ("november", "novembre", "noviembre"),
    ("december", "dezember", "décembre", "diciembre", "dicembre"),
)
"""In English, German, French, Spanish and Italian."""
# fmt: on
_WORDS: Final = {word: number for number, word in enumerate(_SMALL_NUMBERS)} | {
    word: 10 * (number + 3) for number, word in enumerate(_TENS)
}
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)?")


def _number_word(span: str) -> Scalar:
    parts = [_WORDS.get(part) for part in span.strip().casefold().split("-")]
    if any(part is None for part in parts):
        return None
    tens, *ones = [part for part in parts if part is not None]
    if not ones:
        return tens
    return tens + ones[0] if len(ones) == 1 and tens >= 20 and tens % 10 == 0 and 0 < ones[0] < 10 else None


_MONTHS: Final = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names}
_SHORT_MONTHS: Final = {
    # "jui" begins two months of one language.
    name[:3]: number
    for name, number in reversed(_MONTHS.items())
    if name[:3] != "jui"
} | {"sept": 9}
_DATE: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
    r"|\d{1,2}[-/.] ?\d{1,2}[-/.] ?\d{2,4}"
    r"|\d{1,2}(?:st|nd|rd|th|\.)?(?: of)? [^\W\d_]{3,10}\.?,? \d{4}"
    r"|[^\W\d_]{3,10}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}",
    re.IGNORECASE,
)


def parse_date(span: str, *, month_first: bool = False) -> str | None:
    """Return the date that a span names, as YYYY-MM-DD; None if it names none.

    >>> parse_date("12.03.2026"), parse_date("3/12/26", month_first=True), parse_date("March 12th, 2026")
    ('2026-03-12', '2026-03-12', '2026-03-12')
    """
    if not _DATE.fullmatch(span.strip()):
        return None
    numbers = [int(digits) for digits in re.findall(r"\d+", span)]
    named = [month for word in re.findall(r"[^\W\d_]{3,}", span.casefold()) if (month := _month(word))]
    if named and len(numbers) == 2:
        year, month, day = numbers[1], named[0], numbers[0]
    elif len(numbers) != 3:
        return None
    elif numbers[0] > 31:
        year, month, day = numbers
    else:
        (month, day) = (numbers[0], numbers[1]) if month_first else (numbers[1], numbers[0])
        year = numbers[2]
    try:
        return date(year + 2000 if year < 70 else year + 1900 if year < 100 else year, month, day).isoformat()
    except ValueError:
        return None


def _month(word: str) -> int | None:
    return _MONTHS.get(word) or _SHORT_MONTHS.get(word)


_TIME: Final = re.compile(r"\d{1,2}(?:[:.]\d{2})?\s?[ap]\.?m\.?|\d{1,2}[:.h]\d{2}", re.IGNORECASE)


def parse_time(span: str) -> str | None:
    """Return the time of day that a span names, as HH:MM; None if it names none.

    >>> parse_time("3 pm"), parse_time("15.30"), parse_time("12:05 a.m."), parse_time("25:00")
    ('15:00', '15:30', '00:05', None)
    """
    text = span.strip().casefold()
    if not _TIME.fullmatch(text):
        return None
    hour, *minutes = (int(digits) for digits in re.findall(r"\d+", text))
    minute = minutes[0] if minutes else 0
    if "p" in text or "a" in text:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if "p" in text else 0)
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else None


def _compact(span: str) -> Scalar:
    return re.sub(r"[^\w]|_", "", span).upper() or None


def _digits(span: str) -> Scalar:
    return re.sub(r"\D", "", span) or None


def _find_spaced(read: Callable[[str], Scalar]) -> Callable[[str, Scalar], Iterator[tuple[int, int]]]:
    """Return a search for the characters of a value with marks or spaces between them."""

    def find(text: str, value: Scalar) -> Iterator[tuple[int, int]]:
        if not isinstance(value, str) or not 2 <= len(value) <= 40 or not value.isalnum():
            return
        pattern = r"[\W_]{0,2}".join(re.escape(character) for character in value)
        for number, match in enumerate(re.finditer(pattern, text, re.IGNORECASE)):
            if number >= _MAX_OCCURRENCES:
                return
            if read(match[0]) == value:
                yield match.span()

    return find


def _written(name: str, normalize: Callable[[str], str]) -> Reader:
    def read(span: str) -> Scalar:
        return normalize(span) or None

    return Reader(name, read, _find_written(normalize))


def _matched(name: str, pattern: re.Pattern[str], read: Callable[[str], Scalar]) -> Reader:
    scan = _scan_matches(pattern, read)
    return Reader(name, read, _find_scanned(scan), scan)


def _squeeze(span: str) -> str:
    return " ".join(span.split())


READERS: Final[dict[str, Reader]] = {
    reader.name: reader
    for reader in (
        _written("text", str),
        _written("squeezed", _squeeze),
        _written("lower", lambda span: _squeeze(span).lower()),
        _written("upper", lambda span: _squeeze(span).upper()),
        _written("title", lambda span: _squeeze(span).title()),
        # Those that recognise less come first: what training never showed, such as a group of thousands, is not read.
        _matched("integer_plain", _NUMBER, _integer(".", grouped=False)),
        _matched("integer_point", _NUMBER, _integer(".")),
        _matched("integer_comma", _NUMBER, _integer(",")),
        _matched("integer", _NUMBER, _integer(None)),
        _matched("number_plain_point", _NUMBER, _number(".", grouped=False)),
        _matched("number_plain_comma", _NUMBER, _number(",", grouped=False)),
        _matched("number_point", _NUMBER, _number(".")),
        _matched("number_comma", _NUMBER, _number(",")),
        _matched("number", _NUMBER, _number(None)),
        _matched("fixed_2_point", _NUMBER, _fixed(2, ".")),
        _matched("fixed_2_comma", _NUMBER, _fixed(2, ",")),
        _matched("fixed_0_point", _NUMBER, _fixed(0, ".")),
        _matched("fixed_0_comma", _NUMBER, _fixed(0, ",")),
        _matched("number_word", _WORD, _number_word),
        _matched("date", _DATE, parse_date),
        _matched("date_month_first", _DATE, lambda span: parse_date(span, month_first=True)),
        _matched("time", _TIME, parse_time),
        Reader("compact", _compact, _find_spaced(_compact)),
        Reader("digits", _digits, _find_spaced(_digits)),
    )
}
"""The readers by name, the simplest first: of readers that explain a field equally well, the first is taken."""


def read_span(name: str, text: str, start: int, end: int) -> Scalar:
    """Return the value of a span of a text by a reader; None if it cannot be read, or is a part of what can.

    >>> read_span("number_point", "we pay -1,030.50", 7, 16), read_span("number_point", "we pay -1,030.50", 8, 16)
    (-1030.5, None)
    """
    value = READERS[name].read(text[start:end])
    if value is None:
        return None
    first = max(0, start - _MARGIN)
    around = text[first : end + _MARGIN]
    return value if (start - first, end - first) in READERS[name].find(around, value) else None
