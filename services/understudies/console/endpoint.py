"""Serve the console's pages."""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from html import escape
from typing import Final, get_args
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from understudies.console.marking import MarkEndpoint
from understudies.console.page import (
    DISAGREEMENTS_PATH,
    HEADERS,
    MARKS_PATH,
    SERVICES_PATH,
    SETTINGS_PATH,
    STUDENT_PATH,
    STYLE_PATH,
    TASK_PATH,
    read_style,
    render_page,
)
from understudies.console.reads.disagreements import (
    MAX_SEARCH_CHARACTERS,
    MarkFilter,
    Search,
    count_marks,
    fetch_disagreements,
)
from understudies.console.reads.projection import fetch_projection
from understudies.console.reads.students import fetch_student
from understudies.console.reads.task_details import read_task, read_tenant_task
from understudies.console.source import ConsoleSource
from understudies.console.steering import SteeringEndpoint
from understudies.console.tenants import TenantReader
from understudies.console.views.disagreements_page import render_disagreements
from understudies.console.views.overview import render_overview, render_tenant_overview
from understudies.console.views.services_page import StoreHealth, render_services
from understudies.console.views.settings_page import render_settings
from understudies.console.views.student_page import render_student_page
from understudies.console.views.task_page import render_task_page
from understudies.events import NewId
from understudies.router.endpoints.admin import AdminHandler
from understudies.router.endpoints.errors import BadRequest, HttpError, to_http_error
from understudies.router.endpoints.responses import send_response
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess, Viewer
from understudies.status.decision import PublishDecision
from understudies.status.endpoint import StatusEndpoint
from understudies.status.reader import StatusReader
from understudies.status.standing import STATUS_PATH, STEERING_PATH, Overview

_HTML: Final = "text/html; charset=utf-8"
_COUNTS: Final = (
    "SELECT table, sum(rows) AS n FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
)
_TABLES: Final = ("invocations", "verdicts", "gate_decisions", "promotions", "drift", "marks")

Query = Mapping[str, str]
_Render = Callable[[Query, Viewer], Awaitable[str]]


class Console:
    """ASGI handlers of the pages, for whoever may read the status; a tenant sees its own alone."""

    def __init__(self, source: ConsoleSource, access: StatusAccess) -> None:
        self._source = source
        self._access = access
        self._tenants = TenantReader(source)

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the handlers by path."""
        pages: dict[str, _Render] = {
            "/": self._overview,
            TASK_PATH: self._task,
            STUDENT_PATH: self._student,
            DISAGREEMENTS_PATH: self._disagreements,
            SETTINGS_PATH: self._settings,
            SERVICES_PATH: self._services,
        }
        handlers = {path: self._handler(render) for path, render in pages.items()}
        marking = MarkEndpoint(self._source, self._access)
        return {**handlers, MARKS_PATH: _with_error_page(marking), STYLE_PATH: self._serve_style}

    def _handler(self, render: _Render) -> AdminHandler:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            viewer = self._access.viewer(scope)
            page = await render(_read_query(scope), viewer)
            await send_response(send, 200, HEADERS, page.encode(), _HTML)

        return _with_error_page(serve)

    async def _serve_style(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the style sheet, which holds nothing that is not in the package."""
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        await send_response(send, 200, headers, read_style(), "text/css; charset=utf-8")

    async def _overview(self, query: Query, viewer: Viewer) -> str:
        now = self._source.clock.now()
        overview = await self._source.standings.overview(now)
        if viewer.tenant is not None:
            return render_tenant_overview(await self._tenants.restrict(overview, viewer.tenant), viewer.tenant)
        prices = {task.task: task.teacher_price.usd for task in overview.tasks if task.teacher_price}
        return render_overview(
            overview,
            await fetch_projection(self._source.store, prices, now),
            _read_page(query, overview),
            live=self._source.is_live,
            elsewhere=self._source.elsewhere,
        )

    async def _task(self, query: Query, viewer: Viewer) -> str:
        task = query.get("name", "")
        if viewer.tenant is not None and not self._tenants.owns(viewer.tenant, task):
            standing = await self._tenants.standing(task, viewer.tenant)
            return render_task_page(await read_tenant_task(self._source, standing, viewer.tenant))
        details = await read_task(self._source, task)
        if details is None:
            raise _unknown_task(task)
        whole = viewer.tenant is None
        elsewhere = self._source.elsewhere if whole else ""
        return render_task_page(details, steers=self._source.steers and whole, elsewhere=elsewhere)

    async def _student(self, query: Query, viewer: Viewer) -> str:
        task, student = query.get("task", ""), query.get("name", "")
        if viewer.tenant is not None and not self._tenants.owns(viewer.tenant, task):
            raise _not_shown()
        details = await fetch_student(self._source.store, self._source.files, task, student)
        if details is None:
            raise HttpError(404, f"there is no student {student!r} of a task {task!r}", code="not_found")
        return render_student_page(details)

    async def _disagreements(self, query: Query, viewer: Viewer) -> str:
        task, search = query.get("task", ""), _read_search(query)
        tenant = viewer.tenant
        if tenant is not None and self._tenants.owns(tenant, task):
            tenant = None
        elif tenant is not None:
            await self._tenants.standing(task, tenant)
        page = await fetch_disagreements(self._source.store, task, search, tenant)
        marks = {} if tenant is not None else await count_marks(self._source.store, task)
        return render_disagreements(
            task,
            page,
            search,
            marks,
            may_mark=viewer.tenant is None,
            name=viewer.name,
            whole=viewer.tenant is None,
        )

    async def _settings(self, query: Query, viewer: Viewer) -> str:
        if viewer.tenant is not None:
            raise _not_shown()
        return render_settings(self._source.rules(), self._source.settings)

    async def _services(self, query: Query, viewer: Viewer) -> str:
        if viewer.tenant is not None:
            raise _not_shown()
        services = await self._source.services() if self._source.services else ()
        began = time.perf_counter()
        counts = {row["table"]: row["n"] for row in await self._source.store.query(_COUNTS)}
        took_ms = (time.perf_counter() - began) * 1000
        return render_services(services, StoreHealth({name: counts.get(name, 0) for name in _TABLES}, took_ms))


def create_pages(source: ConsoleSource, access: StatusAccess) -> Mapping[str, AdminHandler]:
    """Return the handlers of the pages by path."""
    return Console(source, access).handlers()


def create_steering(
    reader: StatusReader, access: StatusAccess, source: ConsoleSource, new_id: NewId, publish: PublishDecision
) -> Mapping[str, AdminHandler]:
    """Return the handlers of the status as JSON and of people's decisions, by path."""
    return {
        STATUS_PATH: StatusEndpoint(reader, access, source.clock),
        STEERING_PATH: _with_error_page(SteeringEndpoint(reader, access, source.clock, new_id, publish)),
    }


def _with_error_page(handler: AdminHandler) -> AdminHandler:
    """Show an error to a browser as a page; other clients get it as JSON, from the dispatcher."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handler(scope, receive, send)
        except (HttpError, BadRequest, RetryLater) as error:
            problem = _unavailable(error) if isinstance(error, RetryLater) else to_http_error(error)
            if not _accepts_html(scope):
                raise problem from error
            body = f'<p class="alert">{escape(problem.message)}</p>'
            footer, is_known = f"Status {problem.status}", problem.status != 401
            page = render_page("Understudies", "This cannot be done", "", body, footer, whole=is_known)
            await send_response(send, problem.status, {**HEADERS, **problem.headers}, page.encode(), _HTML)

    return serve


def _unavailable(error: RetryLater) -> HttpError:
    """Return the error for a store that fails, or has no tables yet because its observer is just starting."""
    hint = "reload the page in a moment; after an upgrade the observer brings the store's tables up to date first"
    return HttpError(503, f"{error}; {hint}", code="not_available")


def _accepts_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _read_query(scope: Scope) -> Query:
    found = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return {name: values[0] for name, values in found.items()}


def _read_page(query: Query, overview: Overview) -> int:
    text = query.get("page", "1")
    return min(int(text), len(overview.tasks) + 1) if text.isascii() and text.isdigit() and int(text) > 0 else 1


def _read_search(query: Query) -> Search:
    filters: dict[str, MarkFilter] = {name: name for name in get_args(MarkFilter)}
    return Search(
        text=query.get("text", "").strip()[:MAX_SEARCH_CHARACTERS],
        student=query.get("student", ""),
        mark=filters.get(query.get("mark", ""), ""),
        before=_read_place(query.get("before", "")),
    )


def _read_place(text: str) -> tuple[datetime, str] | None:
    """Return the time and id of the last disagreement seen; None for what is no such place."""
    moment, _, verdict = text.partition("|")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (at, verdict) if at.tzinfo is not None and verdict else None


def _unknown_task(task: str) -> HttpError:
    return HttpError(404, f"no call of a task {task!r} was recorded", code="not_found")


def _not_shown() -> HttpError:
    return HttpError(
        403, "this page shows more than a tenant's own calls: use the key of the console", code="forbidden"
    )
