"""Serve the status of all tasks, and the story of one, as JSON."""

from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.responses import send_response
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess
from understudies.status.reader import StatusReader
from understudies.status.standing import Overview, TaskStory


class StatusEndpoint:
    """ASGI handler of `/status`; `/status?task=NAME` tells the story of one task."""

    def __init__(self, reader: StatusReader, access: StatusAccess, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check(scope)
        try:
            body = await self._read(scope.get("query_string", b""))
        except RetryLater as error:
            raise HttpError(503, f"{error}; ask again in a moment", code="not_available") from error
        await send_response(send, 200, {}, body.model_dump_json().encode())

    async def _read(self, query: bytes) -> Overview | TaskStory:
        names = parse_qs(query.decode("latin-1")).get("task")
        now = self._clock.now()
        if not names:
            return await self._reader.overview(now)
        story = await self._reader.story(names[0], now)
        if story is None:
            raise HttpError(404, f"no call of a task {names[0]!r} was recorded", code="not_found")
        return story
