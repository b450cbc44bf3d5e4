"""Convert requests and answers to plain chat turns and text, the same for training and for service.

Calls of tools are written as many open models have learned to write them: JSON between `<tool_call>` tags. The
definitions of the tools are left out: a task's student knows them from its training, and whoever serves an answer
checks it against the tools that the request offers.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from understudies.events import FunctionCall, Message, Request, ToolCall

Turn = dict[str, str]
"""A `role` and a `content`, as chat templates take them."""

_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "user"}
_CALL_START, _CALL_END = "<tool_call>", "</tool_call>"
_RESULT: Final = "<tool_response>\n{}\n</tool_response>"
_CALLS: Final = re.compile(rf"\s*{_CALL_START}(.*?){_CALL_END}", re.DOTALL)


def to_turns(request: Request) -> list[Turn] | None:
    """Return the turns of a request; None if it has anything but text and calls of functions, such as images."""
    turns: list[Turn] = []
    previous = ""
    for message in request.messages:
        content = _content(message)
        if content is None:
            return None
        # Results of calls made together are one turn: chat templates may want the roles to take turns.
        if message.role == previous == "tool":
            turns[-1]["content"] += f"\n{content}"
        else:
            turns.append({"role": _ROLES[message.role], "content": content})
        previous = message.role
    return turns


def answer_text(answer: Message) -> str | None:
    """Return an answer as the text that a student is to generate, which `read_answer` reads again.

    None if it is empty, has parts other than text, calls custom tools, or calls a function with anything but JSON.
    """
    if not (isinstance(answer.content, str) or answer.content is None) or _CALL_START in answer.text:
        return None
    try:
        calls = list(_written(answer.tool_calls or ()))
    except (ValueError, RecursionError):
        return None
    return "\n".join([*([answer.content] if answer.content else []), *calls]) or None


def read_answer(text: str) -> Message:
    """Return the answer that a student generated as text; raises ValueError for what begins as a call and is none.

    >>> read_answer('<tool_call>{"name": "refund", "arguments": {"order": 7}}</tool_call>').tool_calls[0].function
    FunctionCall(name='refund', arguments='{"order": 7}')
    """
    words, start, _ = text.partition(_CALL_START)
    if not start:
        return Message(role="assistant", content=text)
    rest = text[len(words) :]
    calls = tuple(_read(found) for found in _CALLS.findall(rest))
    if _CALLS.sub("", rest).strip():
        raise ValueError("the call of a tool does not end, or is followed by text")
    return Message(role="assistant", content=words.rstrip() or None, tool_calls=calls)


def _content(message: Message) -> str | None:
    if message.role not in _ROLES:
        return None
    if isinstance(message.content, list) and any(part.get("type") != "text" for part in message.content):
        return None
    if message.role == "tool":
        return _RESULT.format(message.text)
    return answer_text(message) if message.tool_calls else message.text


def _written(calls: tuple[ToolCall, ...]) -> Iterator[str]:
    for call in calls:
        if call.type != "function":
            raise ValueError("a custom tool")
        written = {"name": call.function.name, "arguments": json.loads(call.function.arguments or "{}")}
        text = json.dumps(written, ensure_ascii=False)
        if _CALL_END in text:
            raise ValueError("an argument that would end the call")
        yield f"{_CALL_START}\n{text}\n{_CALL_END}"


def _read(block: str) -> ToolCall:
    try:
        written = json.loads(block)
    except (ValueError, RecursionError) as error:
        raise ValueError("the call of a tool is not JSON") from error
    name = written.get("name") if isinstance(written, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("the call of a tool names none")
    arguments = json.dumps(written.get("arguments", {}), ensure_ascii=False)
    return ToolCall(function=FunctionCall(name=name, arguments=arguments))
