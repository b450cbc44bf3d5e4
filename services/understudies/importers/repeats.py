"""Find calls whose records are in a log more than once, as exports overlap and shippers send again."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from understudies.importers.fields import find_id
from understudies.importers.recorded_call import RecordedCall

_IDS: Final = ("id", "request_id", "requestid", "span_id", "spanid", "run_id", "uuid", "event_id", "_id")


def record_key(record: Mapping[str, Any], span: str | None = None) -> int:
    """Return a number for the id of a record, or of its span, and for the names of its fields; 0 if it has no id."""
    if (found := find_id(_IDS, record) or span) is None:
        return 0
    return hash((found, *record, *(tuple(value) for value in record.values() if type(value) is dict)))


def find_repeats(calls: Sequence[RecordedCall], keys: "array[int]") -> set[int]:
    """Return the places of calls that were there before under the same id, with all that is known of them equal.

    Equal ids are not enough: a retry may keep its id and get another answer, or the same from a cache at another cost.
    Calls without times are all kept, as sets of examples number them by whatever they like.
    """
    repeats: set[int] = set()
    known: dict[tuple[int, datetime, str], list[int]] = {}
    for place in _places_of_shared(keys):
        call = calls[place]
        if call.at is None:
            continue
        earlier = known.setdefault((keys[place], call.at, call.fingerprint), [])
        if any(_facts(calls[other]) == _facts(call) for other in earlier):
            repeats.add(place)
        else:
            earlier.append(place)
    return repeats


def _facts(call: RecordedCall) -> tuple[object, ...]:
    told = (call.response, call.model, call.usage, call.recorded_cost, call.latency_ms, call.tags)
    return (*told, call.task, call.episode, call.critical)


def _places_of_shared(keys: "array[int]") -> list[int]:
    """Return the places of keys that are there more than once, in order."""
    ordered = sorted(keys)  # takes a fraction of the memory that a set of them would
    shared = {key for key, after in pairwise(ordered) if key == after and key}
    return [place for place, key in enumerate(keys) if key in shared] if shared else []
