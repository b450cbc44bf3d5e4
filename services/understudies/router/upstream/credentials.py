"""Whose key a teacher is sent: its own, or the caller's, and never another's."""

from collections.abc import Mapping
from typing import Final

from understudies.router.call import Api
from understudies.runtime.teachers import TeacherSpec

_SECRET_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"}
)
_KEY_HEADERS: Final = frozenset({"authorization", "x-api-key"})
_ACCOUNT_HEADERS: Final = frozenset({"openai-organization", "openai-project"})
"""Headers that belong to the caller's key and are wrong beside another one."""


def teacher_headers(spec: TeacherSpec, api: Api, passed: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers (named in lower case) for a teacher, with the key that it is to be sent.

    A teacher with a key of its own, and one that needs none, get nothing of the caller's credentials.
    """
    if spec.has_own_key or spec.auth == "none":
        headers = {
            name: value
            for name, value in passed.items()
            if name not in _SECRET_HEADERS and name not in _ACCOUNT_HEADERS
        }
        if spec.api_key is not None and spec.auth != "none":
            name, value = _key_header(spec, api, spec.api_key.get_secret_value())
            headers[name] = value
        return headers
    if spec.auth == "by_api":
        return {name: value for name, value in passed.items() if name not in _SECRET_HEADERS or name in _KEY_HEADERS}
    headers = {name: value for name, value in passed.items() if name not in _SECRET_HEADERS}
    if key := passed.get("x-api-key") or passed.get("authorization", "").partition(" ")[2]:
        name, value = _key_header(spec, api, key)
        headers[name] = value
    return headers


def _key_header(spec: TeacherSpec, api: Api, key: str) -> tuple[str, str]:
    by_header = spec.auth == "x-api-key" or (spec.auth == "by_api" and api == "messages")
    return ("x-api-key", key) if by_header else ("authorization", f"Bearer {key}")
