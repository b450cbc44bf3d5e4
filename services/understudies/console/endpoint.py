"""Serve the console's pages."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from understudies.console.page import HEADERS, TASK_PATH
from understudies.console.pages import render_overview, render_story
from understudies.console.steering import SteeringEndpoint
from understudies.events import NewId
from understudies.router.endpoints.admin import AdminHandler
from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.responses import send_response
from understudies.runtime.clock import Clock
from understudies.status.access import StatusAccess
from understudies.status.decision import PublishDecision
from understudies.status.endpoint import StatusEndpoint
from understudies.status.reader import StatusReader
from understudies.status.standing import STATUS_PATH, STEERING_PATH

_HTML: Final = "text/html; charset=utf-8"


class Console:
    """ASGI handlers of the overview and of a task's page, for whoever may read the status."""

    def __init__(self, reader: StatusReader, access: StatusAccess, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock

    async def serve_overview(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page of all tasks."""
        self._access.check(scope)
        page = render_overview(await self._reader.overview(self._clock.now()))
        await send_response(send, 200, HEADERS, page.encode(), _HTML)

    async def serve_task(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page of the task that the query names."""
        self._access.check(scope)
        names = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("name", [""])
        story = await self._reader.story(names[0], self._clock.now())
        if story is None:
            raise HttpError(404, f"no call of a task {names[0]!r} was recorded", code="not_found")
        await send_response(send, 200, HEADERS, render_story(story).encode(), _HTML)


def create_pages(
    reader: StatusReader, access: StatusAccess, clock: Clock, new_id: NewId, publish: PublishDecision
) -> Mapping[str, AdminHandler]:
    """Return the handlers of the console, of the status as JSON and of people's decisions, by path."""
    console = Console(reader, access, clock)
    return {
        "/": console.serve_overview,
        TASK_PATH: console.serve_task,
        STATUS_PATH: StatusEndpoint(reader, access, clock),
        STEERING_PATH: SteeringEndpoint(reader, access, clock, new_id, publish),
    }
