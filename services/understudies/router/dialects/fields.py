"""JSON that others wrote, read without trusting it."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from understudies.events import Request
from understudies.router.dialects.base import Unreadable


def text_of(value: Any) -> str:
    """The value where it is text, else nothing."""
    return value if isinstance(value, str) else ""


def mapping_of(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_in(value: Any) -> Iterable[dict[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def count_of(value: Any) -> int:
    """A count of tokens; zero where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def place_of(value: Any) -> int:
    """An index into a list; the first where it is none."""
    return value if isinstance(value, int) else 0


def known(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def json_text(value: Any) -> str:
    """JSON without spaces; raises Unreadable for what cannot be written."""
    return json_bytes(value).decode()


def json_bytes(value: Any) -> bytes:
    """JSON without spaces, in UTF-8; raises Unreadable for what cannot be written, such as 255 levels of nesting."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise Unreadable(f"not to be written as JSON: {error}") from error


def object_in(written: str) -> dict[str, Any] | None:
    """The object that JSON text holds; None where it holds none."""
    try:
        value = orjson.loads(written)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, dict) else None


def model_in(body: Mapping[str, Any]) -> str:
    """The model that a request names; raises Unreadable."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Unreadable("name a model, as a string", "model")
    return model


def streamed_in(body: Mapping[str, Any]) -> bool:
    """Whether a request wants its answer in pieces; raises Unreadable for what says neither."""
    stream = body.get("stream")
    if stream is None or isinstance(stream, bool):
        return stream is True
    raise Unreadable("stream: true or false", "stream")


def task_in(body: Mapping[str, Any]) -> str | None:
    """What `metadata.task` names; raises Unreadable where it is no text."""
    metadata = body.get("metadata")
    task = metadata.get("task") if isinstance(metadata, dict) else None
    if task is not None and not isinstance(task, str):
        raise Unreadable("metadata.task: a task's name is text", "metadata.task")
    return task


def request_in(canonical: Mapping[str, Any]) -> Request:
    """The canonical request; raises Unreadable."""
    try:
        return Request.model_validate(canonical)
    except ValidationError as error:
        raise unreadable(error) from error


def unreadable(error: ValidationError) -> Unreadable:
    """The first thing that is wrong with a request, without the text in it."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(str(part) for part in problem["loc"]) or None
    return Unreadable(f"{param or 'body'}: {problem['msg']}", param)
