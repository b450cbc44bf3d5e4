"""Whose key a teacher is sent: its own, or the caller's, and never another's."""

from collections.abc import Mapping
from typing import Final

from understudies.router.call import Api
from understudies.runtime.teachers import TeacherSpec

_SECRET: Final = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"})
_KEYS: Final = frozenset({"authorization", "x-api-key"})
_ACCOUNT: Final = frozenset({"openai-organization", "openai-project"})
"""Headers that belong to the caller's key and are wrong beside another one."""


def teacher_headers(spec: TeacherSpec, api: Api, passed: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers (named in lower case) for a teacher, with the key that it is to be sent.

    A teacher with a key of its own, and one that needs none, get nothing of the caller's credentials.
    """
    if spec.own_key or spec.auth == "none":
        headers = {name: value for name, value in passed.items() if name not in _SECRET and name not in _ACCOUNT}
        if spec.api_key is not None and spec.auth != "none":
            name, value = _styled(spec, api, spec.api_key.get_secret_value())
            headers[name] = value
        return headers
    if spec.auth == "by_api":
        return {name: value for name, value in passed.items() if name not in _SECRET or name in _KEYS}
    headers = {name: value for name, value in passed.items() if name not in _SECRET}
    if key := passed.get("x-api-key") or passed.get("authorization", "").partition(" ")[2]:
        name, value = _styled(spec, api, key)
        headers[name] = value
    return headers


def _styled(spec: TeacherSpec, api: Api, key: str) -> tuple[str, str]:
    by_header = spec.auth == "x-api-key" or (spec.auth == "by_api" and api == "messages")
    return ("x-api-key", key) if by_header else ("authorization", f"Bearer {key}")
