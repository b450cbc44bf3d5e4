"""A teacher that refuses what is no request of its API, as far as the router's own document describes them."""

from typing import Any, Final

import jsonschema_rs
from aiohttp import web
from tests.support.fake_teacher import FakeTeacher
from tests.support.fake_teacher_responses import PATHS, Api, render_error_body

from understudies.router.endpoints.openapi import build_document

_DECISION_PATHS: Final = ("/v1/decisions", "/v1/systemone")
_DECISION: Final[dict[str, Any]] = {
    "model": "decider-1",
    "answers": [{"type": "predicate", "name": "late", "probability": 0.75}],
    "usage": {"input_tokens": 9, "output_tokens": 0},
}


class StrictTeacher(FakeTeacher):
    """Answers good requests, and others with 400 in the shape of the API."""

    def __init__(self, text: str = "teacher's answer") -> None:
        super().__init__(text)
        paths = build_document()["paths"]
        self._bodies = {api: jsonschema_rs.validator_for(_body_schema(paths[path])) for api, path in PATHS.items()}
        self._decisions = {path: jsonschema_rs.validator_for(_body_schema(paths[path])) for path in _DECISION_PATHS}

    async def _respond_unless_disconnected(
        self, request: web.Request, api: Api, body: dict[str, Any]
    ) -> web.StreamResponse:
        wrong = next(iter(self._bodies[api].iter_errors(body)), None)
        if wrong is None:
            return await super()._respond_unless_disconnected(request, api, body)
        return web.json_response(render_error_body(api, "invalid_request_error", wrong.message), status=400)

    async def _handle_other(self, request: web.Request) -> web.StreamResponse:
        decisions = self._decisions.get(request.path)
        if decisions is not None and request.method == "POST":
            wrong = next(iter(decisions.iter_errors(await request.json())), None)
            if wrong is None:
                return web.json_response(_DECISION)
            return web.json_response(render_error_body("chat", "invalid_request_error", wrong.message), status=400)
        if decisions is not None or request.path in PATHS.values():
            refused = render_error_body("chat", "invalid_request_error", f"{request.method} is not to be had here")
            return web.json_response(refused, status=405, headers={"allow": "POST"})
        return await super()._handle_other(request)


def _body_schema(path: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema
