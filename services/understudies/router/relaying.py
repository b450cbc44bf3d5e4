"""Requests that are no calls of a task: passed on to the teacher as they are, and not recorded."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from understudies.router import headers as told
from understudies.router.access import Admitted
from understudies.router.call import TeacherError
from understudies.router.caller import caller_of
from understudies.router.errors import Problem, too_slow
from understudies.router.gate import Gate
from understudies.router.headers import task_named_in
from understudies.router.incoming import LARGE, Gone, TooLarge, Watch, pieces, too_many, whole_body
from understudies.router.replies import end, piece
from understudies.router.upstream.teachers import Teachers

_WITH_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"}) | _WITH_A_BODY
_FIELD: Final = re.compile(rb'\bname="?model"?(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)\r\n')
_BEGINNING: Final = 65_536
"""Bytes of a form in which its model is looked for."""
_MODELS: Final = "/v1/models/"
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
_FREE: Final = frozenset({"/v1/messages/count_tokens"})
"""Paths of what costs nothing, and so goes around no budget."""
_ABOUT: Final = [(b"x-understudies-served-by", b"teacher"), (b"x-understudies-reason", b"passed_through")]


class Relaying:
    """Passes requests on, whatever they are: embeddings, files, batches, and bodies that only the teacher can read."""

    def __init__(self, teachers: Teachers, gate: Gate) -> None:
        self._teachers = teachers
        self._gate = gate

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on by its path."""
        if scope["method"] not in _METHODS:
            # TRACE would send the headers back, with the key in them.
            message, allow = f"{scope['method']} is not passed on", ", ".join(sorted(_METHODS))
            raise Problem(405, message, code="method_not_allowed", headers={"allow": allow})
        headers = told.plain(scope["headers"])
        admitted = self._gate.admit(headers)
        limit = self._gate.max_body_bytes
        if scope["method"] in _WITH_A_BODY and _is_json(headers):
            seconds = self._gate.seconds
            try:
                async with asyncio.timeout(seconds):
                    raw = await whole_body(receive, headers.get("content-length"), limit)
            except TimeoutError:
                raise too_slow(seconds) from None
            model, task = _named_in(raw)
            self._check_task(scope, admitted, headers, task, model)
            await self.pass_on(scope, admitted, headers, raw, model, receive, send)
        elif scope["method"] in _WITH_A_BODY:
            self._check_task(scope, admitted, headers, None, None)
            upload = _Upload(receive, limit)
            try:
                with Watch(caller_of(scope), reading=True) as watch:
                    upload.on_taken = watch.body_has_come
                    await self._relay(scope, admitted, headers, upload, None, send)
            except TeacherError as error:
                raise upload.wrong or error from None
        else:
            await self.pass_on(scope, admitted, headers, None, _model_at(scope["path"]), receive, send)

    def _check_task(
        self, scope: Scope, admitted: Admitted, headers: Mapping[str, str], task: object, model: object
    ) -> None:
        """Raises Problem for what names a task with a budget, around which it would go."""
        if scope["path"].rstrip("/") in _FREE:
            return
        named = told.named_task(headers, None, model if isinstance(model, str) else "")
        if named is not None:
            named = self._gate.task_for(admitted.tenant, named)
        elif isinstance(task, str):
            # What passes through may have metadata for others, in which any text stands.
            named = admitted.tenant.task_of(task)
        self._gate.check_unreadable(named, f"{scope['path']} passes through")

    async def pass_on(
        self,
        scope: Scope,
        admitted: Admitted,
        headers: Mapping[str, str],
        body: bytes | None,
        model: object,
        receive: Receive,
        send: Send,
    ) -> None:
        """Pass a request on whose body is read and whose tenant is known; ends it where the caller hangs up."""
        with Watch(caller_of(scope)):
            await self._relay(scope, admitted, headers, body, model, send)

    async def _relay(
        self,
        scope: Scope,
        admitted: Admitted,
        headers: Mapping[str, str],
        body: "bytes | _Upload | None",
        model: object,
        send: Send,
    ) -> None:
        self._gate.check_unrecorded(admitted.tenant, scope["method"], scope["path"])
        seconds = self._gate.seconds
        try:
            async with asyncio.timeout(seconds):
                if isinstance(body, _Upload) and _is_form(headers):
                    model = await body.model()
                answer = await self._teachers.relay(
                    scope["method"],
                    _target(scope),
                    self._gate.for_relay(admitted, headers),
                    body.pieces() if isinstance(body, _Upload) else body,
                    model if isinstance(model, str) else None,
                )
                raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers]
                try:
                    await send({"type": "http.response.start", "status": answer.status, "headers": [*raw, *_ABOUT]})
                    async for data in answer:
                        await piece(send, data)
                    await end(send)
                finally:
                    await answer.close()
        except TimeoutError:
            raise Problem(504, f"no answer within {seconds:g} s", code="timeout") from None


class _Upload:
    """A body that is sent on as it comes; `wrong` is why that ended early, which its sender cannot tell any more.

    `on_taken` is told once all of it has come.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self.wrong: TooLarge | Gone | None = None
        self.on_taken: Callable[[], None] = lambda: None
        self._begun = b""
        self._coming = pieces(receive, limit)

    async def model(self) -> str | None:
        """The field `model` of a form, if it stands near the beginning; raises TooLarge or Gone."""
        named = None
        while named is None and len(self._begun) < _BEGINNING:
            piece_of_it = await anext(self._coming, b"")
            if not piece_of_it:
                break
            self._begun += piece_of_it
            named = _FIELD.search(self._begun[:_BEGINNING])
        return named and named[1].decode("utf-8", "replace")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises TooLarge or Gone."""
        try:
            if self._begun:
                yield self._begun
            async for piece_of_it in self._coming:
                yield piece_of_it
            self.on_taken()
        except (TooLarge, Gone) as wrong:
            self.wrong = wrong
            raise


def _target(scope: Scope) -> str:
    """Path and query as they were sent."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


def _model_at(path: str) -> str | None:
    """The model that a path names."""
    return path.removeprefix(_MODELS) or None if path.startswith(_MODELS) else None


def _named_in(raw: bytes) -> tuple[object, object]:
    """The model that a body names, and the task in its metadata; None for what it does not name, or is no JSON object.

    Of a body with too many values to be read, such as tokens to embed, the model is the first that is named anywhere.
    """
    if len(raw) > LARGE and too_many(raw):
        named = _MODEL.search(raw)
        return named and named[1].decode("utf-8", "replace"), None
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    return (body.get("model"), task_named_in(body)) if isinstance(body, dict) else (None, None)
