"""What readers leave out for usual records changes nothing: any record is read the same with and without it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.log_records import RECORDS, changed_records, found_in

from understudies.importers import (
    answer_rule,
    envelopes,
    formats,
    joins,
    logger_marks,
    messages,
    reader,
    responses,
    span_attributes,
)


class _Everything(frozenset[str]):
    """A set that all values are in."""

    def __contains__(self, value: object) -> bool:
        return True


def found_the_long_way(record: dict[str, Any]) -> list[Any]:
    """What is read of a record if all recognisers, searches, conversions and patterns are tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelopes, "may_hold_records", lambda names: True)
        patch.setattr(joins, "_may_join", lambda names: True)
        patch.setattr(reader, "possible_formats", lambda names: formats.FORMATS)
        patch.setattr(span_attributes, "_beginnings", lambda names: _Everything())
        patch.setattr(messages, "_only_text", lambda item: None)
        patch.setattr(responses, "_only_text", lambda message: None)
        patch.setattr(responses, "_is_usual", lambda reason: False)
        patch.setattr(answer_rule, "_USUAL_REPLY", frozenset())
        for name in ("_ORDINARY", "_ORDINARY_IN_ANSWERS", "_NOT_CUT"):
            patch.setattr(logger_marks, name, frozenset())
        return found_in(record)


@pytest.mark.parametrize("place", range(len(RECORDS)))
def test_records_of_all_formats_are_read_the_same_without_shortcuts(place: int) -> None:
    assert found_in(RECORDS[place]) == found_the_long_way(RECORDS[place])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(changed_records())
def test_changed_records_are_read_the_same_without_shortcuts(record: dict[str, Any]) -> None:
    assert repr(found_in(record)) == repr(found_the_long_way(record))  # by their texts, as NaN equals nothing


ENDS = st.sampled_from(
    (
        "",
        "]",
        ")",
        "... (truncated)",
        "[12 chars]",
        "5 more bytes",
        "...3 characters",
        "cut off]",
        "…truncated",
        "\u017f",
    )
)
BEGINNINGS = st.sampled_from(
    ("", "[redacted]", "redacted-by-x", "***", "<NoneType x>", "Response too large to store", "the output was omitted")
)


@given(st.builds("{}{}{}".format, BEGINNINGS, st.text(max_size=8), ENDS), st.booleans())
def test_a_mark_is_found_whatever_a_text_begins_and_ends_with(text: str, answer: bool) -> None:
    found = logger_marks.withheld_mark(text, answer=answer), logger_marks.cut_mark(text, answer=answer)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_ORDINARY", "_ORDINARY_IN_ANSWERS", "_NOT_CUT"):
            patch.setattr(logger_marks, name, frozenset())
        assert found == (logger_marks.withheld_mark(text, answer=answer), logger_marks.cut_mark(text, answer=answer))
