"""Redact calls: replace secrets and personal data before they leave the process."""

import hashlib
import json
from collections.abc import Callable
from functools import reduce
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from understudies.events import Invocation, Message, Request, fingerprint
from understudies.redaction.credentials import has_credentials, mask_credentials
from understudies.redaction.json_credentials import has_json_credentials, mask_json_credentials
from understudies.redaction.patterns import default_redactor, redact_prompt
from understudies.redaction.prefilter import possible_kinds

__all__ = ["Redactor", "combined", "default_redactor", "redact_request", "redacted"]

Redactor = Callable[[str], str]
"""Replaces what must not leave the process; called with every text of a call."""

Model = TypeVar("Model", bound=BaseModel)

_PROMPT_ROLES: Final = ("system", "developer")


def combined(*redactors: Redactor) -> Redactor:
    """Combine several redactors, applied in order."""
    return lambda text: reduce(lambda so_far, redactor: redactor(so_far), redactors, text)


def redact_request(request: Request, redact: Redactor = default_redactor) -> Request:
    """Redact every text of a request; return the same object if nothing changes."""
    if _needs_no_redaction(request, redact):
        return request
    messages = tuple([_redact_message(message, redact) for message in request.messages])
    fields = {name: value for name, value in request.__dict__.items() if name != "messages" and value is not None}
    others = {name: _redact_value(value, redact) for name, value in fields.items()}
    changed = any(new is not old for new, old in zip(messages, request.messages, strict=True))
    if any(others[name] is not value for name, value in fields.items()):
        return Request.model_validate({"messages": messages, **others})
    return request.model_copy(update={"messages": messages}) if changed else request


def redacted(
    invocation: Invocation, redact: Redactor = default_redactor, *, request: Request | None = None
) -> Invocation:
    """Redact every text and name of an invocation, and update its fingerprint.

    Return the same object if nothing changes. `request` is its request if it is already redacted.
    """
    if request is None:
        request = redact_request(invocation.request, redact)
    response = invocation.response
    if response is not None and not _needs_no_redaction(response, redact):
        response = _redact_model(response, redact)
    error = None if invocation.error is None else redact(mask_json_credentials(invocation.error))
    tags = {redact(key): redact(value) for key, value in invocation.tags.items()}
    episode = None if invocation.episode is None else redact_episode(invocation.episode, redact)
    same = request is invocation.request
    names = {"error": error, "tags": tags, "episode": episode}
    if same and response is invocation.response and all(getattr(invocation, key) == names[key] for key in names):
        return invocation
    name = invocation.fingerprint if same or request == invocation.request else fingerprint(request)
    return invocation.model_copy(update={"request": request, "response": response, "fingerprint": name, **names})


def redact_episode(name: str, redact: Redactor = default_redactor) -> str:
    """Redact an episode's name; one with personal data gets the same replacement in all calls of the episode."""
    clean = redact(name)
    return (
        name
        if clean == name
        else f"{clean}-{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
    )


def _needs_no_redaction(model: BaseModel, redact: Redactor) -> bool:
    """Return whether the default redactor has nothing to find, by one look at the whole model."""
    if redact is not default_redactor:
        return False
    try:
        raw = model.__pydantic_serializer__.to_json(model)
        return not (possible_kinds(raw) or has_credentials(raw) or has_json_credentials(raw))
    except PydanticSerializationError:
        return False


def _redact_message(message: Message, redact: Redactor) -> Message:
    """Redact a message; system prompts are cached, because every call of a task repeats them."""
    if redact is default_redactor and message.role in _PROMPT_ROLES:
        return _redact_model(message, redact_prompt)
    return _redact_model(message, redact)


def _redact_model(model: Model, redact: Redactor) -> Model:
    """Redact every text of a model; return the same object if nothing changes."""
    fields = {name: value for name, value in model.__dict__.items() if value is not None}
    clean = {name: _redact_value(value, redact) for name, value in fields.items()}
    if all(clean[name] is value for name, value in fields.items()):
        return model
    return type(model).model_validate(clean)


def _redact_value(value: Any, redact: Redactor, *, in_text: bool = False) -> Any:
    """Redact every text of a value; return the same object if nothing changes."""
    if isinstance(value, str):
        return _redact_text(value, redact)
    if isinstance(value, BaseModel):
        return _redact_model(value, redact)
    if isinstance(value, dict):
        shown = value if in_text else mask_credentials(value)
        items = {key: _redact_value(item, redact, in_text=in_text) for key, item in shown.items()}
        return value if all(items[key] is item for key, item in value.items()) else items
    if isinstance(value, list | tuple):
        cleaned = [_redact_value(item, redact, in_text=in_text) for item in value]
        return value if all(new is old for new, old in zip(cleaned, value, strict=True)) else cleaned
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _redact_number(value, redact)
    return value


def _redact_text(text: str, redact: Redactor) -> str:
    text = mask_json_credentials(text)
    clean = redact(text)
    if clean == text:
        return text
    if text.lstrip()[:1] not in ("{", "["):
        return clean
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return clean
    # JSON stays JSON: a card number without quotes becomes a quoted placeholder.
    return json.dumps(_redact_value(parsed, redact, in_text=True), ensure_ascii=False)


def _redact_number(number: float, redact: Redactor) -> float | str:
    text = str(number)
    clean = redact(text)
    return number if clean == text else clean
