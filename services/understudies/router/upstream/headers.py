"""Which headers travel between callers and teachers."""

from collections.abc import Iterable, Mapping
from typing import Final

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
"""Headers of one connection, which end with it."""
_CLIENT_ONLY: Final = frozenset({"host", "expect", "forwarded", "via", "cookie", "origin", "referer"})
_TEACHER_ONLY: Final = frozenset({"set-cookie", "alt-svc", "strict-transport-security", "server", "date", "via"})


def response_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What the caller gets of the headers of a teacher's answer; names are in lower case."""
    return {name: value for name, value in headers if name.startswith(_RESPONSE_HEADERS)}


def forwarded_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What a teacher gets of the headers of a request that is passed through."""
    lower = {name.lower(): value for name, value in headers.items()}
    dropped = _HOP_BY_HOP | _CLIENT_ONLY | _connection_headers(lower)
    return {
        name: value
        for name, value in lower.items()
        if name not in dropped and not name.startswith(("x-understudies-", "x-forwarded-", "x-real-ip"))
    }


def forwarded_response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the caller gets of the headers of an answer that is passed through; names are in lower case."""
    listed = list(headers)
    dropped = _HOP_BY_HOP | _TEACHER_ONLY | _connection_headers(dict(listed))
    return [(name, value) for name, value in listed if name not in dropped]


def _connection_headers(headers: Mapping[str, str]) -> set[str]:
    """The headers that `connection` says are of this connection alone."""
    return {name.strip().lower() for name in headers.get("connection", "").split(",")}
