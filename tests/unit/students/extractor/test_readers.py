from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.students.extractor.readers import READERS, Scalar, parse_date, parse_number, parse_time, read_span


@pytest.mark.parametrize(
    ("name", "span", "value"),
    [
        ("text", "Porto  Alegre", "Porto  Alegre"),
        ("squeezed", "Porto \n Alegre", "Porto Alegre"),
        ("lower", "Blue  Pens", "blue pens"),
        ("upper", "eur", "EUR"),
        ("title", "new york", "New York"),
        ("integer", "1,250", 1250),
        ("integer", "1.250", 1250),
        ("integer", "3.5", None),
        ("integer", "many", None),
        ("integer_point", "1.000", 1),
        ("integer_comma", "1.000", 1000),
        ("float", "2018.71", 2018.71),
        ("float", "1'234'567,5", 1234567.5),
        ("float_point", "1,234", 1234.0),
        ("float_comma", "1,234", 1.234),
        ("fixed_2", "7", "7.00"),
        ("fixed_0", "1,250", "1250"),
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
        ("integer", "five of 5 at 5.0", 5, ["5", "5.0"]),
        ("float", "we pay $1,030.50.", 1030.5, ["1,030.50"]),
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


def test_the_first_reader_that_can_reads() -> None:
    assert read_span(("date", "text"), "1.2.2026") == "2026-02-01"
    assert read_span(("date", "text"), "soon") == "soon"
    assert read_span(("date",), "soon") is None
