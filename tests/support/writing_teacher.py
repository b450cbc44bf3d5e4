"""A teacher that names intents by what a message says, and writes messages of a kind when asked for some."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.chat_server import completion

_THINGS = ("parcel", "train", "garden", "kettle", "novel", "bicycle", "lamp", "river", "curtain", "violin")
_PLACES = ("harbour", "mountain", "office", "kitchen", "market", "station", "theatre", "bakery", "forest", "castle")
_VERBS = ("lost", "found", "painted", "carried", "sold", "borrowed", "cleaned", "hid", "moved", "watched")


def distinct_messages(subject: str) -> Iterator[str]:
    """A thousand messages on a subject, no two of which are near copies."""
    for thing, place, verb in itertools.product(_THINGS, _PLACES, _VERBS):
        yield f"{verb} {thing} {place} {subject}"


class WritingTeacher:
    """Answers as `label` says; writes what `write` makes of the number of messages asked for; counts the tokens."""

    def __init__(self, label: Callable[[str], str], write: Callable[[int], list[str]]) -> None:
        self.label = label
        self.write = write
        self.asked_to_write = 0
        self.answered: list[str] = []
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        *_, last = body["messages"]
        text: str = last["content"]
        if "JSON array" in body["messages"][0]["content"]:
            self.asked_to_write += 1
            answer = json.dumps(self.write(int(text.rpartition("Write ")[2].split()[0])))
        else:
            self.answered.append(text)
            answer = self.label(text)
        usage = {"prompt_tokens": len(str(body["messages"])) // 4, "completion_tokens": len(answer) // 4}
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        return {**completion({"content": answer}), "usage": usage}
