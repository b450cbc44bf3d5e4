"""Decode a teacher's answer from the forms that providers and logs use."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudies.backtest.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.backtest.importers.messages import write_message, write_messages
from understudies.dialects import detection
from understudies.dialects.json_fields import encode_json_text, list_objects
from understudies.events import Message, Response

_ANSWER_ITEMS: Final = frozenset({"message", "function_call", "custom_tool_call"})


def decode_answer(value: object) -> Response | None:
    """Decode the response in text, a message or a provider's whole reply; returns None if there is nothing.

    Raises NotARecordedCall or ValueError if a reply holds no answer.
    """
    inner = parse_embedded_json(value)
    match inner:
        case None:
            return None
        case {"choices": list() as choices}:
            return _decode_choice(choices)
        case {"output": list() as items}:
            return decode_output(items, inner)
        case {"role": _} | {"content": _} | {"tool_calls": list()}:
            return decode_message(inner, inner.get("finish_reason", inner.get("stop_reason")))
        case [*_, {"role": _}]:
            return decode_message(write_messages(inner)[-1])
        case {"message": dict() as message}:
            return decode_message(message, inner.get("finish_reason"))
        case {"completion": str() as text} if len(inner) == 1:
            return _text_response(text)
        case dict() if not inner:
            return None
        case str():
            return _text_response(inner)
        case _:
            # A log holds other JSON if the answer itself was JSON text.
            return _text_response(value if isinstance(value, str) else encode_json_text(value))


def decode_message(message: Mapping[str, Any], finish_reason: object = None) -> Response:
    """Decode a message as a response, regardless of its role."""
    reason = finish_reason if isinstance(finish_reason, str) else None
    return detection.decode_message(write_message(message, "assistant"), reason).response


def decode_output(items: Sequence[Any], about: Mapping[str, Any] | None = None) -> Response:
    """Decode the output items of OpenAI's Responses; raises NotARecordedCall if they hold no answer."""
    output = [item if "type" in item else {**item, "type": "message"} for item in list_objects(items)]
    if not any(item["type"] in _ANSWER_ITEMS for item in output):
        raise NotARecordedCall("no teacher answer")
    return detection.decode_response({"status": "completed", **(about or {}), "output": output}).response


def _decode_choice(choices: list[Any]) -> Response | None:
    first: Mapping[str, Any] = choices[0] if choices and isinstance(choices[0], dict) else {}
    if isinstance(first.get("message"), dict):
        return decode_message(first["message"], first.get("finish_reason"))
    if isinstance(first.get("text"), str):
        return _text_response(first["text"], first.get("finish_reason"))
    return None


def _text_response(text: str, finish_reason: object = None) -> Response:
    reason = finish_reason if isinstance(finish_reason, str) else None
    return Response(message=Message(role="assistant", content=text), finish_reason=reason)
