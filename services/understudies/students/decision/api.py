"""Encode a closed question for a decision API, and decode its answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from understudies.dialects.decisions.request import UNNAMED
from understudies.dialects.decisions.response import decode_response
from understudies.events import Message, Request, Usage

_DEFAULT_INSTRUCTIONS: Final = "Choose the answer to the input."


@dataclass(frozen=True, slots=True)
class Decision:
    """Value chosen and its stated probability in [0, 1]; None and 0 if the model declined. Usage None: not reported."""

    value: str | None
    probability: float
    usage: Usage | None


def decisions_body(request: Request, instructions: str, values: Sequence[str]) -> dict[str, Any]:
    """Return a body for OpenAI's `POST /v1/decisions`, without its model."""
    question = {
        "type": "choice",
        "name": UNNAMED,
        "instructions": instructions or _DEFAULT_INSTRUCTIONS,
        "choices": [{"value": value} for value in values],
    }
    turns = _turns(request)
    return {"input": _only_text(turns) or list(_items(turns)), "questions": [question]}


def systemone_body(request: Request, instructions: str, values: Sequence[str]) -> dict[str, Any]:
    """Return a body for TypeSafe's `POST /v1/systemone`, without its model."""
    question = {
        "type": "choice",
        "instructions": instructions or _DEFAULT_INSTRUCTIONS,
        # A criterion describes an option; the teacher's labels have no other description.
        "criteria": {value: value for value in values},
    }
    turns = _turns(request)
    return {"state": _only_text(turns) or {"conversation": list(_items(turns))}, "questions": {UNNAMED: question}}


def decode_decision(body: Any, values: Sequence[str]) -> Decision:
    """Decode the answer to one question of either API; raises ValueError if it is none that was offered."""
    if not isinstance(body, Mapping):
        raise ValueError("it is not an object")
    decoded = decode_response(body)
    usage = decoded.usage.plausible if decoded.usage.prompt_tokens else None
    if not decoded.response.probabilities:
        return Decision(None, 0.0, usage)
    if list(decoded.response.probabilities) != [UNNAMED]:
        raise ValueError("it answers another question than the one asked")
    value = decoded.response.message.text
    stated = {one.value: one.probability for one in decoded.response.probabilities[UNNAMED]}
    if value not in values:
        raise ValueError("it chooses a value that was not offered")
    if value not in stated:
        raise ValueError("it states no probability of its choice")
    return Decision(value, stated[value], usage)


def _turns(request: Request) -> list[Message]:
    turns = [message for message in request.messages if message.role not in ("system", "developer")]
    # A prompt may hold everything in its system message.
    return turns or [Message(role="user", content=request.system)]


def _only_text(turns: Sequence[Message]) -> str:
    return turns[0].text if len(turns) == 1 and turns[0].role == "user" else ""


def _items(turns: Sequence[Message]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        if turn.role == "tool":
            yield {"type": "function_call_output", "call_id": turn.tool_call_id or "", "output": turn.text}
            continue
        if turn.text:
            yield {"role": turn.role, "content": turn.text}
        for call in turn.tool_calls or ():
            function = call.function
            yield {
                "type": "function_call",
                "call_id": call.id,
                "name": function.name,
                "arguments": function.arguments or json.dumps({}),
            }
