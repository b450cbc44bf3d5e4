"""The router over HTTP, as an ASGI application: each API's calls, pages about the router, and the rest passed on."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from understudies.router.dialects import DIALECTS, Dialect
from understudies.router.errors import Problem, problem_of, send_problem
from understudies.router.exchange import Exchange
from understudies.router.incoming import Gone
from understudies.router.models import Models
from understudies.router.pages import Pages
from understudies.router.relaying import Relaying

_log = logging.getLogger(__name__)

_BY_PATH: Final[Mapping[str, Dialect]] = {dialect.path: dialect for dialect in DIALECTS.values()}


class Front:
    """Finds who answers a request; whatever goes wrong is told in the shape of the API that was asked."""

    def __init__(self, exchange: Exchange, pages: Pages, models: Models, relaying: Relaying) -> None:
        self._exchange = exchange
        self._pages = pages
        self._models = models
        self._relaying = relaying

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        dialect = _BY_PATH.get(path) or _BY_PATH.get(path.rstrip("/"))
        sent = _Sent(send)
        try:
            if dialect is not None and scope["method"] == "POST":
                await self._exchange.serve(dialect, scope, receive, sent)
            elif (page := self._pages.at(path)) is not None:
                await page(scope, receive, sent)
            elif self._models.has(path):
                await self._models.serve(scope, receive, sent)
            elif path.startswith("/v1/"):
                await self._relaying.serve(scope, receive, sent)
            else:
                raise Problem(404, f"there is nothing at {path!r}; the APIs are under /v1", code="not_found")
        except Gone:
            return
        except asyncio.CancelledError:
            # The server gives up what is in flight once the time for draining is over.
            if not sent.begun:
                problem = Problem(503, "the router stops; ask again", code="stopping", headers={"connection": "close"})
                await send_problem(send, problem, dialect or _spoken(scope))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
            problem = problem_of(error)
            if problem.status == 500:
                # The error's own text may quote a prompt: where it came from has to do.
                where = "".join(traceback.format_tb(error.__traceback__))
                _log.error("%s %s failed with %s\n%s", scope["method"], path, type(error).__name__, where)
            if sent.begun:
                # The server closes the connection of an answer without an end: the caller knows that it is not whole.
                return
            await send_problem(send, problem, dialect or _spoken(scope))


class _Sent:
    """Remembers whether an answer has begun."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    def __call__(self, message: Message) -> Awaitable[None]:
        self.begun = True
        return self._send(message)


def _spoken(scope: Scope) -> Dialect:
    """The API whose errors the caller understands, by what its client sends with everything."""
    anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return DIALECTS["messages" if anthropic else "chat"]
