"""What readers leave out for usual records changes nothing: any record is read the same with and without it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.log_records import RECORDS, changed_records, found_in

from understudies.events import json_values
from understudies.importers import (
    answer_rule,
    envelopes,
    formats,
    json_parsing,
    logger_marks,
    messages,
    partial_call,
    reader,
    responses,
    span_attributes,
    streams,
    usage,
)


class _Everything(frozenset[Any]):
    """A set that all values are in."""

    def __contains__(self, value: object) -> bool:
        return True


class _FullLayout(span_attributes._Layout):
    """A layout of attributes that may have a value at every path, and are put into their places one by one."""

    def __init__(self, names: tuple[str, ...], opened: tuple[str, ...]) -> None:
        super().__init__(names, opened)
        self.plan = None

    def __missing__(self, path: str) -> bool:
        return True


def found_the_long_way(record: dict[str, Any]) -> list[Any]:
    """What is read of a record if all recognisers, searches, conversions and patterns are tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelopes, "may_hold_records", lambda names: True)
        patch.setattr(reader, "may_join", lambda names: True)
        patch.setattr(reader, "possible_formats", lambda names: formats.FORMATS)
        patch.setattr(span_attributes, "_layout", _FullLayout)
        patch.setattr(partial_call, "are_plain", lambda messages: False)
        patch.setattr(partial_call, "has_texts_alone", lambda items: False)
        patch.setattr(messages, "_only_text_part", lambda item: None)
        for module in (messages, responses):
            patch.setattr(module, "only_text", lambda item: None)
        patch.setattr(responses, "_is_usual", lambda reason: False)
        patch.setattr(responses, "_PLAIN_ANSWER", frozenset())
        patch.setattr(responses, "_OTHER_THAN_MESSAGES", frozenset({"role"}))
        patch.setattr(streams, "_may_be_event", lambda first: True)
        patch.setattr(usage, "_adds_up", lambda found, fields: False)
        patch.setattr(answer_rule, "_USUAL_REPLY", frozenset())
        patch.setattr(answer_rule, "_USUAL_FINISHES", ())
        patch.setattr(answer_rule, "is_surely_unmarked", lambda text: False)
        patch.setattr(json_parsing, "_MAY_BEGIN_JSON", _Everything())
        patch.setattr(json_values, "_SCALARS", frozenset())
        without_prefilters(patch)
        return found_in(record)


def without_prefilters(patch: pytest.MonkeyPatch) -> None:
    """Try all patterns of marks on every text."""
    for name in ("_ORDINARY", "_ORDINARY_IN_ANSWERS", "_NOT_CUT"):
        patch.setattr(logger_marks, name, frozenset())
    patch.setattr(logger_marks, "_is_another_word", lambda text: False)
    patch.setattr(logger_marks, "_PROSE_BEGINNINGS", _Everything())


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
    (
        *(
            "",
            "[redacted]",
            "redacted-by-x",
            "***",
            "<NoneType x>",
            "Response too large to store",
            "Redacted",
            " redacted",
        ),
        *("the output was omitted", "re\u017fponse omitted", "\u212aey", "REDACTED", "read", "body-too-long"),
    )
)


@given(st.builds("{}{}{}".format, BEGINNINGS, st.text(max_size=8), ENDS), st.booleans())
def test_a_mark_is_found_whatever_a_text_begins_and_ends_with(text: str, answer: bool) -> None:
    found = logger_marks.withheld_mark(text, answer=answer), logger_marks.cut_mark(text, answer=answer)
    with pytest.MonkeyPatch.context() as patch:
        without_prefilters(patch)
        assert found == (logger_marks.withheld_mark(text, answer=answer), logger_marks.cut_mark(text, answer=answer))
