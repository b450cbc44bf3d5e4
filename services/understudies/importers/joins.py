"""Join requests and answers that a log keeps in records of their own: batches, and stored completions with messages."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from understudies.importers.anthropic_batch import (
    is_anthropic_batch,
    is_anthropic_request,
    read_anthropic_batch,
)
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.openai import is_batch, is_batch_input, read_batch, read_stored
from understudies.importers.partial_call import PartialCall
from understudies.importers.request_response import read_request_response

_MESSAGE_ID: Final = re.compile(r"(chatcmpl-[\w-]+)-(\d+)")
_MESSAGE_LIST: Final = frozenset(
    {"id", "completion_id", "messages", "data", "object", "first_id", "last_id", "has_more"}
)


Place = tuple[str, str]
"""A format, and the id by which its requests and answers belong together."""


class Joined(NamedTuple):
    """An answer's record with what reads it, or a request that nothing answered (`read` is None)."""

    line: int
    format: str
    read: Callable[[], PartialCall] | None


@dataclass(slots=True)
class _Pending:
    """A request that waits for its answers; `copies` are equal ones, and with `differs` others had the same id."""

    record: dict[str, Any]
    line: int
    copies: int = 1
    differs: bool = False


@dataclass(slots=True)
class Joins:
    """Requests by their ids, and the answers that came before their requests.

    A request is dropped as soon as it is answered, so that an id may be used again by the next batch. Where two
    different requests of one id wait at once, nothing tells which of them an answer belongs to: none is joined.
    """

    _requests: dict[Place, _Pending] = field(default_factory=dict)
    _messages: dict[str, list[Any]] = field(default_factory=dict)
    _answered: set[Place] = field(default_factory=set)
    _early: set[Place] = field(default_factory=set)
    _waiting: list[tuple[int, Place, dict[str, Any]]] = field(default_factory=list)

    def add(self, line: int, record: dict[str, Any]) -> Joined | bool | None:
        """Add a record: returns False if it is not one to join, None if it waits, and an answer that can be read."""
        if is_batch(record):
            place = "openai-batch", str(record["custom_id"])
            return self._add_half(line, record, place, is_request=is_batch_input(record))
        if is_anthropic_batch(record):
            place = "anthropic-batch", str(record["custom_id"])
            return self._add_half(line, record, place, is_request=is_anthropic_request(record))
        if isinstance(record.get("key"), str) and ("request" in record) != ("response" in record or "error" in record):
            place = "gemini-batch", record["key"]
            return self._add_half(line, record, place, is_request="request" in record)
        return self._add_stored(line, record)

    def finish(self) -> Iterator[Joined]:
        """Yield the answers that waited, and the requests that nothing answered, by their lines."""
        counts = Counter(place for _, place, record in self._waiting if not _has_failed(record))
        found: list[Joined] = []
        for line, place, record in self._waiting:
            if place[0] == "openai":
                found.append(Joined(line, place[0], partial(read_stored, {**record, **self._ordered(place[1])})))
                continue
            asked = self._requests.get(place)
            is_told = asked is None or (not asked.differs and counts[place] <= asked.copies)
            read = _reader(place, record, asked.record if asked else None) if is_told else _refuse(place)
            found.append(Joined(line, place[0], read))
        unanswered = self._requests.keys() - {place for _, place, _ in self._waiting} - self._answered
        found += [Joined(self._requests[place].line, place[0], None) for place in unanswered]
        yield from sorted(found, key=lambda joined: joined.line)

    def _add_half(self, line: int, record: dict[str, Any], place: Place, *, is_request: bool) -> Joined | None:
        if not is_request:
            return self._join(line, record, place)
        self._add_request(line, record, place)
        return None

    def _add_request(self, line: int, record: dict[str, Any], place: Place) -> None:
        known = self._requests.get(place)
        if known is None:
            self._requests[place] = _Pending(record, line)
        elif known.record == record:
            known.copies += 1
        else:
            known.differs = True

    def _join(self, line: int, record: dict[str, Any], place: Place) -> Joined | None:
        if isinstance(record.get("body"), dict) or isinstance(record.get("params"), dict):
            return Joined(line, place[0], _reader(place, record, None))  # joined by whoever wrote it
        asked = self._requests.get(place)
        if asked is None or place in self._early:
            self._early.add(place)
            self._waiting.append((line, place, record))
            return None
        if asked.differs:
            self._answered.add(place)
            return Joined(line, place[0], _refuse(place))
        if _has_failed(record):
            self._answered.add(place)  # it may have been asked again under the same id
        elif asked.copies > 1:
            asked.copies -= 1
        else:
            del self._requests[place]
        return Joined(line, place[0], _reader(place, record, asked.record))

    def _add_stored(self, line: int, record: dict[str, Any]) -> Joined | bool | None:
        if (key := _completion_of_message(record)) is not None:
            self._messages.setdefault(key, []).append(record)
            return None
        if _is_message_list(record):
            key = str(record.get("completion_id") or record["id"])
            self._messages[key] = [*(record.get("messages") or record.get("data") or ())]
            return None
        if record.get("object") != "chat.completion" or not record.keys().isdisjoint(_ASKED):
            return False
        place = "openai", str(record.get("id"))
        if place in self._answered:
            return Joined(line, "openai", _refuse_repeated)
        self._answered.add(place)
        self._waiting.append((line, place, record))  # its messages may be on several pages
        return None

    def _ordered(self, key: str) -> dict[str, Any]:
        messages = self._messages.get(key)
        if not messages:
            return {}
        are_objects = all(isinstance(item, dict) for item in messages)
        return {"messages": sorted(messages, key=_place_of) if are_objects else messages}


_ASKED: Final = frozenset({"messages", "input", "prompt", "request"})


def _reader(place: Place, record: dict[str, Any], asked: Mapping[str, Any] | None) -> Callable[[], PartialCall]:
    match place[0]:
        case "openai-batch":
            return partial(read_batch, record, asked)
        case "anthropic-batch":
            return partial(read_anthropic_batch, record, asked)
        case _:
            return partial(read_request_response, {**(asked or {}), **record})


def _refuse(place: Place) -> Callable[[], PartialCall]:
    def read() -> PartialCall:
        raise NotARecordedCall(
            f"several requests or answers have the id {place[1][:40]!r}, so that none is told to belong to another:"
            " read each batch from a folder of its own"
        )

    return read


def _refuse_repeated() -> PartialCall:
    raise NotARecordedCall("the same stored completion again")


def _has_failed(record: Mapping[str, Any]) -> bool:
    """Return whether an answer tells a failure, after which its request may have been sent again."""
    response, result = record.get("response"), record.get("result")
    if isinstance(result, dict):
        return result.get("type") != "succeeded"
    return bool(record.get("error")) or (isinstance(response, dict) and response.get("status_code", 200) != 200)


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
    return bool(record.keys() <= _MESSAGE_LIST)


@lru_cache(maxsize=1024)
def may_join(names: tuple[str, ...]) -> bool:
    """Return whether a record with fields of these names may be one to join: hardly any is, whatever its values."""
    fields = frozenset(names)
    if not fields.isdisjoint({"custom_id", "key", "object"}) or {"id", "role", "content"} <= fields:
        return True
    return fields <= _MESSAGE_LIST and not fields.isdisjoint({"messages", "data"})


def _place_of(message: Mapping[str, Any]) -> int:
    found = _MESSAGE_ID.fullmatch(str(message.get("id")))
    return int(found[2]) if found else 0
