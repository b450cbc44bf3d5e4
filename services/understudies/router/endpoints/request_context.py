"""Parse the head of a request once, into typed values."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope

from understudies.events import TaskName
from understudies.events.base import TASK_NAME_RULE
from understudies.router.endpoints.auth import CREDENTIALS, Principal
from understudies.router.endpoints.errors import BadRequest
from understudies.router.endpoints.headers import TASK
from understudies.router.http1.disconnect import ClientConnectionState
from understudies.router.serving.cache_policy import CacheDirectives, parse_cache_directives
from understudies.runtime.fast_dataclass import fast_dataclass

ALIAS: Final = "understudies/"
"""Prefix of a model name that refers to a task: `understudies/TASK`."""

_EPISODE: Final = "x-understudies-episode"
_CRITICAL: Final = "x-understudies-critical"
_CACHE: Final = "x-understudies-cache"
_CACHE_CONTROL: Final = "cache-control"
_CONSENT: Final = "x-understudies-consent"
_DIRECTIVES: Final = frozenset({_EPISODE, _CRITICAL, _CACHE, _CACHE_CONTROL, _CONSENT})

_MAX_EPISODE: Final = 256
_NAME: Final = TypeAdapter[str](TaskName)

_IDEMPOTENCY_KEY: Final = "idempotency-key"
_FORWARDED: Final = frozenset(
    {"authorization", "x-api-key", "api-key", "accept", "user-agent", _IDEMPOTENCY_KEY, "traceparent"}
)
_FORWARDED_PREFIXES: Final = ("openai-", "anthropic-", "x-stainless-")


_OWN_PREFIX: Final = "x-understudies-"
_SINGLE_HEADERS: Final = CREDENTIALS | {
    "host",
    "content-length",
    "content-type",
    "user-agent",
    _IDEMPOTENCY_KEY,
    "traceparent",
    "openai-organization",
    "openai-project",
    "anthropic-version",
}
"""Headers whose value is not a list."""


class CallDirectives(NamedTuple):
    """A caller's directives for serving a call."""

    episode: str | None
    critical: bool
    """True if the teacher must answer, under any circumstances."""
    cache: CacheDirectives
    consent: bool | None
    """Whether the call may train a model; None if the caller does not say."""


_NO_DIRECTIVES: Final = CallDirectives(None, False, CacheDirectives(), None)


@fast_dataclass
class RequestContext:
    """The head of an admitted request: its principal, target, client connection, arrival time and headers.

    No other endpoint module reads a request's headers by name, but for the credentials, which `auth` reads.
    """

    principal: Principal
    method: str
    path: str
    query: str
    """The query string, without the question mark."""
    client: ClientConnectionState
    received_at: float
    headers: Mapping[str, str] = field(repr=False)
    """The headers by name in lower case; only this class may read them."""

    @property
    def content_length(self) -> str | None:
        """The declared length of the body."""
        return self.headers.get("content-length")

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the caller, as it was sent."""
        return self.headers.get("traceparent")

    @property
    def content_encoding(self) -> str | None:
        """The encodings with which the body is compressed; None if it is not."""
        return self.headers.get("content-encoding")

    def with_decompressed_body(self) -> "RequestContext":
        """Return the head of the request as it is once its body is decompressed."""
        kept = {
            name: value for name, value in self.headers.items() if name not in ("content-encoding", "content-length")
        }
        return replace(self, headers=kept)

    @property
    def content_type(self) -> str:
        """The media type of the body, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_anthropic(self) -> bool:
        """True if the client uses Anthropic's API."""
        return "anthropic-version" in self.headers

    def task_name(self, metadata_task: object, model: str) -> str | None:
        """Return the task that the caller names in a header, in the body's metadata or as its model, or None.

        Raises BadRequest if the text is not a valid name.
        """
        if (name := self.headers.get(TASK)) is not None:
            return _parse_task_name(_decode(name), "header X-Understudies-Task")
        if metadata_task is not None:
            return _parse_task_name(metadata_task, "metadata.task")
        if model.startswith(ALIAS):
            return _parse_task_name(model.removeprefix(ALIAS), "model")
        return None

    def call_directives(self) -> CallDirectives:
        """Parse the directives; raises BadRequest for an invalid one."""
        headers = self.headers
        if _DIRECTIVES.isdisjoint(headers):
            return _NO_DIRECTIVES
        return CallDirectives(
            _parse_episode(headers.get(_EPISODE)),
            _parse_flag(headers.get(_CRITICAL), "X-Understudies-Critical") is True,
            parse_cache_directives(headers.get(_CACHE), headers.get(_CACHE_CONTROL)),
            _parse_flag(headers.get(_CONSENT), "X-Understudies-Consent"),
        )

    def upstream_headers(self) -> dict[str, str]:
        """Return the headers to send to a teacher: those that its API knows, and never a key of this router."""
        passed = {
            name: value
            for name, value in self.headers.items()
            if (name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES)) and name not in CREDENTIALS
        }
        if (key := passed.get(_IDEMPOTENCY_KEY)) is not None:
            passed[_IDEMPOTENCY_KEY] = _qualify_idempotency_key(self.principal.tenant.name, key)
        passed.update(self.principal.credentials)
        return passed

    def passthrough_headers(self) -> dict[str, str]:
        """Return the headers of a request that is passed through unchanged, including those that describe its body."""
        about_body = {
            name: value
            for name, value in self.headers.items()
            if name.startswith("content-") or name == "accept-encoding"
        }
        return {**about_body, **self.upstream_headers()}


def headers_by_name(scope: Scope) -> dict[str, str]:
    """Return the headers by name in lower case.

    The values of a repeated one are joined with commas, as HTTP defines it for headers that are lists; of one that is
    not, the last value counts.
    """
    listed = scope["headers"]
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in listed}
    return headers if len(headers) == len(listed) else _joined(listed, headers)


def _joined(listed: Iterable[tuple[bytes, bytes]], last: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for raw_name, raw_value in listed:
        if value := raw_value.decode("latin-1").strip():
            values.setdefault(raw_name.decode("latin-1").lower(), []).append(value)
    single = {name for name in last if name in _SINGLE_HEADERS or name.startswith(_OWN_PREFIX)}
    return {name: value if name in single else ", ".join(values.get(name, ())) for name, value in last.items()}


def metadata_task(body: Mapping[str, Any]) -> object:
    """Return the value of `metadata.task`, of any type; None if there is none."""
    metadata = body.get("metadata")
    return metadata.get("task") if isinstance(metadata, dict) else None


def _parse_episode(name: str | None) -> str | None:
    if not name:
        return None
    name = _decode(name)
    if len(name) > _MAX_EPISODE:
        raise BadRequest(f"header X-Understudies-Episode is longer than {_MAX_EPISODE} characters", _EPISODE)
    return name


def _parse_flag(word: str | None, header: str) -> bool | None:
    """Refuse values that are neither true nor false: a misspelt one must not leave a critical call to a student."""
    if word is None:
        return None
    if word.lower() in ("0", "false", "no"):
        return False
    if word.lower() in ("1", "true", "yes"):
        return True
    raise BadRequest(f"header {header} is neither true nor false", header.lower())


def _decode(value: str) -> str:
    """Decode a header value as UTF-8, which callers send, from the Latin-1 in which HTTP delivers it."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise BadRequest("a header is not UTF-8") from error


def _qualify_idempotency_key(tenant: str, key: str) -> str:
    """Return the key that a teacher gets: it answers an equal one with what it answered before, to whichever tenant."""
    named = f"{len(tenant)}:{tenant}{key}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=4096)
def _validate_name(name: str) -> str:
    return _NAME.validate_python(name, strict=True)


def _parse_task_name(name: object, where: str) -> str:
    try:
        return _validate_name(name) if isinstance(name, str) else _NAME.validate_python(name, strict=True)
    except ValidationError as error:
        raise BadRequest(f"{where} is no task name: {TASK_NAME_RULE}", where) from error
