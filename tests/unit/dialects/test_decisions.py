"""Closed questions with probabilities: OpenAI's Decisions and TypeSafe's System One."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.base import DecodedRequest, InvalidRequest
from understudies.dialects.capabilities import unsupported_feature
from understudies.dialects.detection import decode_request, decode_response, detect_api, is_response
from understudies.dialects.registry import dialect_of
from understudies.events import Usage, fingerprint, template_of

CHOICES = [{"value": "billing"}, {"value": "shipping", "description": "parcels"}, {"value": True}]
TEAM = {"type": "choice", "name": "team", "instructions": "Which team?", "choices": CHOICES}
URGENT = {"type": "predicate", "instructions": "It is urgent."}
ANGER = {
    "type": "score",
    "name": "anger",
    "instructions": "How angry?",
    "levels": [{"label": "calm"}, {"label": "furious"}],
}
DECISION: dict[str, Any] = {"model": "gpt-6-luna", "input": "my parcel is late", "questions": [TEAM, URGENT, ANGER]}
SYSTEM_ONE: dict[str, Any] = {
    "model": "jev-latest",
    "state": {"message": "my parcel is late"},
    "questions": {"team": {"type": "choice", "instructions": "Which team?", "criteria": {"billing": "money"}}},
}
USAGE = {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0}, "output_tokens": 3}
TEAM_ANSWER = {
    "type": "choice",
    "name": "team",
    "choice": "shipping",
    "confidence": 0.6,
    "probabilities": [{"value": "billing", "probability": 0.2}, {"value": "shipping", "probability": 0.8}],
}
URGENT_ANSWER = {"type": "predicate", "name": None, "probability": 0.25}
ANGER_ANSWER = {
    "type": "score",
    "name": "anger",
    "score": 0.9,
    "confidence": 0.8,
    "probabilities": [
        {"label": "calm", "value": 0, "probability": 0.1},
        {"label": "furious", "value": 1, "probability": 0.9},
    ],
}


def answered(*answers: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-6-luna-1", "answers": list(answers), "usage": USAGE, **fields}


def soft(body: dict[str, Any]) -> dict[str, list[tuple[Any, float]]]:
    labels = dialect_of("decisions").decode_response(body).response.probabilities or {}
    return {name: [(one.value, one.probability) for one in shares] for name, shares in labels.items()}


def test_the_answers_to_several_questions_are_one_object_with_all_probabilities() -> None:
    decoded = dialect_of("decisions").decode_response(answered(TEAM_ANSWER, URGENT_ANSWER, ANGER_ANSWER))
    values = {"team": "shipping", "answer_2": False, "anger": "furious"}
    assert json.loads(decoded.response.message.text) == values
    assert (decoded.model, decoded.response.finish_reason) == ("gpt-6-luna-1", "stop")
    assert decoded.usage == Usage(prompt_tokens=50, completion_tokens=3, cached_tokens=10)
    assert soft(answered(TEAM_ANSWER, URGENT_ANSWER, ANGER_ANSWER)) == {
        "team": [("billing", 0.2), ("shipping", 0.8)],
        "answer_2": [(True, 0.25), (False, 0.75)],
        "anger": [("calm", 0.1), ("furious", 0.9)],
    }


def test_the_answer_to_one_question_is_its_text() -> None:
    assert decode_response(answered(TEAM_ANSWER)).response.message.content == "shipping"
    assert decode_response(answered(URGENT_ANSWER)).response.message.content == "false"


def test_choices_are_typed() -> None:
    shares = [{"value": "true", "probability": 0.3}, {"value": True, "probability": 0.7}]
    answer = {"type": "choice", "name": "ok", "choice": True, "probabilities": shares}
    assert soft(answered(answer)) == {"ok": [("true", 0.3), (True, 0.7)]}
    assert decode_response(answered(answer)).response.message.content == "true"


def test_a_question_that_was_declined_has_no_answer() -> None:
    refusal = {"type": "refusal", "name": "anger"}
    decoded = decode_response(answered(TEAM_ANSWER, refusal)).response
    assert json.loads(decoded.message.text) == {"team": "shipping"}
    assert list(decoded.probabilities or {}) == ["team"]
    alone = decode_response(answered(refusal)).response
    assert (alone.finish_reason, alone.probabilities, alone.message.text) == ("content_filter", None, "")


def test_answers_of_system_one_are_read_alike() -> None:
    answers = {
        "late": {"type": "noul", "noul": 0.9},
        "team": {"type": "choice", "choice": "b", "probabilities": {"a": 0.25, "b": 0.75}, "confidence": 0.5},
        "mood": {"type": "score", "score": 0.2, "legend": {"0": "calm"}, "probabilities": {"0": 0.8, "1": 0.2}},
    }
    body = {"model": "jev-1", "answers": answers, "usage": {"input_tokens": 9, "output_tokens": 0}}
    decoded = dialect_of("systemone").decode_response(body)
    assert json.loads(decoded.response.message.text) == {"late": True, "team": "b", "mood": "calm"}
    assert soft(body) == {
        "late": [(True, 0.9), (False, 0.1)],
        "team": [("a", 0.25), ("b", 0.75)],
        "mood": [("calm", 0.8), ("1", 0.2)],
    }


@pytest.mark.parametrize(
    "body",
    [{}, answered(), {"answers": {}}, {"answers": "none"}, {"answers": [1]}, {"answers": None, "choices": []}],
)
def test_what_is_no_decision_is_not_read(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a decision"):
        dialect_of("decisions").decode_response(body)


def test_an_error_is_told_as_such() -> None:
    with pytest.raises(AnswerError, match="busy"):
        dialect_of("decisions").decode_response({"error": {"message": "busy"}})


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "0.5", None, True])
def test_a_number_that_is_no_probability_is_no_label(share: Any) -> None:
    answer = {**TEAM_ANSWER, "probabilities": [{"value": "billing", "probability": share}]}
    decoded = decode_response(answered(answer, URGENT_ANSWER)).response
    assert list(decoded.probabilities or {}) == ["answer_2"]


def asked(body: dict[str, Any]) -> DecodedRequest:
    return dialect_of(detect_api(body)).decode_request(body)


def test_the_questions_are_the_system_prompt_and_so_the_task() -> None:
    first, second = asked(DECISION).request, asked({**DECISION, "input": "where is my card"}).request
    assert [message.role for message in first.messages] == ["system", "user"]
    assert json.loads(first.messages[0].text) == DECISION["questions"]
    assert template_of(first) == template_of(second)
    assert fingerprint(first) != fingerprint(second)
    other = asked({**DECISION, "questions": [TEAM]}).request
    assert template_of(other) != template_of(first)
    assert unsupported_feature(first) == "questions"


def test_the_closed_sets_are_the_schema_of_the_answer() -> None:
    wanted: Any = asked(DECISION).request.response_format
    assert wanted["json_schema"]["schema"]["properties"] == {
        "team": {"enum": ["billing", "shipping", True]},
        "answer_2": {"type": "boolean"},
        "anger": {"enum": ["calm", "furious"]},
    }


def test_an_input_of_items_is_its_messages() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "assistant", "content": "yes?"},
    ]
    messages = asked({**DECISION, "input": items}).request.messages[1:]
    assert [(message.role, message.content) for message in messages] == [("user", "hi"), ("assistant", "yes?")]


def test_a_state_is_its_text_or_its_json() -> None:
    assert detect_api(SYSTEM_ONE) == "systemone"
    assert asked(SYSTEM_ONE).request.messages[1].content == '{"message":"my parcel is late"}'
    assert asked({**SYSTEM_ONE, "state": "late"}).request.messages[1].content == "late"


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"questions": []}, "questions"),
        ({"questions": "?"}, "questions"),
        ({"input": 3}, "input"),
        ({"model": ""}, "model"),
    ],
)
def test_what_cannot_be_read_is_named(changed: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        dialect_of("decisions").decode_request({**DECISION, **changed})
    assert raised.value.param == param


def test_the_shape_of_a_body_tells_its_api() -> None:
    assert detect_api(DECISION) == "decisions"
    assert decode_request(DECISION).request == asked(DECISION).request
    assert is_response(answered(TEAM_ANSWER))
    assert detect_api({"model": "m", "input": "hi"}) == "responses"
    assert detect_api({"model": "m", "messages": [], "questions": []}) == "chat"


_FIELDS = [
    "type",
    "name",
    "value",
    "label",
    "probability",
    "noul",
    "choice",
    "probabilities",
    "legend",
    "levels",
    "choices",
    "answers",
    "error",
    "questions",
    "input",
    "state",
    "model",
    "usage",
    "input_tokens",
    "role",
    "a",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(body=st.dictionaries(st.sampled_from(["model", "questions", "input", "state", "answers", "usage"]), _JSON))
def test_anything_is_read_or_is_a_value_error(body: dict[str, Any]) -> None:
    dialect = dialect_of("decisions")
    with contextlib.suppress(ValueError):
        dialect.decode_request(body)
    with contextlib.suppress(ValueError):
        dialect.decode_request({"model": "m", "input": "x", **body})
    with contextlib.suppress(ValueError):
        dialect.decode_response(body)
