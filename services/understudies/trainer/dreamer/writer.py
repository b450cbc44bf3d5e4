"""Have the teacher write new inputs of a task, and read what it wrote."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from understudies.datasets.system_template import truncate_middle
from understudies.events import Request
from understudies.trainer.dreamer.weak_spots import WeakSpot

_MOST_INSTRUCTIONS: Final = 4000
_MOST_OF_AN_INPUT: Final = 2000
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_WRITER: Final = (
    "You write test data for an assistant. You are shown its instructions and messages that it received. Write new "
    "messages that it could receive next: as different from those shown in words, names, numbers and situation as "
    "real ones are, in the same language, style and length. Do not answer them. Reply with a JSON array of strings, "
    "and nothing else."
)
_AIMS: Final = {
    "disagreement": "The new messages should be easy to mistake, as this one was",
    "escalation": "The new messages should be of the kind of this one",
    "rare": "The right answer to each new message must be the same as to this one",
    "sparse": "The new messages should be of the kind of this one, which is unusual",
}


def can_be_varied(request: Request) -> bool:
    """Return whether a request is one question in plain text, of which another can be written."""
    turns = [message for message in request.messages if message.role not in ("system", "developer")]
    return len(turns) == 1 and turns[0].role == "user" and isinstance(turns[0].content, str) and bool(turns[0].text)


def writing_body(spot: WeakSpot, others: Sequence[str], count: int) -> dict[str, Any]:
    """Return the body of the call that asks for `count` inputs near a weak spot; `others` are usual inputs."""
    request = spot.example.request
    shown = "\n".join(json.dumps(truncate_middle(text, _MOST_OF_AN_INPUT), ensure_ascii=False) for text in others)
    one = json.dumps(truncate_middle(input_text(request), _MOST_OF_AN_INPUT), ensure_ascii=False)
    answer = truncate_middle(spot.example.answer.model_dump_json(exclude_none=True, exclude={"role"}), 500)
    parts = [
        f"Instructions of the assistant:\n{truncate_middle(request.system, _MOST_INSTRUCTIONS) or '(none)'}",
        f"Usual messages:\n{shown}" if shown else "",
        f"{_AIMS[spot.reason]}:\n{one}\nIts answer was: {answer}",
        f"Write {count} new messages.",
    ]
    return {
        "messages": [
            {"role": "system", "content": _WRITER},
            {"role": "user", "content": "\n\n".join(part for part in parts if part)},
        ],
        "temperature": 1,
    }


def parse_inputs(text: str) -> list[str]:
    """Return the inputs in a reply: a JSON array of strings, wherever it stands, else the items of a list."""
    start, end = text.find("["), text.rfind("]")
    if 0 <= start < end:
        try:
            found = json.loads(text[start : end + 1])
        except ValueError:
            found = None
        if isinstance(found, list):
            return [one.strip() for one in found if isinstance(one, str) and one.strip()]
    items = [line for line in text.splitlines() if _BULLET.match(line)]
    return [_BULLET.sub("", item).strip().strip('"') for item in items]


def input_text(request: Request) -> str:
    """Return the text of the one question of a request that can be varied."""
    return next(message.text for message in request.messages if message.role == "user")


def with_input(request: Request, text: str) -> Request:
    """Return a request that can be varied with another question."""
    changed = (m.model_copy(update={"content": text}) if m.role == "user" else m for m in request.messages)
    return request.model_copy(update={"messages": tuple(changed)})
