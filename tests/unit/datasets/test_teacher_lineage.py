from datetime import date

import pytest

from understudies.datasets.teacher_lineage import read_model_list, retirement_of, terms_of


@pytest.mark.parametrize(
    ("model", "may_train"),
    [
        ("gpt-5-mini-2025-08-07", "no competing model"),
        ("gpt-oss-20b", "yes"),
        ("Claude-Opus-4-1-20250805", "with approval"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "with approval"),
        ("deepseek-ai/DeepSeek-R1", "yes"),
        ("deepseek-chat", "unknown"),
        ("mistral-large", "unknown"),
        ("", "unknown"),
    ],
)
def test_terms_go_by_the_models_name_and_what_is_unknown_is_said_to_be(model: str, may_train: str) -> None:
    assert terms_of(model).may_train == may_train
    sentence = terms_of(model).sentence
    assert sentence.startswith(may_train)
    assert ("as of 20" in sentence) is (may_train != "unknown")


def test_a_declared_date_has_precedence_over_the_table() -> None:
    known = retirement_of("gpt-4")
    assert known is not None
    assert (known.on, known.at.hour, known.at.tzname()) == (date(2026, 10, 23), 0, "UTC")
    assert "OpenAI, Deprecations" in known.source
    declared = {"gpt-4": None, "own": date(2027, 1, 1)}
    assert retirement_of("gpt-4", declared) is None
    own = retirement_of("own", declared)
    assert own is not None
    assert (own.on, own.source) == (date(2027, 1, 1), "declared in the rules")
    assert retirement_of("gpt-9", declared) is None


def test_a_list_of_models_states_dates_in_several_ways() -> None:
    body = b"""{"object": "list", "data": [
        {"id": "a", "shutdown_date": "2027-03-01"},
        {"id": "b", "deprecation": "2027-03-02T10:00:00Z"},
        {"id": "c", "retirement_date": 1803859200},
        {"id": "d", "deprecation": null}, {"id": "e", "shutdown_date": "soon"}, {"id": "f", "deprecation": true}
    ]}"""
    assert read_model_list(body) == {"a": date(2027, 3, 1), "b": date(2027, 3, 2), "c": date(2027, 3, 1)}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": [1]}', b'{"data": [{"shutdown_date": "2027-01-01"}]}'])
def test_what_is_no_list_of_models_is_said_to_be(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"no list of models|Expecting value"):
        read_model_list(body)
