"""Read the value that a span of text stands for: as written, in another case, as a number, a date or a time."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import JsonValue

Scalar = str | int | float | bool | None

_MAX_OCCURRENCES: Final = 20
"""Places of a value in a text that are looked at."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One way in which a span stands for a value.

    `read` returns the value of a span, or None if the span is none of that kind; `find` yields the spans of a text that
    stand for a value.
    """

    name: str
    read: Callable[[str], Scalar]
    find: Callable[[str, Scalar], Iterator[tuple[int, int]]]


def _find_written(normalize: Callable[[str], str]) -> Callable[[str, Scalar], Iterator[tuple[int, int]]]:
    """Return a search for spans that give the value once they are normalized, whatever their case and spaces."""

    def find(text: str, value: Scalar) -> Iterator[tuple[int, int]]:
        if not isinstance(value, str) or not value.strip():
            return
        pattern = r"\s+".join(re.escape(word) for word in value.split())
        for number, match in enumerate(re.finditer(pattern, text, re.IGNORECASE)):
            if number >= _MAX_OCCURRENCES:
                return
            if normalize(match[0]) == value:
                yield match.span()

    return find


def _find_matches(
    pattern: re.Pattern[str], read: Callable[[str], Scalar]
) -> Callable[[str, Scalar], Iterator[tuple[int, int]]]:
    """Return a search among the spans that match a pattern."""

    def find(text: str, value: Scalar) -> Iterator[tuple[int, int]]:
        if isinstance(value, bool) or value is None:
            return
        for match in pattern.finditer(text):
            found = read(match[0])
            if found == value and isinstance(found, str) == isinstance(value, str):
                yield match.span()

    return find


_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,'\u00a0\u202f ]\d{3}(?!\d))*(?:[.,]\d+)?|[+-]?[.,]\d+")
_GROUPING: Final = re.compile(r"['\u00a0\u202f ]")


def parse_number(span: str, decimal: str | None = None) -> float | None:
    """Return the number that a span stands for; None if it is none.

    `decimal` is the decimal mark. Without one, the last mark is decimal unless it stands before three digits or occurs
    several times.

    >>> parse_number("1.234,50"), parse_number("1,234"), parse_number("0.125", "."), parse_number("12a")
    (1234.5, 1234.0, 0.125, None)
    """
    text = _GROUPING.sub("", span.strip())
    if not re.fullmatch(r"[+-]?[\d.,]*\d", text):
        return None
    if decimal is None:
        last = max(text.rfind("."), text.rfind(","))
        mark = text[last] if last >= 0 else "."
        is_grouping = last >= 0 and (text.count(mark) > 1 or (len(text) - last == 4 and not text.startswith("0")))
        decimal = {".": ",", ",": "."}[mark] if is_grouping else mark
    grouping = "," if decimal == "." else "."
    plain = text.replace(grouping, "").replace(decimal, ".")
    try:
        return float(plain)
    except ValueError:
        return None


def _integer(decimal: str | None) -> Callable[[str], Scalar]:
    def read(span: str) -> Scalar:
        number = parse_number(span, decimal)
        return int(number) if number is not None and number.is_integer() and abs(number) < 1e15 else None

    return read


def _float(decimal: str | None) -> Callable[[str], Scalar]:
    return lambda span: parse_number(span, decimal)


def _fixed(decimals: int) -> Callable[[str], Scalar]:
    def read(span: str) -> Scalar:
        number = parse_number(span)
        return None if number is None else f"{number:.{decimals}f}"

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
    return Reader(name, read, _find_matches(pattern, read))


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
        _matched("integer", _NUMBER, _integer(None)),
        _matched("float", _NUMBER, _float(None)),
        _matched("integer_point", _NUMBER, _integer(".")),
        _matched("float_point", _NUMBER, _float(".")),
        _matched("integer_comma", _NUMBER, _integer(",")),
        _matched("float_comma", _NUMBER, _float(",")),
        _matched("fixed_2", _NUMBER, _fixed(2)),
        _matched("fixed_0", _NUMBER, _fixed(0)),
        _matched("number_word", _WORD, _number_word),
        _matched("date", _DATE, parse_date),
        _matched("date_month_first", _DATE, lambda span: parse_date(span, month_first=True)),
        _matched("time", _TIME, parse_time),
        Reader("compact", _compact, _find_spaced(_compact)),
        Reader("digits", _digits, _find_spaced(_digits)),
    )
}
"""The readers by name, the simplest first: of readers that explain a field equally well, the first is taken."""


def read_span(names: tuple[str, ...], span: str) -> JsonValue:
    """Return the value of a span by the first of some readers that can read it; None if none can."""
    return next((value for name in names if (value := READERS[name].read(span)) is not None), None)
