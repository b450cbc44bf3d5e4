"""Receive spans at `POST /v1/traces`, and publish the calls among them before they are acknowledged.

Logs are taken at `POST /v1/logs`, as exporters send them beside spans; the calls that they tell are counted, not read.
"""

import asyncio
import logging
import traceback
from collections.abc import Sequence
from typing import Final, Protocol

from starlette.types import Receive, Scope, Send

from understudies.events import Event, Invocation
from understudies.importers.span_logs import is_event_of_call
from understudies.otlp.protocol import (
    check_content_type,
    decode_logs,
    decode_spans,
    encode_error,
    encode_success,
    read_content_type,
)
from understudies.otlp.routed_calls import RoutedCalls
from understudies.otlp.senders import Sender, Senders
from understudies.otlp.span_reader import ReadSpans, SpanReader
from understudies.redaction.packs import build_redactor
from understudies.redaction.redactor import Redactor
from understudies.router.endpoints.content_encoding import decompress_body
from understudies.router.endpoints.errors import ClientDisconnected, HttpError, request_timeout, to_http_error
from understudies.router.endpoints.request_body import read_body
from understudies.router.endpoints.responses import send_response
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)

PATH: Final = "/v1/traces"
LOGS_PATH: Final = "/v1/logs"
PATHS: Final = (PATH, LOGS_PATH, "/v1/metrics")
"""The paths of OTLP/HTTP: metrics are refused here, for nothing else may get what they hold."""
_BODY_TIMEOUT_S: Final = 30.0
_MAX_KNOWN: Final = 100_000
"""Calls to remember as published, so that they are not published again."""
_MAX_REASONS: Final = 5
_RETRY_AFTER_S: Final = "5"
_SERVER_ERROR: Final = 500
_NOT_JOINED: Final = (
    "events of calls are not joined with their spans here: let the instrumentation keep the content on the spans"
    " (OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental,"
    " OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY), or import the logs and spans from files"
)


class EventPublisher(Protocol):
    """The part of the bus that the receiver uses."""

    async def publish(self, *events: Event) -> None: ...


class TraceEndpoint:
    """An ASGI application that takes spans, and logs beside them, by OTLP/HTTP.

    A request is acknowledged once the bus has its calls; while it has not, the sender is asked to send them again. A
    call's id follows from its span, so what arrives again is the same event.
    """

    def __init__(
        self,
        senders: Senders,
        rules: RulesSource,
        routed: RoutedCalls,
        *,
        bus: EventPublisher,
        clock: Clock,
        redacts: bool = True,
    ) -> None:
        self._senders = senders
        self._bus = bus
        self._clock = clock
        self._redactor = rules.derive(_build_redactor if redacts else _no_redactor)
        self._reader = SpanReader(routed)
        self._reading = asyncio.Lock()
        self._published: dict[str, None] = {}
        self._log_throttle = Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        kind = read_content_type(scope)
        try:
            told = await self._take(kind, scope, receive)
            body = encode_success(kind, *told, are_logs=scope["path"] == LOGS_PATH)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - the sender gets a response to any error
            problem = _to_http_error(error)
            body, headers = encode_error(kind, problem)
            await send_response(send, problem.status, headers, body)
        else:
            await send_response(send, 200, {"content-type": kind}, body)

    async def _take(self, kind: str, scope: Scope, receive: Receive) -> tuple[int, str]:
        """Publish the calls of a request; returns the number of records that were not recorded, and the reasons."""
        path = scope["path"]
        if path not in (PATH, LOGS_PATH):
            raise HttpError(404, f"nothing is taken at {path!r}; spans are taken at {PATH}")
        if scope["method"] != "POST":
            message = f"method {scope['method']} is not allowed at {path!r}; use POST"
            raise HttpError(405, message, headers={"allow": "POST"})
        sender = self._senders.admit(scope)
        check_content_type(kind)
        raw = await _read_body(sender, receive)
        # In a thread, for one request at a time: calls of agents that the router of this process serves do not wait.
        async with self._reading:
            found = await asyncio.to_thread(_count_logs if path == LOGS_PATH else self._read, raw, kind, sender)
        new = [invocation for invocation in found.invocations if invocation.id not in self._published]
        await self._publish(new, found)
        return found.rejected.total(), self._describe_rejected(found)

    def _read(self, raw: bytes, kind: str, sender: Sender) -> ReadSpans:
        body = decompress_body(raw, sender.content_encoding, sender.max_body_bytes)
        return self._reader.read(
            decode_spans(body, kind),
            tenant=sender.tenant.name,
            template_scope=sender.tenant.template_scope,
            resolve_task=sender.resolve_task,
            redact=self._redactor.value,
            now=self._clock.now(),
        )

    async def _publish(self, invocations: Sequence[Invocation], found: ReadSpans) -> None:
        """Publish calls and remember those that arrived; raises HttpError (503) if some may not have."""
        failed: Sequence[int] = ()
        try:
            if invocations:
                await self._bus.publish(*invocations)
        except NotDelivered as error:
            self._remember(invocations, error.missing)
            raise _away() from error
        except RetryLater as error:
            raise _away() from error
        except Undeliverable as error:
            failed = error.rejected
            found.rejected["larger than an event may be"] += len(failed)
        self._remember(invocations, failed)

    def _remember(self, invocations: Sequence[Invocation], failed: Sequence[int]) -> None:
        left = frozenset(failed)
        self._published |= {one.id: None for place, one in enumerate(invocations) if place not in left}
        while len(self._published) > _MAX_KNOWN:
            del self._published[next(iter(self._published))]

    def _describe_rejected(self, found: ReadSpans) -> str:
        if not found.rejected:
            return ""
        reasons = "; ".join(f"{reason} ({count})" for reason, count in found.rejected.most_common(_MAX_REASONS))
        if self._log_throttle():
            _log.warning("%d spans or events of calls were not recorded: %s", found.rejected.total(), reasons)
        return f"not recorded: {reasons}"


def _count_logs(raw: bytes, kind: str, sender: Sender) -> ReadSpans:
    """Count the log records that tell a call or one of its messages, which are not read; others are passed over."""
    records = decode_logs(decompress_body(raw, sender.content_encoding, sender.max_body_bytes), kind)
    found = ReadSpans()
    if count := sum(is_event_of_call(record) for record in records):
        found.rejected[_NOT_JOINED] = count
    return found


def _build_redactor(rules: Rules) -> Redactor | None:
    return build_redactor(rules.router.redact_packs, rules.router.redact_patterns)


def _no_redactor(rules: Rules) -> Redactor | None:
    return None


async def _read_body(sender: Sender, receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await read_body(receive, sender.content_length, sender.max_body_bytes)
    except TimeoutError:
        raise request_timeout(_BODY_TIMEOUT_S) from None


def _away() -> HttpError:
    return HttpError(503, "the bus is unavailable; send the spans again", headers={"retry-after": _RETRY_AFTER_S})


def _to_http_error(error: Exception) -> HttpError:
    problem = to_http_error(error)
    if problem.status == _SERVER_ERROR:
        # The error's own text may quote a prompt, so log only its type and traceback.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("spans could not be taken: %s\n%s", type(error).__name__, where)
        return HttpError(_SERVER_ERROR, "the receiver failed; its log says why")
    return problem
