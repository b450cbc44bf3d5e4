"""Decode answers of decision APIs: the most probable values are the answer, all probabilities are soft labels."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.dialects.answer_errors import reported_error
from understudies.dialects.base import DecodedResponse
from understudies.dialects.decisions.request import answer_name
from understudies.dialects.json_fields import encode_json_text, list_objects, object_or_empty, text_or_empty
from understudies.dialects.openai_responses.response import decode_usage
from understudies.events import LabelProbability, Message, Response

_DIGITS: Final = 6
"""Decimal places that are kept of a probability."""

Label = str | bool | int
Distribution = list[tuple[Label, float]]


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """Decode the answers to all questions; raises ValueError if there are none.

    The answer to one question is its text, that to several a JSON object by their names. A question that the model
    declined is left out; if it declined all, the message is a refusal.
    """
    if body.get("error") or not isinstance(body.get("answers"), list | dict):
        raise reported_error(body) or ValueError("not a decision: no answers")
    answers = dict(_named_answers(body["answers"]))
    if not answers:
        raise ValueError("not a decision: no answers")
    distributions = {name: found for name, answer in answers.items() if (found := _distribution(answer))}
    values = {name: _value(answers[name], distributions[name]) for name in distributions}
    message = _message(values, several=len(answers) > 1)
    soft = {name: tuple(_probabilities(found)) for name, found in distributions.items()}
    response = Response(
        message=message, finish_reason="stop" if values else "content_filter", probabilities=soft or None
    )
    return DecodedResponse(response, text_or_empty(body.get("model")), decode_usage(body.get("usage")))


def _message(values: Mapping[str, Label], *, several: bool) -> Message:
    if not values:
        return Message(role="assistant", content=[{"type": "refusal", "refusal": "declined"}])
    if several:
        return Message(role="assistant", content=encode_json_text(dict(values)))
    (value,) = values.values()
    return Message(role="assistant", content=value if isinstance(value, str) else encode_json_text(value))


def _named_answers(answers: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(answers, dict):
        yield from ((name, object_or_empty(answer)) for name, answer in answers.items())
        return
    listed = list(list_objects(answers))
    yield from ((answer_name(answer, place, len(listed)), answer) for place, answer in enumerate(listed))


def _distribution(answer: Mapping[str, Any]) -> Distribution:
    """Return the values that a question may have with their probabilities; nothing if it was not answered."""
    for field in ("probability", "noul"):
        if _is_probability(answer.get(field)):
            true = float(answer[field])
            return [(True, true), (False, 1 - true)]
    given = answer.get("probabilities")
    if isinstance(given, dict):
        legend = object_or_empty(answer.get("legend"))
        return [
            (_level_name(legend.get(value), value), float(share))
            for value, share in given.items()
            if _is_probability(share)
        ]
    return [(_label(item), float(item["probability"])) for item in list_objects(given) if _is_labelled(item)]


def _value(answer: Mapping[str, Any], distribution: Distribution) -> Label:
    """Return the choice that the model names, else the most probable value."""
    choice = answer.get("choice")
    return choice if isinstance(choice, str | bool) else max(distribution, key=lambda item: item[1])[0]


def _probabilities(distribution: Distribution) -> Iterator[LabelProbability]:
    for label, share in distribution:
        yield LabelProbability(value=label, probability=round(share, _DIGITS))


def _is_labelled(item: Mapping[str, Any]) -> bool:
    return _is_probability(item.get("probability")) and isinstance(_label(item), str | bool | int)


def _label(item: Mapping[str, Any]) -> Any:
    return item["label"] if isinstance(item.get("label"), str) else item.get("value")


def _level_name(described: Any, value: str) -> str:
    return described if isinstance(described, str) else value


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
