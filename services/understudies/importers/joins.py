"""Join requests and answers that a log keeps in records of their own: batches, and stored completions with messages."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from understudies.importers.anthropic_batch import (
    is_anthropic_batch,
    is_anthropic_request,
    read_anthropic_batch,
)
from understudies.importers.openai import is_batch, is_batch_input, read_batch, read_stored
from understudies.importers.partial_call import PartialCall
from understudies.importers.request_response import read_request_response

_MESSAGE_ID: Final = re.compile(r"(chatcmpl-[\w-]+)-(\d+)")


class Joined(NamedTuple):
    """An answer's record with what reads it, or a request that nothing answered (`read` is None)."""

    line: int
    format: str
    read: Callable[[], PartialCall] | None


@dataclass(slots=True)
class Joins:
    """Requests by their keys, and the answers that came before their requests."""

    _requests: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _lines: dict[tuple[str, str], int] = field(default_factory=dict)
    _answered: set[tuple[str, str]] = field(default_factory=set)
    _waiting: list[tuple[int, str, tuple[str, str], dict[str, Any]]] = field(default_factory=list)

    def add(self, line: int, record: dict[str, Any]) -> Joined | bool | None:
        """Add a record: returns False if it is not one to join, None if it waits, and an answer that can be read."""
        if is_batch(record):
            return self._add(line, record, "openai-batch", str(record["custom_id"]), is_request=is_batch_input(record))
        if is_anthropic_batch(record):
            is_request = is_anthropic_request(record)
            return self._add(line, record, "anthropic-batch", str(record["custom_id"]), is_request=is_request)
        if isinstance(record.get("key"), str) and ("request" in record) != ("response" in record or "error" in record):
            is_request = "request" in record
            return self._add(line, record, "gemini-batch", record["key"], is_request=is_request)
        if (key := _completion_of_message(record)) is not None:
            kept = self._requests.setdefault(("openai", key), {"messages": []})
            kept["messages"].append(record)
            return None
        if _is_message_list(record):
            key = str(record.get("completion_id") or record["id"])
            self._requests["openai", key] = {"messages": record.get("messages") or record.get("data")}
            return None
        if record.get("object") == "chat.completion" and record.keys().isdisjoint(
            {"messages", "input", "prompt", "request"}
        ):
            return self._add(line, record, "openai", str(record.get("id")), is_request=False)
        return False

    def finish(self) -> Iterator[Joined]:
        """Yield the answers that waited, and the requests that nothing answered, by their lines."""
        left = [
            (line, form, self._read(form, record, self._requests.get(key))) for line, form, key, record in self._waiting
        ]
        unanswered = [(line, key[0], None) for key, line in self._lines.items() if key not in self._answered]
        for line, form, read in sorted([*left, *unanswered], key=lambda found: found[0]):
            yield Joined(line, form, read)

    def _add(self, line: int, record: dict[str, Any], form: str, key: str, *, is_request: bool) -> Joined | None:
        place = form, key
        if is_request:
            self._requests[place] = record
            self._lines[place] = line
            return None
        self._answered.add(place)
        asked = self._requests.get(place)
        if asked is None or form == "openai":  # the messages of a stored completion may be on several pages
            self._waiting.append((line, form, place, record))
            return None
        return Joined(line, form, self._read(form, record, asked))

    @staticmethod
    def _read(form: str, record: dict[str, Any], asked: Mapping[str, Any] | None) -> Callable[[], PartialCall]:
        match form:
            case "openai-batch":
                return lambda: read_batch(record, asked)
            case "anthropic-batch":
                return lambda: read_anthropic_batch(record, asked)
            case "gemini-batch":
                return lambda: read_request_response({**(asked or {}), **record})
            case _:
                return lambda: read_stored({**record, **_ordered(asked)})


def _completion_of_message(record: Mapping[str, Any]) -> str | None:
    """Return the id of the stored completion to which a message of the messages endpoint belongs."""
    if "role" not in record or "content" not in record or not isinstance(record.get("id"), str):
        return None
    found = _MESSAGE_ID.fullmatch(record["id"])
    return found[1] if found else None


def _is_message_list(record: Mapping[str, Any]) -> bool:
    """Return whether a record is what a script kept of the messages endpoint: a completion's id beside its messages."""
    key = record.get("completion_id") or record.get("id")
    messages = record.get("messages") or record.get("data")
    if not isinstance(key, str) or not key.startswith("chatcmpl-") or not isinstance(messages, list):
        return False
    return bool(
        record.keys() <= {"id", "completion_id", "messages", "data", "object", "first_id", "last_id", "has_more"}
    )


def _ordered(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    messages = (asked or {}).get("messages")
    if not isinstance(messages, list) or not messages:
        return {}
    return {"messages": sorted(messages, key=_place) if all(isinstance(item, dict) for item in messages) else messages}


def _place(message: Mapping[str, Any]) -> int:
    found = _MESSAGE_ID.fullmatch(str(message.get("id")))
    return int(found[2]) if found else 0
