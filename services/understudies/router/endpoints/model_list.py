"""List the models that callers may name: the teachers', and each task with a promoted student."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from understudies.router.call import TeacherError
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.request_context import ALIAS, RequestContext
from understudies.router.endpoints.responses import send_json
from understudies.router.upstream.teachers import TeacherPool
from understudies.runtime.rules.teacher import TeacherSpec

PATH: Final = "/v1/models"

_MAX_LIST_BYTES: Final = 8_000_000
_LIST_TIMEOUT_S: Final = 5.0
"""Time limit for a teacher's list, in seconds; a teacher that exceeds it is treated as one that has no list."""
_CREATED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


class ModelListEndpoint:
    """List the tasks that a student serves, then the models that the teachers list.

    The teachers are asked concurrently. For one that has no list, or may not be asked with the caller's key, the exact
    model names in its settings are listed.
    """

    def __init__(self, teachers: TeacherPool, admission: Admission, tasks: Callable[[], Sequence[str]]) -> None:
        self._teachers = teachers
        self._admission = admission
        self._tasks = tasks

    def handles(self, path: str) -> bool:
        """Return whether a path is that of the list, or of one of the tasks in it."""
        return path == PATH or path.startswith(f"{PATH}/{ALIAS}") or path.startswith(f"{PATH}/understudies%2F")

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the list, or one entry of it."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HttpError(405, "models can only be read", code="method_not_allowed", headers={"allow": "GET, HEAD"})
        context = self._admission.admit(scope)
        anthropic, tenant = context.is_anthropic, context.principal.tenant
        tasks = [tenant.display_name(task) for task in self._tasks() if self._admission.is_visible(tenant, task)]
        named = unquote(scope["path"].removeprefix(PATH).lstrip("/"))
        if named:
            if named.removeprefix(ALIAS) not in tasks:
                raise HttpError(
                    404, f"there is no model {named!r}: no student serves such a task", code="model_not_found"
                )
            return await send_json(send, 200, _make_entry(named, anthropic))
        with CancelScope(context.client):
            listed = await self._merge_lists(context)
        data = [*(_make_entry(f"{ALIAS}{task}", anthropic) for task in tasks), *listed.get("data", ())]
        shape: dict[str, Any] = {"has_more": False} if anthropic else {"object": "list"}
        return await send_json(send, 200, {**shape, **listed, "data": data})

    async def _merge_lists(self, context: RequestContext) -> dict[str, Any]:
        """Merge the teachers' lists; fields other than `data` are those of the first teacher that has a list."""
        target = f"{PATH}?{context.query}" if context.query else PATH
        passed = context.upstream_headers()
        asked = self._teachers.list_sources(target, passed)
        found = await asyncio.gather(
            *(self._fetch_list(spec, target, passed) for spec, may_be_asked in asked if may_be_asked)
        )
        lists = dict(zip((spec.name for spec, may_be_asked in asked if may_be_asked), found, strict=True))
        anthropic = context.is_anthropic
        data: dict[Any, Any] = {}
        for spec, _ in asked:
            listed = lists.get(spec.name)
            entries = [_make_entry(name, anthropic) for name in spec.exact_models] if listed is None else listed["data"]
            for entry in entries:
                data.setdefault(_entry_name(entry), entry if spec is asked[0][0] else _convert_entry(entry, anthropic))
        frame = next((listed for listed in found if listed is not None), {})
        return {**frame, "data": list(data.values())}

    async def _fetch_list(self, spec: TeacherSpec, target: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """Return a teacher's list; None if it sends no valid list in time."""
        try:
            async with asyncio.timeout(min(_LIST_TIMEOUT_S, self._admission.timeout_s)):
                answer = await self._teachers.pass_through_to(spec, "GET", target, headers)
                try:
                    raw = bytearray()
                    async for piece in answer:
                        raw += piece
                        if len(raw) > _MAX_LIST_BYTES:
                            return None
                    found = orjson.loads(raw)
                finally:
                    await answer.close()
        except (TeacherError, TimeoutError, orjson.JSONDecodeError):
            return None
        good = answer.status == 200 and isinstance(found, dict) and isinstance(found.get("data"), list)
        return found if good else None


def _entry_name(entry: Any) -> Any:
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else repr(entry)


def _convert_entry(entry: Any, anthropic: bool) -> Any:
    """Return an entry in the format of the API that was called, whichever API its teacher speaks."""
    name = entry.get("id") if isinstance(entry, dict) else None
    of_anthropic = isinstance(entry, dict) and entry.get("type") == "model"
    return _make_entry(name, anthropic) if isinstance(name, str) and of_anthropic is not anthropic else entry


def _make_entry(name: str, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        created = _CREATED_AT.isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}
    return {"id": name, "object": "model", "created": int(_CREATED_AT.timestamp()), "owned_by": "understudies"}
