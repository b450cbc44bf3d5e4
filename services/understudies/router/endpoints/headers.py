"""What a caller says in headers, and what it is told in them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from understudies.events import TaskName
from understudies.events.base import TASK_NAME_RULE
from understudies.router.endpoints.errors import BadRequest
from understudies.router.serving.results import ServingInfo

ALIAS: Final = "understudies/"
"""A model of this name and a task's is the task itself."""

TASK = "x-understudies-task"
EPISODE = "x-understudies-episode"
CRITICAL = "x-understudies-critical"
CACHE = "x-understudies-cache"

_VISIBLE = "!#$&'()*+,-.:;<=>?@[]^_`{|}~"
_MAX_EPISODE = 256
_NAME = TypeAdapter[str](TaskName)

_FORWARDED = frozenset(
    {"authorization", "x-api-key", "api-key", "accept", "user-agent", "idempotency-key", "traceparent"}
)
_FORWARDED_PREFIXES = ("openai-", "anthropic-", "x-stainless-")


def as_dict(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name in lower case; of those that come twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def forwardable(headers: Mapping[str, str]) -> dict[str, str]:
    """What the teacher is told of the caller's headers: what its API knows, nothing of the caller's own network."""
    return {n: value for n, value in headers.items() if n in _FORWARDED or n.startswith(_FORWARDED_PREFIXES)}


def parse_task(headers: Mapping[str, str], metadata_task: object, model: str) -> str | None:
    """The task that the caller names: in a header, in the body's metadata, or as its model; None where it does not.

    Raises BadRequest for what cannot be a name.
    """
    if (name := headers.get(TASK)) is not None:
        return _parse_task_name(decode_header(name), "header X-Understudies-Task")
    if metadata_task is not None:
        return _parse_task_name(metadata_task, "metadata.task")
    if model.startswith(ALIAS):
        return _parse_task_name(model.removeprefix(ALIAS), "model")
    return None


def read_metadata_task(body: Mapping[str, Any]) -> object:
    """What stands in `metadata.task`, whatever that is."""
    metadata = body.get("metadata")
    return metadata.get("task") if isinstance(metadata, dict) else None


def parse_episode(headers: Mapping[str, str]) -> str | None:
    """The episode that the call belongs to; raises BadRequest for a name that is too long."""
    name = headers.get(EPISODE)
    if not name:
        return None
    name = decode_header(name)
    if len(name) > _MAX_EPISODE:
        raise BadRequest(f"header X-Understudies-Episode is longer than {_MAX_EPISODE} characters", EPISODE)
    return name


def parse_critical(headers: Mapping[str, str]) -> bool:
    """Whether the caller wants the teacher, come what may; raises BadRequest for what says neither yes nor no.

    A word that is misspelt must not leave a critical call to a student.
    """
    word = headers.get(CRITICAL)
    if word is None or word.lower() in ("0", "false", "no"):
        return False
    if word.lower() in ("1", "true", "yes"):
        return True
    raise BadRequest("header X-Understudies-Critical is neither true nor false", CRITICAL)


def decode_header(value: str) -> str:
    """A header's text: HTTP hands bytes over as Latin-1, callers mean UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise BadRequest("a header is not UTF-8") from error


def call_headers(task: str, invocation: str) -> dict[str, str]:
    """Headers that name the task and the event of a call."""
    return {TASK: _encode_value(task), "x-understudies-invocation": invocation}


def serving_headers(by: ServingInfo) -> dict[str, str]:
    """Headers that say who served a call, and why."""
    told: dict[str, str] = {"x-understudies-served-by": by.served_by, "x-understudies-reason": by.decision.reason}
    if by.student is not None:
        told["x-understudies-student"] = _encode_value(by.student)
    if by.confidence is not None:
        told["x-understudies-confidence"] = f"{by.confidence:.6g}"
    if by.teacher:
        told["x-understudies-teacher"] = _encode_value(by.teacher)
    return told


@lru_cache(maxsize=4096)
def _validate_name(name: str) -> str:
    return _NAME.validate_python(name, strict=True)


@lru_cache(maxsize=4096)
def _encode_value(name: str) -> str:
    return quote(name, safe=_VISIBLE)


def _parse_task_name(name: object, where: str) -> str:
    try:
        return _validate_name(name) if isinstance(name, str) else _NAME.validate_python(name, strict=True)
    except ValidationError as error:
        raise BadRequest(
            f"{where} is no task name: {TASK_NAME_RULE}",
            where,
        ) from error
