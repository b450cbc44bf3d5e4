"""The models that callers may name: the teachers', and each task with a promoted student."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from understudies.router import headers as told
from understudies.router.access import Admitted
from understudies.router.call import TeacherError
from understudies.router.errors import Problem
from understudies.router.gate import Gate
from understudies.router.headers import ALIAS
from understudies.router.replies import reply_json
from understudies.router.upstream.teachers import Teachers

PATH: Final = "/v1/models"

Names = Callable[[], Sequence[str]]

_MOST_BYTES: Final = 8_000_000
_LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Models:
    """Lists what the caller's teacher lists, with the tasks that a student serves before it."""

    def __init__(self, teachers: Teachers, gate: Gate, tasks: Names, names: Names) -> None:
        self._teachers = teachers
        self._gate = gate
        self._tasks = tasks
        self._names = names

    def has(self, path: str) -> bool:
        """Whether a path is the list, or one of the tasks in it."""
        return path == PATH or path.startswith(f"{PATH}/{ALIAS}") or path.startswith(f"{PATH}/understudies%2F")

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The list, or one of it."""
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "models can only be read", code="method_not_allowed", headers={"allow": "GET, HEAD"})
        headers = told.plain(scope["headers"])
        admitted = self._gate.admit(headers)
        anthropic = "anthropic-version" in headers
        tasks = [task for task in self._tasks() if admitted.tenant.may_call(task)]
        named = unquote(scope["path"].removeprefix(PATH).lstrip("/"))
        if named:
            if named.removeprefix(ALIAS) not in tasks:
                raise Problem(
                    404, f"there is no model {named!r}: no student serves such a task", code="model_not_found"
                )
            return await reply_json(send, 200, _entry(named, anthropic))
        listed = await self._listed(scope, admitted, headers)
        data = [*(_entry(f"{ALIAS}{task}", anthropic) for task in tasks), *listed.get("data", ())]
        shape: dict[str, Any] = {"has_more": False} if anthropic else {"object": "list"}
        return await reply_json(send, 200, {**shape, **listed, "data": data})

    async def _listed(self, scope: Scope, admitted: Admitted, headers: Mapping[str, str]) -> dict[str, Any]:
        """What the teacher lists; where it lists nothing, the exact names that the settings have for it."""
        query: bytes = scope.get("query_string", b"")
        target = f"{PATH}?{query.decode('latin-1')}" if query else PATH
        own = {"data": [_entry(name, "anthropic-version" in headers) for name in self._names()]}
        try:
            answer = await self._teachers.relay("GET", target, self._gate.for_the_teacher(admitted, headers))
        except TeacherError:
            return own
        try:
            raw = bytearray()
            async for piece in answer:
                raw += piece
                if len(raw) > _MOST_BYTES:
                    return own
            found = orjson.loads(raw)
        except (TeacherError, orjson.JSONDecodeError):
            return own
        finally:
            await answer.close()
        good = answer.status == 200 and isinstance(found, dict) and isinstance(found.get("data"), list)
        return found if good else own


def _entry(name: str, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        created = _LONG_AGO.isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}
    return {"id": name, "object": "model", "created": int(_LONG_AGO.timestamp()), "owned_by": "understudies"}
