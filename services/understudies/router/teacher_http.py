"""A teacher behind an OpenAI-compatible API."""

import logging
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from understudies.economics.prices import teacher_call_cost
from understudies.events import Usage
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.wire import answer_of, request_body

_KEPT = ("x-request-id", "request-id", "openai-", "x-ratelimit-", "retry-after", "x-should-retry")
_log = logging.getLogger(__name__)


class HttpTeacher:
    """Asks `URL/chat/completions`; with a key of its own the caller's is not passed on."""

    def __init__(
        self,
        url: str,
        *,
        api_key: SecretStr | None = None,
        price_usd: Decimal | None = None,
        timeout_s: float = 600.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._key = api_key
        self._price = price_usd
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None
        # The price list takes a moment to load: now, not during the first call.
        teacher_call_cost("", Usage(prompt_tokens=1), price_usd)

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """The teacher's answer; raises TeacherError with what the caller should be told."""
        began = time.perf_counter()
        try:
            status, headers, raw = await self._post(call, self._headers(call, fresh))
        except TimeoutError as error:
            raise _failure(504, "the teacher did not answer in time", "teacher_timeout", _ms(began)) from error
        except aiohttp.ClientError as error:
            _log.warning("teacher failed on call %s: %r", call.id, error)
            raise _failure(502, "the teacher cannot be reached", "teacher_unreachable", _ms(began)) from error
        return self._answer(call, status, _kept(headers), raw, _ms(began))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, call: Call, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        body = call.raw if call.raw is not None else orjson.dumps(request_body(call.request, call.model))
        try:
            return await self._post_once(body, headers)
        except aiohttp.ClientConnectorError:
            # Nothing was sent yet, so nothing can happen twice.
            return await self._post_once(body, headers)

    async def _post_once(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        async with self._open().post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            return response.status, response.headers, await response.read()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=1000),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _headers(self, call: Call, fresh: bool) -> dict[str, str]:
        headers = {"content-type": "application/json", **call.passed}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        if fresh:
            headers["cache-control"] = "no-cache"
            headers.pop("idempotency-key", None)
        return headers

    def _answer(
        self, call: Call, status: int, headers: Mapping[str, str], raw: bytes, latency_ms: float
    ) -> TeacherAnswer:
        body = _object(raw)
        if not 200 <= status < 300:
            shown = status if status >= 400 else 502
            raise TeacherError(
                shown, _told(body, raw), raw=raw if body else None, headers=headers, latency_ms=latency_ms
            )
        if body is None:
            raise _failure(502, "the teacher's answer is not JSON", "teacher_answer_broken", latency_ms, headers)
        try:
            response, model, usage = answer_of(body)
        except ValueError as error:
            # Not a completion that can be recorded; the caller gets what the teacher sent all the same.
            raise TeacherError(status, "not a completion", raw=raw, headers=headers, latency_ms=latency_ms) from error
        cost = teacher_call_cost(model or call.model, usage, self._price, at=call.at)
        return TeacherAnswer(response, model or call.model, usage, cost, latency_ms, raw, headers)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _told(body: dict[str, Any] | None, raw: bytes) -> str:
    error = (body or {}).get("error")
    message = error.get("message") if isinstance(error, Mapping) else None
    return str(message or raw[:500].decode("utf-8", "replace").strip() or "no message")


def _failure(
    status: int, message: str, code: str, latency_ms: float, headers: Mapping[str, str] | None = None
) -> TeacherError:
    return TeacherError(status, message, code=code, headers=headers, latency_ms=latency_ms)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith(_KEPT)}


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
