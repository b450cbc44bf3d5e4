"""Read optional fields of records leniently: a value that cannot be read counts as absent."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from understudies.events import usd
from understudies.importers.json_parsing import parse_embedded_json

_MS_FROM = 1e11
_US_FROM = 1e14
_NS_FROM = 1e17
_MONGO = ("$date", "$numberLong")
_ZONE_NAME = re.compile(r"(?<=[+-]\d{4}) [A-Z]{2,5}$")
"""Matches the name of a zone after its offset, as Go writes times."""
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_LARGEST_COST = 1e9
_LONGEST_ID = 200

_TASK = ("task", "Task", "task_name", "taskName")
_COST = ("cost", "cost_usd", "costUSD", "total_cost", "totalCost", "total_cost_usd", "response_cost")


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is an object, the object in it if it is JSON text of one, else an empty mapping."""
    if isinstance(value, dict):
        return value
    if not value or not isinstance(value, str):
        return {}
    inner = parse_embedded_json(value)
    return inner if isinstance(inner, dict) else {}


def as_number(value: object) -> float | None:
    """Parse a number or the text of one; returns None if it is not finite or not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def as_text(value: object) -> str | None:
    """Return the text without surrounding whitespace; None if it is blank or not text."""
    return value.strip() or None if isinstance(value, str) else None


def as_flag(value: object) -> bool:
    """Return whether the value is true, or text that means it: `true`, `yes` or `1` in any case."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes", "1"))


def first_not_none(*values: object) -> Any:
    """Return the first value that is not None, or None."""
    for value in values:
        if value is not None:
            return value
    return None


def parse_time(value: object) -> datetime | None:
    """Parse a time in epoch seconds, milli-, micro- or nanoseconds, in ISO 8601 or as in HTTP (UTC without a zone).

    Returns None for a time outside this century: seconds since some start, and default dates that nobody set, are not
    the times of calls.
    """
    if value is None:
        return None
    # Most are in ISO 8601, which is told by its dash: to try a number first would raise an error for each.
    seconds = None if isinstance(value, str) and value[4:5] == "-" else as_number(value)
    try:
        if seconds is not None:
            moment = _parse_epoch(seconds)
        elif isinstance(value, str):
            moment = _parse_written(value.strip())
        else:
            # As MongoDB exports it.
            inner = first_not_none(*(value.get(name) for name in _MONGO)) if isinstance(value, dict) else None
            return None if inner is None else parse_time(inner)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    return moment if _EARLIEST <= moment < _LATEST else None


def _parse_epoch(seconds: float) -> datetime:
    for edge, unit in ((_NS_FROM, 1e9), (_US_FROM, 1e6), (_MS_FROM, 1e3)):
        if seconds >= edge:
            return datetime.fromtimestamp(seconds / unit, UTC)
    return datetime.fromtimestamp(seconds, UTC)


def _parse_written(written: str) -> datetime:
    if not written[:1].isdigit():
        moment = parsedate_to_datetime(written)
    elif written[4:5] == "/" and written[7:8] == "/":
        moment = datetime.fromisoformat(written.replace("/", "-", 2))
    elif written[-1:].isupper() and (bare := _ZONE_NAME.sub("", written)) != written:
        moment = datetime.fromisoformat(bare.replace(" +", "+").replace(" -", "-"))
    elif written[-1:] == "C" or " +" in written:
        moment = datetime.fromisoformat(written.removesuffix("UTC").strip().replace(" +", "+"))
    else:
        moment = datetime.fromisoformat(written)
    zone = moment.tzinfo
    if zone is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if zone is None else moment.astimezone(UTC)


def duration_ms_until(end: object, began: datetime | None) -> float | None:
    """Return the time from a call's beginning to its end in ms; None if either is unknown or they are reversed."""
    if began is None or (ended := parse_time(end)) is None or ended < began:
        return None
    return (ended - began).total_seconds() * 1000


def parse_cost(*values: object) -> Decimal | None:
    """Parse the first value that is an amount of US dollars, with or without the sign."""
    for value in values:
        if value is None:
            continue
        amount = as_number(value.strip().lstrip("$") if isinstance(value, str) else value)
        if amount is not None and 0 <= amount <= _LARGEST_COST:
            return usd(amount)
    return None


def find_cost(*sources: Mapping[str, Any]) -> Decimal | None:
    """Read the cost of the call in US dollars from the first source that has it."""
    for source in sources:
        if not source.keys().isdisjoint(_COST):
            for name in _COST:
                if name in source and (cost := parse_cost(source[name])) is not None:
                    return cost
    return None


def find_task(*sources: Mapping[str, Any]) -> str | None:
    """Read the task from the first source that names it."""
    for source in sources:
        for name in _TASK if source and not source.keys().isdisjoint(_TASK) else ():
            if name in source and (named := as_text(source[name])):
                return named
    return None


def find_id(names: tuple[str, ...], *sources: Mapping[str, Any]) -> str | None:
    """Read the id under one of the names, matched in any case, from the first source that has one.

    The id is truncated to 200 characters.
    """
    for source in sources:
        if not source:
            continue
        for key in _matching_keys(names, tuple(source)):
            if (identifier := parse_id(source[key])) is not None:
                return identifier
    return None


@lru_cache(maxsize=512)
def _matching_keys(names: tuple[str, ...], keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that match the names in any case, in the order of the names; the records of a log share keys."""
    found = {lowered: key for key in keys if (lowered := key.lower()) in names}
    return tuple(found[name] for name in names if name in found)


def parse_id(value: object) -> str | None:
    """Return an id, which may be a number, truncated to 200 characters, or None."""
    written = str(value) if isinstance(value, int) and not isinstance(value, bool) else as_text(value)
    return None if written is None else written[:_LONGEST_ID].strip()


def parse_tags(value: object) -> dict[str, str]:
    """Parse tags as text: objects and arrays are omitted, and each label of a list becomes a tag with value `true`."""
    inner = parse_embedded_json(value)
    if isinstance(inner, list):
        return {tag: "true" for tag in inner if isinstance(tag, str)}
    if not isinstance(inner, dict):
        return {}
    return {
        key: tag if type(tag) is str else _tag_text(tag)
        for key, tag in inner.items()
        if isinstance(tag, (str, int, float))
    }


def _tag_text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
