import doctest
from datetime import date
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.students.extractor import alignment, fields, obstacles, readers, tokens, vocabulary
from understudies.students.extractor.readers import READERS, Scalar, parse_date, parse_number, parse_time, read_span


@pytest.mark.parametrize(
    ("name", "span", "value"),
    [
        ("text", "Porto  Alegre", "Porto  Alegre"),
        ("squeezed", "Porto \n Alegre", "Porto Alegre"),
        ("lower", "Blue  Pens", "blue pens"),
        ("upper", "eur", "EUR"),
        ("title", "new york", "New York"),
        ("integer_plain", "1250", 1250),
        ("integer_plain", "-5", -5),
        ("integer_plain", "1,250", None),
        ("integer", "1,250", 1250),
        ("integer", "1.250", 1250),
        ("integer", "3.5", None),
        ("integer", "many", None),
        ("integer_point", "1.000", None),
        ("integer_point", "1,000", 1000),
        ("integer_comma", "1.000", 1000),
        ("number", "2018.71", 2018.71),
        ("number", "7", 7),
        ("number", "1'234'567,5", 1234567.5),
        ("number", "1,234,567.891", 1234567.891),
        ("number", "12,345.678", 12345.678),
        ("number", "-0.125", -0.125),
        ("number", ".125", 0.125),
        ("number", "1.2.3", None),
        ("number", "192.168.1.1", None),
        ("number", "10,20,30", None),
        ("number", "12.03.2026", None),
        ("number", "9" * 40, None),
        ("number", "3.", None),
        ("number", "\u0661\u0662", None),
        ("number_plain_point", "3.125", 3.125),
        ("number_plain_point", "1,234", None),
        ("number_plain_comma", "3,125", 3.125),
        ("number_point", "1,234", 1234),
        ("number_comma", "1,234", 1.234),
        ("fixed_2_point", "7.125", None),
        ("fixed_0_comma", "0,125", None),
        ("fixed_2_point", "1,007", "1007.00"),
        ("fixed_2_comma", "7,5", "7.50"),
        ("fixed_0_point", "1,250", "1250"),
        ("number_word", "Twenty-one", 21),
        ("number_word", "one-twenty", None),
        ("number_word", "sofa", None),
        ("date", "20.11.2026", "2026-11-20"),
        ("date", "3rd of March 2026", "2026-03-03"),
        ("date", "12. märz 2026", "2026-03-12"),
        ("date", "31.2.2026", None),
        ("date", "soon", None),
        ("date_month_first", "11/20/26", "2026-11-20"),
        ("time", "3:05 pm", "15:05"),
        ("time", "13 pm", None),
        ("compact", "ab 12-34.5", "AB12345"),
        ("digits", "+41 (0)61 123", "41061123"),
        ("digits", "none", None),
    ],
)
def test_a_span_is_read(name: str, span: str, value: Scalar) -> None:
    found = READERS[name].read(span)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "value", "spans"),
    [
        ("text", "send it to Graz, Graz", "Graz", ["Graz", "Graz"]),
        ("text", "send it to graz", "Graz", []),
        ("lower", "Article: Blue  Pens", "blue pens", ["Blue  Pens"]),
        ("integer", "5 or 1,250 of 1250.5", 1250, ["1,250"]),
        ("integer_plain", "five of 5 at 5.0", 5, ["5"]),
        ("number", "five of 5 at 5.0", 5, ["5", "5.0"]),
        ("number_point", "we pay $1,030.50.", 1030.5, ["1,030.50"]),
        ("integer_plain", "12k or 12%, not -12", 12, []),
        ("text", "x" * 300, "x" * 300, []),
        ("date", "by 20.11.2026 or 2026-11-20", "2026-11-20", ["20.11.2026", "2026-11-20"]),
        ("compact", "IBAN CH93 0076 2011", "CH9300762011", ["CH93 0076 2011"]),
        ("integer", "5", True, []),
        ("integer", "5", "5", []),
        ("text", "anything", "", []),
        ("text", "anything", None, []),
    ],
)
def test_the_spans_of_a_value_are_found(name: str, text: str, value: Scalar, spans: list[str]) -> None:
    assert [text[start:end] for start, end in READERS[name].find(text, value)] == spans


@given(st.floats(0, 1e9).map(lambda number: round(number, 2)), st.sampled_from(("{:,.2f}", "{:.2f}", "{:_.2f}")))
def test_a_number_is_read_however_it_is_grouped(number: float, form: str) -> None:
    written = form.format(number).replace("_", "'")
    assert parse_number(written) == number
    european = written.replace(",", "#").replace(".", ",").replace("#", ".")
    assert parse_number(european) == number


@given(st.dates(date(1970, 1, 1), date(2069, 12, 31)))
def test_a_date_is_read_in_every_order(day: date) -> None:
    assert parse_date(day.isoformat()) == day.isoformat()
    assert parse_date(f"{day.day}/{day.month}/{day.year}") == day.isoformat()
    assert parse_date(f"{day.month}/{day.day}/{day:%y}", month_first=True) == day.isoformat()
    assert parse_date(f"{day:%B} {day.day}, {day.year}") == day.isoformat()


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in READERS.values():
        value = reader.read(text)
        assert value is None or isinstance(value, str | int | float)
    assert parse_time(text) is None or ":" in str(parse_time(text))


@pytest.mark.parametrize(
    ("name", "text", "span", "value"),
    [
        ("integer_plain", "send 5 pens", "5", 5),
        ("integer_plain", "send -5 pens", "5", None),
        ("number_point", "1,030.50", "030.50", None),
        ("number_point", "pay 1,030.50 now", "1,030.50", 1030.5),
        ("number_word", "twenty-five pens", "five", None),
        ("date", "by 12.3.2026", "2.3.2026", None),
        ("text", "to Graz", "Graz", "Graz"),
    ],
)
def test_a_part_of_what_stands_there_is_not_read(name: str, text: str, span: str, value: Scalar) -> None:
    start = text.index(span)
    assert read_span(name, text, start, start + len(span)) == value


@pytest.mark.parametrize("module", [alignment, fields, obstacles, readers, tokens, vocabulary])
def test_the_examples_run_as_written(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.failed == 0
    assert outcome.attempted > 0
