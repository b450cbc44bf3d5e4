"""The data kept of a call while it runs: references and shallow copies, so that the caller does not wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class TeacherInfo:
    """The data shared by all calls of one wrapped teacher."""

    task: str | None
    model: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A teacher's arguments as they were when it was called.

    Lists and dicts are copied two levels deep, messages and their content parts three and four levels deep, so
    changes that the caller makes there after the call do not affect the record. Values nested deeper are shared.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    characters: int = 0


@dataclass(frozen=True, slots=True)
class TeacherCall:
    """A finished call of a teacher, with the `answer` that it returned or the `chunks` that it streamed."""

    teacher: TeacherInfo
    at: datetime
    episode: str | None
    arguments: CallArguments
    latency_ms: float
    answer: Any = None
    chunks: list[Any] | None = field(default=None)
    error: str | None = None
    traceparent: str | None = None


def copy_arguments(positional: tuple[Any, ...], named: dict[str, Any]) -> CallArguments:
    """Copy the arguments deeply enough to protect the messages, which the caller is likely to change."""
    copied = tuple([_copy_value(value) for value in positional])
    copied_named = {key: _copy_value(value) for key, value in named.items()}
    return CallArguments(
        copied, copied_named, _count_characters(copied) + _count_characters(tuple(copied_named.values()))
    )


def _copy_value(value: Any) -> Any:
    if type(value) is list or type(value) is tuple:
        return [_copy_message(item) for item in value]
    if type(value) is dict:
        return {key: [_copy_message(i) for i in item] if type(item) is list else item for key, item in value.items()}
    return value


def _copy_message(item: Any) -> Any:
    if type(item) is not dict:
        return item
    content = item.get("content")
    if type(content) is not list:
        return item.copy()
    return {**item, "content": [part.copy() if type(part) is dict else part for part in content]}


def _count_characters(values: tuple[Any, ...]) -> int:
    """Count the characters of the texts at the outer levels, which suffices to refuse a call that is far too large."""
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
            total += _count_characters(tuple(value.values()))
    return total
