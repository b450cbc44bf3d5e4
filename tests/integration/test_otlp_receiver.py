"""The receiver of spans over HTTP: formats, limits, refusals, and what becomes of each span."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.support.capturing_bus import CapturingBus
from tests.support.spans import ANSWER, QUESTION, Attributes, export, genai, openinference, openllmetry, span

from understudies.events import Invocation
from understudies.otlp.factory import create_endpoint
from understudies.otlp.protocol import JSON, PROTOBUF
from understudies.router.http1.server import HttpServer
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.clock import SystemClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource

SHOP, BANK = generate_key(), generate_key()
TENANTS: dict[str, Any] = {
    "tenants": {
        "shop": {"keys": [key_hash(SHOP)], "tasks": ["triage"]},
        "bank": {"keys": [key_hash(BANK)], "own_tasks": True},
    },
    "router": {"require_key": False},
}


@dataclass
class Receiver:
    """A receiver on a loopback port."""

    url: str
    bus: CapturingBus
    session: aiohttp.ClientSession

    @property
    def calls(self) -> list[Invocation]:
        return [event for event in self.bus.published if isinstance(event, Invocation)]

    async def post(self, body: bytes, kind: str = JSON, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        sent = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.session.post(f"{self.url}/v1/traces", data=body, headers=sent) as response:
            return response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()}

    async def export(self, *spans: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Send spans that are taken; returns what was not recorded."""
        status, body, _ = await self.post(json.dumps(export(*spans)).encode(), **headers)
        assert status == 200, body
        told: dict[str, Any] = json.loads(body).get("partialSuccess", {})
        return told


Build = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        async def make(host: str = "127.0.0.1", rules: dict[str, Any] | None = None, **settings: Any) -> Receiver:
            bus, source = CapturingBus(), RulesSource(Rules.model_validate(rules or {}))
            endpoint = create_endpoint(
                RouterSettings(**settings), host=host, rules=source, bus=bus.bus, clock=SystemClock()
            )
            server = HttpServer(endpoint, "127.0.0.1", 0)
            await server.start()
            stack.push_async_callback(server.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Receiver(server.url, bus, session)

        yield make


async def test_a_span_becomes_an_invocation(build: Build) -> None:
    house = await build()
    assert await house.export(span(genai())) == {}
    [call] = house.calls
    assert (call.task, call.tenant, call.served_by, call.origin) == ("triage", "default", "teacher", "live")
    assert call.model == "gpt-4o-mini-2024-07-18"
    assert [(message.role, message.content) for message in call.request.messages] == [("user", QUESTION)]
    assert call.response is not None
    assert call.response.message.content == ANSWER
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (12, 3)
    assert call.latency_ms == pytest.approx(1998.0)
    assert call.cost_usd == Decimal(0)
    assert not call.priced


@pytest.mark.parametrize("attributes", [genai(), openinference(), openllmetry()])
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
@pytest.mark.parametrize("packed", [False, True])
async def test_conventions_encodings_and_compression(
    build: Build, attributes: Attributes, kind: str, packed: bool
) -> None:
    house = await build()
    document = export(span(attributes))
    if kind == PROTOBUF:
        # Protobuf's own JSON has ids in base64.
        [one] = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        message = ParseDict(export({**one, "traceId": "", "spanId": ""}), ExportTraceServiceRequest())
        placed = message.resource_spans[0].scope_spans[0].spans[0]
        placed.trace_id, placed.span_id = bytes.fromhex(one["traceId"]), bytes.fromhex(one["spanId"])
        raw = message.SerializeToString()
    else:
        raw = json.dumps(document).encode()
    more = {"content_encoding": "gzip"} if packed else {}
    status, body, headers = await house.post(gzip.compress(raw) if packed else raw, kind, **more)
    assert (status, headers["content-type"]) == (200, kind)
    assert body == (b"{}" if kind == JSON else b"")
    [call] = house.calls
    assert call.request.messages[0].content == QUESTION
    assert call.response is not None
    assert call.response.message.content == ANSWER
    # The id follows from the span, however it came.
    await house.export(span(attributes))
    assert len(house.calls) == 1


async def test_what_leaves_the_process_is_redacted(build: Build) -> None:
    house = await build(rules={"router": {"redact_packs": ["passwords"]}})
    await house.export(span(genai("I am ann@example.com, password: hunter2")))
    [call] = house.calls
    assert "ann@example.com" not in call.model_dump_json()
    assert "hunter2" not in call.model_dump_json()


@pytest.mark.parametrize("failure", [RetryLater("away"), NotDelivered("away", [1])])
async def test_calls_are_sent_again_while_the_bus_is_away_and_count_once(build: Build, failure: Exception) -> None:
    house = await build()
    spans = [span(genai(f"{QUESTION} {number}"), number) for number in (1, 2)]
    house.bus.failing = failure
    status, body, headers = await house.post(json.dumps(export(*spans)).encode())
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "5", 14)
    assert await house.export(*spans) == {}
    assert await house.export(*spans) == {}
    missing = 1 if isinstance(failure, NotDelivered) else 2
    assert len(house.calls) == missing


async def test_a_restarted_receiver_gives_a_span_the_same_id(build: Build) -> None:
    first, second = await build(), await build()
    await first.export(span(genai()))
    await second.export(span(genai()))
    assert [call.id for call in first.calls] == [call.id for call in second.calls]


async def test_a_call_too_large_for_the_bus_is_told(build: Build) -> None:
    house = await build()
    house.bus.failing = Undeliverable("too large", [0])
    assert (await house.export(span(genai())))["rejectedSpans"] == "1"


@pytest.mark.parametrize(
    "one",
    [
        span({"http.request.method": "GET"}),
        span({"openinference.span.kind": "CHAIN", "input.value": "a", "output.value": "b"}),
        span({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}),
        span(genai(), status={"code": 2, "message": "rate limit"}),
        span(genai() | {"error.type": "429"}),
    ],
)
async def test_what_is_no_answer_of_a_chat_model_is_passed_over(build: Build, one: dict[str, Any]) -> None:
    house = await build()
    assert await house.export(one) == {}
    assert house.calls == []


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (span({"gen_ai.operation.name": "chat"}), "CAPTURE_MESSAGE_CONTENT"),
        (span(genai(answer="[REDACTED]")), "withheld"),
        (span(genai(answer="a lost ...[truncated]")), "only a part"),
        (span(genai(), startTimeUnixNano="0"), "start"),
        (span(genai(), startTimeUnixNano="4000000000000000000", endTimeUnixNano="4000000000000000001"), "clock"),
        (span(genai(), spanId=""), "without its id"),
    ],
)
async def test_a_call_that_cannot_be_recorded_is_told(build: Build, one: dict[str, Any], reason: str) -> None:
    house = await build()
    told = await house.export(one, span(genai("another"), 9))
    assert told["rejectedSpans"] == "1"
    assert reason in told["errorMessage"]
    assert len(house.calls) == 1


@pytest.mark.parametrize("together", [True, False])
async def test_of_calls_around_others_the_innermost_counts(build: Build, together: bool) -> None:
    house = await build()
    spans = [
        span(openinference("the library's"), 1),
        span({"openinference.span.kind": "CHAIN"}, 2, parent=1),
        span(genai("the provider's"), 3, parent=2),
    ]
    # As they end: in requests of their own, or in any order in one.
    for group in [spans] if together else [[spans[2]], [spans[1]], [spans[0]]]:
        assert await house.export(*group) == {}
    assert [call.request.messages[0].content for call in house.calls] == ["the provider's"]
    assert await house.export(*spans) == {}
    assert len(house.calls) == 1


@pytest.mark.parametrize(
    ("called", "is_recorded"),
    [
        ({"server.address": "127.0.0.1", "server.port": 8123}, False),
        ({"server.address": "LOCALHOST", "server.port": 8123}, False),
        ({"server.address": "http://localhost:8123/v1"}, False),
        ({"server.address": "llm.internal", "server.port": 443}, False),
        ({"url.full": "https://LLM.internal/v1/chat/completions"}, False),
        ({"gen_ai.openai.api_base": "http://gate.internal:8080/v1"}, False),
        ({"server.address": "127.0.0.1", "server.port": 8124}, True),
        ({"server.address": "gate.internal", "server.port": 443}, True),
        ({"server.address": "api.openai.com", "server.port": 443}, True),
        ({"url.full": "https://[broken"}, True),
    ],
)
async def test_a_call_that_passed_the_router_is_its_own_record(
    build: Build, called: Attributes, is_recorded: bool
) -> None:
    house = await build(port=8123, addresses=["llm.internal", "gate.internal:8080"])
    outer = span(openinference("the library's"), 1)
    assert await house.export(span(genai() | called, 2, parent=1), outer) == {}
    assert len(house.calls) == is_recorded


async def test_tenants_are_told_by_key_and_kept_to_their_tasks(build: Build) -> None:
    house = await build(rules=TENANTS)
    assert await house.export(span(genai()), authorization=f"Bearer {SHOP}") == {}
    told = await house.export(span(genai() | {"understudies.task": "payroll"}, 2), authorization=f"Bearer {SHOP}")
    assert "may not call the task 'payroll'" in told["errorMessage"]
    assert await house.export(span(genai()), x_api_key=BANK) == {}
    assert [(call.tenant, call.task) for call in house.calls] == [("shop", "triage"), ("bank", "bank:triage")]
    told = await house.export(span(genai() | {"understudies.task": "bank:triage"}, 3))
    assert "tenant 'bank' alone" in told["errorMessage"]


async def test_spans_of_one_tenant_neither_hide_nor_name_the_calls_of_another(build: Build) -> None:
    house = await build(rules=TENANTS)
    # Of the same trace, inside of the other tenant's call: a propagated trace context, or one that was guessed.
    inside = span(genai("the shop's"), 2, parent=1)
    assert await house.export(inside, authorization=f"Bearer {SHOP}") == {}
    assert await house.export(span(openinference("the bank's"), 1), authorization=f"Bearer {BANK}") == {}
    assert [call.tenant for call in house.calls] == ["shop", "bank"]


async def test_beyond_loopback_only_holders_of_a_key_may_send(build: Build) -> None:
    house = await build("0.0.0.0", rules=TENANTS)
    status, body, _ = await house.post(json.dumps(export(span(genai()))).encode())
    assert status == 403
    assert "understudies keys" in json.loads(body)["message"]
    assert await house.export(span(genai()), authorization=f"Bearer {SHOP}") == {}
    assert len(house.calls) == 1


async def test_a_page_of_another_site_cannot_send(build: Build) -> None:
    house = await build()
    raw = json.dumps(export(span(genai()))).encode()
    assert (await house.post(raw, host="rebound.example:4318"))[0] == 403
    assert (await house.post(raw, "text/plain"))[0] == 415
    assert house.calls == []


async def test_a_wrong_or_missing_key_is_refused_where_one_is_required(build: Build) -> None:
    house = await build(rules={**TENANTS, "router": {"require_key": True}})
    raw = json.dumps(export(span(genai()))).encode()
    assert (await house.post(raw))[0] == 401
    status, body, headers = await house.post(raw, authorization=f"Bearer {generate_key()}")
    assert (status, headers["content-type"], json.loads(body)["code"]) == (401, JSON, 16)


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_limits_hold_after_decompression(build: Build, kind: str) -> None:
    house = await build(max_body_bytes=10_000)
    status, body, headers = await house.post(gzip.compress(b" " * 20_000), kind, content_encoding="gzip")
    assert (status, headers["content-type"]) == (413, kind)
    message = json.loads(body)["message"] if kind == JSON else Status.FromString(body).message
    assert "10000 bytes" in message
    assert (await house.post(b" " * 20_000, kind))[0] == 413


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", JSON), (b"[]", JSON), (b'{"a":' * 400 + b"1" + b"}" * 400, JSON), (b"\xff\xff", PROTOBUF)],
)
async def test_a_body_that_is_none_is_refused_for_good(build: Build, body: bytes, kind: str) -> None:
    house = await build()
    assert (await house.post(body, kind))[0] == 400
    assert (await house.post(body, kind, content_encoding="gzip"))[0] == 400


async def test_an_empty_request_is_taken(build: Build) -> None:
    house = await build()
    assert (await house.post(b"{}"))[:2] == (200, b"{}")
    status, body, _ = await house.post(b"", PROTOBUF)
    assert (status, ExportTraceServiceResponse.FromString(body)) == (200, ExportTraceServiceResponse())


async def test_only_posts_to_the_path_are_taken(build: Build) -> None:
    house = await build()
    async with house.session.get(f"{house.url}/v1/traces") as response:
        assert (response.status, response.headers["allow"]) == (405, "POST")
    async with house.session.post(f"{house.url}/v1/metrics", json={}) as response:
        assert response.status == 404


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_logs_are_taken_and_the_calls_among_them_counted(build: Build, kind: str) -> None:
    house = await build()

    async def log(*records: dict[str, Any]) -> tuple[int, int, str]:
        document = {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}
        packed = ParseDict(document, ExportLogsServiceRequest()).SerializeToString()
        raw = packed if kind == PROTOBUF else json.dumps(document).encode()
        async with house.session.post(f"{house.url}/v1/logs", data=raw, headers={"content-type": kind}) as response:
            body = await response.read()
        told = ExportLogsServiceResponse.FromString(body) if kind == PROTOBUF else ExportLogsServiceResponse()
        told = told if kind == PROTOBUF else ParseDict(json.loads(body), told)
        return response.status, told.partial_success.rejected_log_records, told.partial_success.error_message

    plain = {"body": {"stringValue": "started"}}
    assert await log(plain) == (200, 0, "")
    asked = {"eventName": "gen_ai.user.message", "body": {"stringValue": QUESTION}}
    whole = {"attributes": span(genai())["attributes"]}
    status, count, reason = await log(plain, asked, whole)
    assert (status, count) == (200, 2)
    assert "not joined with their spans" in reason
    assert QUESTION not in reason
    assert house.calls == []
