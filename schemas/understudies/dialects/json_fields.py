"""Read fields of untrusted JSON, and rewrite a client's body for the teacher."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from understudies.dialects.base import InvalidRequest
from understudies.events import Request


def text_or_empty(value: Any) -> str:
    """Return the value if it is text, else an empty string."""
    return value if isinstance(value, str) else ""


def object_or_empty(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_objects(value: Any) -> Iterable[dict[str, Any]]:
    """Return the objects in a list, or nothing if the value is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def token_count(value: Any) -> int:
    """Return the value if it is a token count, else zero."""
    return value if type(value) is int and value > 0 else 0


def index_or_zero(value: Any) -> int:
    """Return the value if it is an index into a list, else zero."""
    return value if isinstance(value, int) else 0


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def encode_json_text(value: Any) -> str:
    """Write the canonical text of a JSON value: compact, UTF-8, keys in their order; raises InvalidRequest.

    Values that JSON does not have are rejected: numbers that are not finite, lone surrogates, and more than 254 levels
    of nesting.
    """
    try:
        text = to_json(value).decode()
    except PydanticSerializationError as error:
        raise InvalidRequest(f"not to be written as JSON: {error}") from error
    _check_numbers((value,))
    return text


def arguments_text(given: Any) -> str:
    """Return the canonical text of a tool's arguments: text unchanged, an object compact, None as no arguments.

    Raises InvalidRequest for a value that cannot be encoded.
    """
    return given if isinstance(given, str) else encode_json_text({} if given is None else given)


def encode_json(value: Any) -> bytes:
    """Write parsed JSON, compact and in UTF-8; raises InvalidRequest for 255 levels of nesting and lone surrogates."""
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError as error:
        raise InvalidRequest(f"not to be written as JSON: {error}") from error


def _check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        kind = type(value)
        if kind is str or kind is bool:
            continue
        if kind is dict:
            _check_numbers(value.values())
        elif kind is list:
            _check_numbers(value)
        elif kind is float and not math.isfinite(value):
            raise InvalidRequest("not to be written as JSON: a number that is not finite")


_DIGITS_AS_ZERO: Final = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_LONG_INTEGER: Final = b"0" * 19
"""As many digits as the shortest integer of more than 64 bits has, in either sign."""


def with_long_integers(raw: bytes, body: dict[str, Any]) -> dict[str, Any]:
    """Return the parsed body of `raw` with all digits of integers of more than 64 bits; `body` itself if it has none.

    Fast parsers read those as rounded floats; in the arguments of a tool they may be the digits of an id.
    """
    if _LONG_INTEGER not in raw.translate(_DIGITS_AS_ZERO):
        return body
    try:
        exact = parse_json(raw)
    except ValueError:
        return body
    return exact if isinstance(exact, dict) else body


_HALF: Final = re.compile(r"[\ud800-\udfff]")


def parse_json(data: str | bytes) -> Any:
    """Parse JSON; raises ValueError, for NaN and infinities too."""
    return from_json(data, allow_inf_nan=False, cache_strings="keys")


def parse_lenient_json(data: bytes) -> Any:
    """Parse JSON as clients do that take what the standard has not: NaN, infinities and halves of surrogate pairs.

    Raises ValueError.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def join_texts(pieces: Iterable[str]) -> str:
    """Join the pieces of a text; the halves of a surrogate pair that a server cut in two become their character.

    A half that stays alone becomes U+FFFD.
    """
    text = "".join(pieces)
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parse_object_text(written: str) -> dict[str, Any] | None:
    """Parse JSON text as an object; returns None if it is not one."""
    try:
        value = parse_json(written)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, dict) else None


def read_model(body: Mapping[str, Any]) -> str:
    """Return the model that a request names; raises InvalidRequest."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest("name a model, as a string", "model")
    return model


def read_stream_flag(body: Mapping[str, Any]) -> bool:
    """Return whether a request asks for a stream; raises InvalidRequest for a value that is not a boolean."""
    stream = body.get("stream")
    if stream is None or isinstance(stream, bool):
        return stream is True
    raise InvalidRequest("stream: true or false", "stream")


def read_task(body: Mapping[str, Any]) -> str | None:
    """Return the value of `metadata.task`, or None; raises InvalidRequest if it is not text."""
    metadata = body.get("metadata")
    task = metadata.get("task") if isinstance(metadata, dict) else None
    if task is not None and not isinstance(task, str):
        raise InvalidRequest("metadata.task: a task's name is text", "metadata.task")
    return task


def validate_request(canonical: Mapping[str, Any]) -> Request:
    """Validate the fields of a canonical request; raises InvalidRequest."""
    try:
        request: Request = _REQUEST.validate_python(canonical)
    except ValidationError as error:
        raise to_invalid_request(error) from error
    return request


_REQUEST: Final = Request.__pydantic_validator__
"""The validator behind `model_validate`, used directly as the method's options take part of its time."""


def to_invalid_request(error: ValidationError) -> InvalidRequest:
    """Convert the first validation error of a request, without the request's text."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(str(part) for part in problem["loc"]) or None
    return InvalidRequest(f"{param or 'body'}: {problem['msg']}", param)


def rewrite_body(raw: bytes, body: Mapping[str, Any], model: str, changes: Mapping[str, Any] | None = None) -> bytes:
    """Rewrite a body for the teacher, or return `raw` if nothing has to change.

    Raises InvalidRequest if the body cannot be encoded again.
    """
    metadata = body.get("metadata")
    for_the_router = isinstance(metadata, dict) and "task" in metadata
    if body.get("model") == model and not for_the_router:
        if not changes:
            return raw
        if changes.keys().isdisjoint(body) and body:
            # All other bytes go on as they came, which is also faster.
            start = raw.index(b"{") + 1
            return raw[:start] + encode_json(changes)[1:-1] + b"," + raw[start:]
    changed = {**with_long_integers(raw, dict(body)), **(changes or {}), "model": model}
    if isinstance(metadata, dict) and for_the_router:
        changed["metadata"] = {name: value for name, value in metadata.items() if name != "task"}
        if not changed["metadata"]:
            del changed["metadata"]
    return encode_json(changed)
