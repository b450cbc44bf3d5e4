"""Convert requests to plain chat turns, the same for training and for service."""

from understudies.events import Message, Request

Turn = dict[str, str]
"""A `role` and a `content`, as chat templates take them."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def to_turns(request: Request) -> list[Turn] | None:
    """Return the turns of a request; None if it has anything but text: tools, images, or results of tools."""
    if request.tools:
        return None
    turns = [_to_turn(message) for message in request.messages]
    return None if None in turns else [turn for turn in turns if turn is not None]


def answer_text(answer: Message) -> str | None:
    """Return the text of an answer; None if it is empty or calls tools."""
    return None if answer.tool_calls or not isinstance(answer.content, str) else answer.content or None


def _to_turn(message: Message) -> Turn | None:
    parts = message.content if isinstance(message.content, list) else ()
    if message.role not in _ROLES or message.tool_calls or any(part.get("type") != "text" for part in parts):
        return None
    return {"role": _ROLES[message.role], "content": message.text}
