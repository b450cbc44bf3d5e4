"""A server that answers closed questions as OpenAI's Decisions and TypeSafe's System One document it, or misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web

Fault = Literal[
    "busy",
    "cut_json",
    "drop",
    "fail",
    "hang",
    "html",
    "huge",
    "list",
    "no_answers",
    "no_probability",
    "no_such_model",
    "not_offered",
    "nan",
    "other_question",
    "two_answers",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
Decide = Callable[[str, list[str]], Mapping[str, float] | None]
"""Gives the probabilities of the choices for an input; None declines."""


@dataclass
class DecisionServer:
    """How it decides, and what it was asked. Without `usage` it reports none."""

    decide: Decide
    fault: Fault | None = None
    usage: bool = True
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.paths.append(request.path)
        self.keys.append(request.headers.get("authorization"))
        if (refused := await self._misbehave(request)) is not None:
            return refused
        try:
            answer = self._answer_decisions(body) if request.path.endswith("/decisions") else self._answer_one(body)
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            told = {"message": f"invalid request: {error!r}", "type": "invalid_request_error"}
            return web.json_response({"error": told}, status=400)
        text = json.dumps(self._distort(answer))
        return web.Response(text=text[:40] if self.fault == "cut_json" else text, content_type="application/json")

    async def _misbehave(self, request: web.Request) -> web.StreamResponse | None:
        match self.fault:
            case "busy":
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"})
            case "fail":
                return web.json_response({"error": {"message": "broken"}}, status=503)
            case "no_such_model":
                told = {"message": "The model does not exist", "code": "model_not_found"}
                return web.json_response({"error": told}, status=404)
            case "html":
                return web.Response(text="<h1>hello</h1>", content_type="text/html")
            case "huge":
                return web.Response(body=b" " * 20_000_000, content_type="application/json")
            case "list":
                return web.json_response([])
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case "hang":
                await self.release.wait()
        return None

    def _answer_decisions(self, body: dict[str, Any]) -> dict[str, Any]:
        [question] = body["questions"]
        values = [choice["value"] for choice in question["choices"]]
        assert question["type"] == "choice"
        assert question["instructions"]
        assert 2 <= len(values) == len(set(values)) <= 255, "between 2 and 255 unique choices"
        given = body["input"]
        text = given if isinstance(given, str) else json.dumps(given)
        assert text, "input"
        shares = self.decide(text, values)
        name = question.get("name")
        if shares is None:
            return self._whole(body, [{"type": "refusal", "name": name}])
        listed = [{"value": value, "probability": shares[value]} for value in values]
        chosen = max(values, key=lambda value: shares[value])
        found = {"type": "choice", "name": name, "choice": chosen, "confidence": shares[chosen]}
        return self._whole(body, [{**found, "probabilities": listed}])

    def _answer_one(self, body: dict[str, Any]) -> dict[str, Any]:
        [(name, question)] = body["questions"].items()
        values = list(question["criteria"])
        assert question["type"] == "choice"
        assert all(isinstance(told, str) and told for told in question["criteria"].values())
        assert 1 <= len(values) <= 255
        state = body["state"]
        shares = self.decide(state if isinstance(state, str) else json.dumps(state), values)
        assert shares is not None
        chosen = max(values, key=lambda value: shares[value])
        found = {"type": "choice", "choice": chosen, "probabilities": dict(shares), "confidence": shares[chosen]}
        return self._whole(body, {name: found})

    def _whole(self, body: dict[str, Any], answers: Any) -> dict[str, Any]:
        tokens = len(json.dumps(body)) // 4
        usage = {
            "input_tokens": tokens,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens,
        }
        return {"model": f"{body['model']}-1", "answers": answers, **({"usage": usage} if self.usage else {})}

    def _distort(self, answer: dict[str, Any]) -> dict[str, Any]:
        answers = answer["answers"]
        first = answers[0] if isinstance(answers, list) else None
        match self.fault:
            case "no_answers":
                return {**answer, "answers": []}
            case "two_answers":
                return {**answer, "answers": [first, {**(first or {}), "name": "more"}]}
            case "other_question":
                return {**answer, "answers": [{**(first or {}), "name": "other"}]}
            case "not_offered":
                return {**answer, "answers": [{**(first or {}), "choice": "something else"}]}
            case "no_probability":
                kept = [one for one in (first or {})["probabilities"] if one["value"] != (first or {})["choice"]]
                return {**answer, "answers": [{**(first or {}), "probabilities": kept}]}
            case "nan":
                told = [{**one, "probability": float("nan")} for one in (first or {})["probabilities"]]
                return {**answer, "answers": [{**(first or {}), "probabilities": told}]}
        return answer


@asynccontextmanager
async def decision_server(decide: Decide, **options: Any) -> AsyncIterator[DecisionServer]:
    """Serve `/v1/decisions` and `/v1/systemone` on a free loopback port."""
    server = DecisionServer(decide, **options)
    app = web.Application(client_max_size=8_000_000)
    for path in ("decisions", "systemone"):
        app.router.add_post(f"/v1/{path}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        server.release.set()
        await runner.cleanup()
