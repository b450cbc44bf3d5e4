"""What is kept of a call while it runs: references and shallow copies, so that the caller does not wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Shadow:
    """What all calls of one wrapped teacher share."""

    task: str | None
    model: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Arguments:
    """A teacher's arguments as they were when it was called.

    Lists and dicts are copied two levels down, messages and their content parts three and four: what the caller
    appends, removes or sets there after the call does not reach the record. Values deeper inside are shared.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a teacher, finished: `answer` is what it returned, or `chunks` what it streamed."""

    shadow: Shadow
    at: datetime
    episode: str | None
    arguments: Arguments
    latency_ms: float
    answer: Any = None
    chunks: list[Any] | None = field(default=None)
    error: str | None = None
    traceparent: str | None = None


def snapshot(positional: tuple[Any, ...], named: dict[str, Any]) -> Arguments:
    """Copy what the caller is likely to change: the messages."""
    copied = tuple([_copied(value) for value in positional])
    copied_named = {key: _copied(value) for key, value in named.items()}
    return Arguments(copied, copied_named, _characters(copied) + _characters(tuple(copied_named.values())))


def _copied(value: Any) -> Any:
    if type(value) is list or type(value) is tuple:
        return [_shallow(item) for item in value]
    if type(value) is dict:
        return {key: [_shallow(i) for i in item] if type(item) is list else item for key, item in value.items()}
    return value


def _shallow(item: Any) -> Any:
    if type(item) is not dict:
        return item
    content = item.get("content")
    if type(content) is not list:
        return item.copy()
    return {**item, "content": [part.copy() if type(part) is dict else part for part in content]}


def _characters(values: tuple[Any, ...]) -> int:
    """Characters of the texts near the surface: enough to refuse what is far too large."""
    total = 0
    for value in values:
        if type(value) is str:
            total += len(value)
        elif type(value) is list:
            for item in value:
                content = item.get("content") if type(item) is dict else item
                if type(content) is str:
                    total += len(content)
        elif type(value) is dict:
            total += _characters(tuple(value.values()))
    return total
