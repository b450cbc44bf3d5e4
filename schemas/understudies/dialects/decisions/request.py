"""Decode requests of decision APIs into canonical form: the questions are the system prompt, the input the rest."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.base import DecodedRequest, InvalidRequest
from understudies.dialects.json_fields import (
    encode_json_text,
    list_objects,
    object_or_empty,
    read_model,
    read_task,
    validate_request,
)
from understudies.dialects.openai_responses.request import ConversationDecoder

QUESTIONS: Final = "questions"
"""The parameter of a canonical request that holds the questions; no student answers them with probabilities."""

UNNAMED: Final = "answer"
"""Name of the one question of a request, if it has none."""


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode the body of a request of either API; raises InvalidRequest."""
    model = read_model(body)
    questions = body.get("questions")
    if not isinstance(questions, list | dict) or not questions:
        raise InvalidRequest("questions: one or more questions", "questions")
    canonical = {
        "messages": [{"role": "system", "content": encode_json_text(questions)}, *_input_messages(body)],
        "response_format": _response_format(questions),
        "parameters": {QUESTIONS: question_names(questions)},
    }
    return DecodedRequest(validate_request(canonical), model, task=read_task(body))


def question_names(questions: Any) -> list[str]:
    """Return the names of the questions; unnamed ones are numbered, unless there is only one."""
    if isinstance(questions, dict):
        return list(questions)
    listed = list(list_objects(questions))
    return [answer_name(question, place, len(listed)) for place, question in enumerate(listed)]


def answer_name(named: Mapping[str, Any], place: int, count: int) -> str:
    """Return the name of the question or answer at a place, of so many."""
    name = named.get("name")
    if isinstance(name, str) and name:
        return name
    return UNNAMED if count == 1 else f"{UNNAMED}_{place + 1}"


def _input_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "state" in body:
        state = body["state"]
        return [{"role": "user", "content": state if isinstance(state, str) else encode_json_text(state)}]
    given = body.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise InvalidRequest("input: text or a list of items", "input")
    conversation = ConversationDecoder()
    conversation.decode(given)
    return conversation.messages


def _response_format(questions: Any) -> dict[str, Any]:
    """Return the schema of the answers: each question's closed set of values, as far as it says them."""
    listed = list(questions.values()) if isinstance(questions, dict) else questions
    named = zip(question_names(questions), map(object_or_empty, listed), strict=False)
    properties = {name: _value_schema(question) for name, question in named}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "decisions", "schema": schema}}


def _value_schema(question: Mapping[str, Any]) -> dict[str, Any]:
    if question.get("type") in ("predicate", "noul"):
        return {"type": "boolean"}
    choices = question.get("choices")
    values = [choice["value"] for choice in list_objects(choices) if isinstance(choice.get("value"), str | bool)]
    levels = [level["label"] for level in list_objects(question.get("levels")) if isinstance(level.get("label"), str)]
    return {"enum": values or levels} if values or levels else {}
