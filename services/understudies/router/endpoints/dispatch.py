"""Dispatch HTTP requests as an ASGI application: each API's calls, admin endpoints, and the rest passed through."""

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from understudies.dialects.base import Dialect
from understudies.dialects.registry import DECISION_DIALECTS, DIALECTS
from understudies.router.endpoints.admin import AdminEndpoints
from understudies.router.endpoints.errors import ClientDisconnected, HttpError, send_error, to_http_error
from understudies.router.endpoints.inference import InferenceEndpoint
from understudies.router.endpoints.model_list import ModelListEndpoint
from understudies.router.endpoints.passthrough import PassthroughEndpoint
from understudies.router.endpoints.responses import SendWhole
from understudies.router.http1.request_cycle import RequestCycle

_log = logging.getLogger(__name__)

_SLASHES: Final = re.compile("//+")
_RAW_SLASHES: Final = re.compile(b"//+")
_GEMINI: Final = re.compile(r"/models/[^/]+:\w+$")
"""Matches the paths of Gemini's own API, as `/v1beta/models/gemini-2.5-flash:generateContent`."""
_DIALECT_BY_PATH: Final[Mapping[str, Dialect]] = {
    dialect.path: dialect for dialect in (*DIALECTS.values(), *DECISION_DIALECTS.values())
}


class Dispatcher:
    """Dispatch requests to their endpoints; report every error in the format of the API that was called."""

    def __init__(
        self,
        inference: InferenceEndpoint,
        admin: AdminEndpoints,
        model_list: ModelListEndpoint,
        passthrough: PassthroughEndpoint,
    ) -> None:
        self._inference = inference
        self._admin = admin
        self._model_list = model_list
        self._passthrough = passthrough

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if "//" in path:
            scope = _with_single_slashes(scope)
            path = scope["path"]
        dialect = _DIALECT_BY_PATH.get(path) or _DIALECT_BY_PATH.get(path.rstrip("/"))
        sent = _SendTracker(send, scope["method"])
        try:
            if dialect is not None and scope["method"] == "POST":
                await self._inference.serve(dialect, scope, receive, sent)
            elif (page := self._admin.find(path)) is not None:
                await page(scope, receive, sent)
            elif self._model_list.handles(path):
                await self._model_list.serve(scope, receive, sent)
            elif path.startswith("/v1/"):
                await self._passthrough.serve(scope, receive, sent)
            else:
                raise HttpError(404, _describe_missing(path), code="not_found")
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            # The server cancels the requests in flight once the time for draining is over.
            if not sent.begun:
                problem = HttpError(
                    503, "the router stops; ask again", code="stopping", headers={"connection": "close"}
                )
                await send_error(send, problem, dialect or _client_dialect(scope))
        except Exception as error:  # noqa: BLE001 - the caller gets a response to any error
            problem = to_http_error(error)
            if problem.status == 500:
                # The error's own text may quote a prompt, so log only its type and traceback.
                where = "".join(traceback.format_tb(error.__traceback__))
                _log.error("%s %s failed with %s\n%s", scope["method"], path, type(error).__name__, where)
            if sent.begun:
                # The server closes the connection of an unfinished response, so the caller sees that it is incomplete.
                return
            await send_error(send, problem, dialect or _client_dialect(scope))


def _with_single_slashes(scope: Scope) -> Scope:
    """Merge repeated slashes, as of a base URL that ends in one, so that such a call is recorded too."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": _SLASHES.sub("/", scope["path"]), "raw_path": _RAW_SLASHES.sub(b"/", raw_path)}


def _describe_missing(path: str) -> str:
    if _GEMINI.search(path) is not None:
        return (
            "Gemini's own API is not served: call /v1/chat/completions, and name Gemini's OpenAI-compatible address "
            "(https://generativelanguage.googleapis.com/v1beta/openai) as the teacher's"
        )
    return f"there is nothing at {path!r}; the APIs are under /v1"


class _SendTracker:
    """Track whether a response has begun."""

    __slots__ = ("_cycle", "_send", "begun")

    def __init__(self, send: Send, method: str) -> None:
        self._send = send
        self.begun = False
        owner = getattr(send, "__self__", None)
        self._cycle = owner if isinstance(owner, RequestCycle) and method != "HEAD" else None

    def __call__(self, message: Message) -> Awaitable[None]:
        self.begun = True
        return self._send(message)

    @property
    def whole(self) -> SendWhole | None:
        """What sends a whole response faster than its two events; None for HEAD, and where the server cannot."""
        return None if self._cycle is None else self._send_whole

    def _send_whole(self, status: int, headers: Mapping[str, str], body: bytes) -> Awaitable[None]:
        assert self._cycle is not None
        self.begun = True
        return self._cycle.send_response(status, headers, body)


def _client_dialect(scope: Scope) -> Dialect:
    """Return the API in whose format the caller expects errors, by a header that its client always sends."""
    anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return DIALECTS["messages" if anthropic else "chat"]
