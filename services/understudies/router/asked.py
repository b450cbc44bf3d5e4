"""What a caller asked over HTTP: the call, read from headers and body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from understudies.events import Request, TaskName, discovered_task, request_of
from understudies.router.wire import MAX_DEPTH, too_deep

ALIAS = "understudies/"
"""A model of this name and a task's is the task itself."""

_TASK = TypeAdapter[str](TaskName)
_LONGEST_EPISODE = 256
_PASSED = ("authorization", "openai-organization", "openai-project", "openai-beta", "idempotency-key")


class BadRequest(Exception):  # noqa: N818 - the name of the status
    """The caller has to ask differently; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat completion that was asked for; `body` is what the teacher is sent."""

    task: str
    request: Request
    model: str
    body: Mapping[str, Any] = field(repr=False)
    passed: Mapping[str, str] = field(repr=False)
    episode: str | None = None
    critical: bool = False
    stream: bool = False
    include_usage: bool = False


def read(raw: bytes, headers: Mapping[str, str], teacher_model: str | None = None) -> Asked:
    """What was asked; raises BadRequest with what to change."""
    body = _parsed(raw)
    try:
        request = request_of(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        param = ".".join(str(part) for part in problem["loc"]) or None
        raise BadRequest(f"{param or 'body'}: {problem['msg']}", param) from error
    named = body.get("model")
    if not isinstance(named, str) or not named:
        raise BadRequest("name a model, as a string", "model")
    options = body.get("stream_options")
    return Asked(
        task=_task(request, body, named, headers),
        request=request,
        model=(model := _teacher_model(named, teacher_model)),
        body=_for_the_teacher(body, model),
        passed={name: headers[name] for name in _PASSED if name in headers},
        episode=_episode(headers),
        critical=headers.get("x-understudies-critical", "").lower() in ("1", "true"),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    if too_deep(body):
        raise BadRequest(f"the body is nested more than {MAX_DEPTH} levels deep")
    return body


def _task(request: Request, body: Mapping[str, Any], model: str, headers: Mapping[str, str]) -> str:
    metadata = body.get("metadata")
    candidates = (
        ("header X-Understudies-Task", _decoded(headers.get("x-understudies-task"))),
        ("metadata.task", metadata.get("task") if isinstance(metadata, dict) else None),
        ("model", model.removeprefix(ALIAS) if model.startswith(ALIAS) else None),
    )
    for where, name in candidates:
        if name is not None:
            return _valid(name, where)
    return discovered_task(request)


def _valid(name: Any, where: str) -> str:
    try:
        return _TASK.validate_python(name, strict=True)
    except ValidationError as error:
        raise BadRequest(
            f"{where}: {name!r} is no task name: 1 to 200 characters, no slash, no at sign, no control character, "
            "no space in front",
            where,
        ) from error


def _decoded(value: str | None) -> str | None:
    """A header's text: HTTP hands bytes over as Latin-1, callers mean UTF-8."""
    if value is None:
        return None
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise BadRequest("a header is not UTF-8") from error


def _episode(headers: Mapping[str, str]) -> str | None:
    episode = _decoded(headers.get("x-understudies-episode")) or None
    if episode is not None and len(episode) > _LONGEST_EPISODE:
        raise BadRequest(
            f"header X-Understudies-Episode is longer than {_LONGEST_EPISODE} characters", "x-understudies-episode"
        )
    return episode


def _teacher_model(named: str, teacher_model: str | None) -> str:
    if not named.startswith(ALIAS):
        return named
    if teacher_model is None:
        raise BadRequest(
            f"model {named!r} names a task, and no teacher's model is set (UNDERSTUDIES_ROUTER_TEACHER_MODEL); "
            "name the teacher's model, and the task in header X-Understudies-Task",
            "model",
        )
    return teacher_model


def _for_the_teacher(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body without what was meant for the router; streams are taken whole."""
    kept = {key: value for key, value in body.items() if key not in ("stream", "stream_options", "metadata")}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key != "task"}
    return {**kept, "model": model, **({"metadata": metadata} if metadata else {})}
