"""Select the headers that pass between clients and teachers, so that no teacher gets another's key."""

from collections.abc import Iterable, Mapping
from typing import Final

from understudies.dialects.base import Api
from understudies.runtime.rules.teacher import TeacherSpec

_SECRET_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"}
)
_KEY_HEADERS: Final = frozenset({"authorization", "x-api-key"})
_ACCOUNT_HEADERS: Final = frozenset({"openai-organization", "openai-project"})
"""Headers that belong to the caller's key and are wrong with another one."""


def teacher_headers(spec: TeacherSpec, api: Api, caller_headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers for a teacher: the caller's (named in lower case), with the key to use.

    A teacher with its own key, or one that needs none, gets none of the caller's credentials.
    """
    if spec.has_own_key or spec.auth == "none":
        headers = {
            name: value
            for name, value in caller_headers.items()
            if name not in _SECRET_HEADERS and name not in _ACCOUNT_HEADERS
        }
        if spec.api_key is not None and spec.auth != "none":
            name, value = _key_header(spec, api, spec.api_key.get_secret_value())
            headers[name] = value
        return headers
    if spec.auth == "by_api":
        return {
            name: value for name, value in caller_headers.items() if name not in _SECRET_HEADERS or name in _KEY_HEADERS
        }
    headers = {name: value for name, value in caller_headers.items() if name not in _SECRET_HEADERS}
    if key := caller_headers.get("x-api-key") or caller_headers.get("authorization", "").partition(" ")[2]:
        name, value = _key_header(spec, api, key)
        headers[name] = value
    return headers


def _key_header(spec: TeacherSpec, api: Api, key: str) -> tuple[str, str]:
    by_header = spec.auth == "x-api-key" or (spec.auth == "by_api" and api == "messages")
    return ("x-api-key", key) if by_header else ("authorization", f"Bearer {key}")


_RESPONSE_HEADERS: Final = (
    "x-request-id",
    "request-id",
    "openai-",
    "anthropic-",
    "x-ratelimit-",
    "retry-after",
    "x-should-retry",
    "content-type",
)
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
"""Hop-by-hop headers, which apply to one connection only."""
_CLIENT_ONLY: Final = frozenset({"host", "expect", "forwarded", "via", "cookie", "origin", "referer"})
_TEACHER_ONLY: Final = frozenset({"set-cookie", "alt-svc", "strict-transport-security", "server", "date", "via"})


def response_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Select the headers of a teacher's answer for the caller; names are in lower case."""
    return {name: value for name, value in headers if name.startswith(_RESPONSE_HEADERS)}


def forwarded_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Select the headers of a passthrough request for the teacher; the returned names are in lower case."""
    lower = {name.lower(): value for name, value in headers.items()}
    dropped = _HOP_BY_HOP | _CLIENT_ONLY | _connection_headers(lower)
    return {
        name: value
        for name, value in lower.items()
        if name not in dropped and not name.startswith(("x-understudies-", "x-forwarded-", "x-real-ip"))
    }


def forwarded_response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Select the headers of a passthrough answer for the caller; names are in lower case."""
    listed = list(headers)
    dropped = _HOP_BY_HOP | _TEACHER_ONLY | _connection_headers(dict(listed))
    return [(name, value) for name, value in listed if name not in dropped]


def _connection_headers(headers: Mapping[str, str]) -> set[str]:
    """Return the header names that `connection` lists as hop-by-hop."""
    return {name.strip().lower() for name in headers.get("connection", "").split(",")}
