"""Call a provider's API: with its key, within time, and again where that is safe."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from pydantic import SecretStr

_LONGEST_REASON: Final = 300
_MAX_BYTES: Final = 64_000_000
_MAX_WAIT_S: Final = 60.0
_TRANSIENT: Final = frozenset({408, 409, 425, 429})
_UPLOAD_FACTOR: Final = 10


class ProviderError(Exception):
    """Report what a provider refused, or answered that it should not; the text is safe to log."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProviderUnavailable(ProviderError):  # noqa: N818 - named by what happened
    """Report a provider that cannot be reached, or is busy or broken now: whether it did what it was asked is open."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


class ProviderClient:
    """Client of one provider, to be used inside one event loop as a context.

    Every method raises ProviderError if the provider refuses, and ProviderUnavailable if it cannot be reached, says
    that it is busy, or fails.
    """

    def __init__(self, base_url: str, key: SecretStr | None, timeout_s: float) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s

    async def __aenter__(self) -> "ProviderClient":
        headers = {"accept-encoding": "identity"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        self._session = aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object at a path."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post a JSON object and return the answer."""
        return await self._call("POST", path, json=dict(body))

    async def delete(self, path: str) -> None:
        """Delete what is at a path."""
        await self._call("DELETE", path)

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> dict[str, Any]:
        """Post a file as a form and return the answer."""
        form = aiohttp.FormData()
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", content, filename=name, content_type="application/jsonl")
        return await self._call("POST", path, factor=_UPLOAD_FACTOR, data=form)

    async def _call(self, method: str, path: str, factor: int = 1, **options: Any) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s * factor)
        url = f"{self.base_url}{path}"
        try:
            async with self._session.request(
                method, url, timeout=timeout, allow_redirects=False, **options
            ) as response:
                content = await response.content.read(_MAX_BYTES)
                return _read(method, path, response, content)
        except TimeoutError as error:
            raise ProviderUnavailable(f"{method} {path}: no answer within {self._timeout_s * factor:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderUnavailable(f"{method} {path}: {type(error).__name__}") from error


async def wait_before_retry(error: ProviderUnavailable, attempt: int, longest_s: float) -> None:
    """Wait as long as the provider says, else twice as long each time, at most `longest_s`."""
    wanted = error.retry_after_s if error.retry_after_s is not None else 2.0 ** min(attempt, 10) / 2
    await asyncio.sleep(min(wanted, longest_s, _MAX_WAIT_S))


def _read(method: str, path: str, response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
    status = response.status
    if status >= 500 or status in _TRANSIENT:
        raise ProviderUnavailable(
            f"{method} {path}: HTTP {status}{_reason(content)}", status, _retry_after_s(response.headers)
        )
    if status >= 300:
        hint = "; check the key of the endpoint" if status in (401, 403) else ""
        raise ProviderError(f"{method} {path}: HTTP {status}{_reason(content)}{hint}", status)
    try:
        body = json.loads(content or b"{}")
    except ValueError as error:
        raise ProviderError(f"{method} {path}: the answer is not JSON; check the URL of the API", status) from error
    if not isinstance(body, dict):
        # Together lists files and events as arrays in some versions.
        return {"data": body}
    return body


def _reason(content: bytes) -> str:
    """Return what the provider says, shortened; nothing if it says nothing readable."""
    try:
        body = json.loads(content)
        error = body.get("error", body) if isinstance(body, dict) else {}
        message = error.get("message") if isinstance(error, dict) else error
    except ValueError:
        return ""
    return f": {message[:_LONGEST_REASON]}" if isinstance(message, str) and message else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
