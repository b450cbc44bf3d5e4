"""The teacher's answer in the forms that providers and logs give it."""

from collections.abc import Mapping
from typing import Any

import orjson

from understudies.backtest.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.backtest.importers.messages import decode_message, decode_messages
from understudies.events import Message, Response


def decode_answer(value: object) -> Response | None:
    """The response in text, a message, or a provider's whole reply; None where there is nothing."""
    inner = parse_embedded_json(value)
    match inner:
        case None:
            return None
        case {"choices": list() as choices}:
            return _decode_choices(choices)
        case {"output": list() as items}:
            return _build_response(_merge_messages(decode_messages(items)), None)
        case {"role": _} | {"content": _} | {"tool_calls": list()}:
            return _build_response(decode_message(inner), inner.get("finish_reason", inner.get("stop_reason")))
        case [*_, {"role": _}]:
            return _build_response(decode_messages(inner)[-1], None)
        case {"message": dict() as message}:
            return _build_response(decode_message(message), inner.get("finish_reason"))
        case {"completion": str() as text} if len(inner) == 1:
            return _build_response(Message(role="assistant", content=text), None)
        case dict() if not inner:
            return None
        case str():
            return _build_response(Message(role="assistant", content=inner), None)
        case _:
            # What a log keeps as JSON is an answer that was written as JSON.
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            return _build_response(Message(role="assistant", content=text), None)


def _decode_choices(choices: list[Any]) -> Response | None:
    first: Mapping[str, Any] = choices[0] if choices and isinstance(choices[0], dict) else {}
    if isinstance(first.get("message"), dict):
        return _build_response(decode_message(first["message"]), first.get("finish_reason"))
    if isinstance(first.get("text"), str):
        return _build_response(Message(role="assistant", content=first["text"]), first.get("finish_reason"))
    return None


def _merge_messages(messages: list[Message]) -> Message:
    """One message of several items: their text, and the tools that they call."""
    texts = [message.text for message in messages if message.content is not None]
    calls = tuple(call for message in messages for call in message.tool_calls or ())
    if not texts and not calls:
        raise NotARecordedCall("no teacher answer")
    return Message(role="assistant", content="\n".join(texts) if texts else None, tool_calls=calls or None)


def _build_response(message: Message, finish_reason: object) -> Response:
    spoken = message.text if isinstance(message.content, list) else message.content
    answer = (
        message
        if message.role == "assistant" and spoken is message.content
        else Message(role="assistant", content=spoken, tool_calls=message.tool_calls)
    )
    return Response(message=answer, finish_reason=finish_reason if isinstance(finish_reason, str) else None)
