"""Mutated and arbitrary input for all that reads what others wrote, with the errors that each reader may raise.

Whatever a reader raises besides what it documents is a fault. Inputs follow from a seed, so that a target's name and a
seed are enough to see one again.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import ValidationError
from tests.support.dialects import encode_sse
from tests.support.event_samples import SAMPLES
from tests.support.provider_events import EVENTS
from tests.support.request_bodies import QUESTIONS
from tests.support.spans import export, genai, openinference, openllmetry, span

from understudies.dialects.base import Api, InvalidRequest
from understudies.dialects.registry import dialect_of
from understudies.events import encode, topic_of
from understudies.events.topics import Topic
from understudies.importers.reader import FAULT, read_calls
from understudies.importers.record_lines import iter_records
from understudies.importers.recorded_call import RecordedCall
from understudies.otlp.protocol import JSON, PROTOBUF, decode_spans
from understudies.otlp.routed_calls import RoutedCalls
from understudies.otlp.span_reader import SpanReader
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import parse_json_object

LOGS: Final = Path(__file__).parents[1] / "fixtures" / "logs"
_NOW: Final = datetime(2026, 11, 29, tzinfo=UTC)
_LEAVES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, -(2**63), 2**64 - 1, 1.5, 1e308, -0.0, "", " ", "0", "1e999"),
    *("null", "{}", "[]", '{"a":1}', "[1]", "error", "stop", "assistant", "user", "tool", "text", "a/b@c", "../../x"),
    *("é", "\u0000", "\u2028", "\U0001f600", "x" * 5000, "[REDACTED]", "a ...[truncated]", "2026-01-01T00:00:00Z"),
    *([], {}, [None], [[]], [{}], {"": None}, {"type": "text"}, {"role": "user", "content": [{"text": 1}]}),
)
_DEEP: Final = (64, 200)
_BYTES: Final = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\xff", b"\xed\xa0\x80", b"1e999", b"NaN")


class Target(NamedTuple):
    """A reader: what makes an input of a random source, and what reads it, raising only what it documents."""

    make: Callable[[random.Random], Any]
    read: Callable[[Any], None]


def mutate(rng: random.Random, value: Any, others: list[Any]) -> Any:
    """Return a copy with a few values replaced, removed, repeated or nested deeply."""
    changed = copy.deepcopy(value)
    for _ in range(rng.randint(1, 4)):
        places = [*_places(changed)]
        if not places:
            return rng.choice(_LEAVES)
        node, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.15:
            del node[key]
        elif kind < 0.25:
            node[key] = [copy.deepcopy(node[key])] * rng.randint(1, 3)
        elif kind < 0.30:
            node[key] = _nest(node[key], rng.randint(*_DEEP), rng)
        elif kind < 0.65:
            node[key] = copy.deepcopy(rng.choice(_LEAVES))
        else:
            node[key] = copy.deepcopy(rng.choice(others))
    return changed


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return the bytes with a few pieces removed, repeated, replaced or cut off."""
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(data) + 1), rng.randint(1, 16)
        kind = rng.random()
        if kind < 0.3:
            data = data[:place] + data[place + length :]
        elif kind < 0.5:
            data = data[:place] + data[place : place + length] * 2 + data[place + length :]
        elif kind < 0.9:
            data = data[:place] + rng.choice((*_BYTES, rng.randbytes(length))) + data[place + length :]
        else:
            data = data[:place]
    return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _nest(value: Any, depth: int, rng: random.Random) -> Any:
    for _ in range(depth):
        value = {"content": value} if rng.random() < 0.5 else [value]
    return value


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _values(documents: list[Any]) -> list[Any]:
    return [node[key] for document in documents for node, key in _places(document)]


def _of_documents(documents: list[Any], rng: random.Random) -> Any:
    return mutate(rng, rng.choice(documents), _VALUES[id(documents)])


_RECORDS: Final = [
    found[1] for path in sorted(LOGS.iterdir()) for found in iter_records(path) if isinstance(found, tuple)
]
_FILES: Final = [path.read_bytes() for path in sorted(LOGS.iterdir())]
_SPANS: Final = [
    export(span(attributes), span({"openinference.span.kind": "CHAIN"}, 2, parent=1))
    for attributes in (genai(), openinference(), openllmetry())
]
_EVENTS: Final = [(topic_of(event), orjson.loads(encode(event))) for event in SAMPLES.values()]
_EVENT_BODIES: Final = [body for _, body in _EVENTS]
_REQUESTS: Final[dict[Api, list[Any]]] = {api: [body] for api, body in QUESTIONS.items()}
_DECISIONS: Final[list[Any]] = [
    {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "late"}]}],
        "questions": [
            {"type": "choice", "name": "team", "choices": [{"value": "a"}, {"value": True}]},
            {"type": "predicate", "name": "late", "instructions": "late?"},
            {"type": "score", "name": "mood", "levels": [{"value": 1}, {"value": 2}]},
        ],
    },
    {"model": "m", "state": {"late": 1}, "questions": {"late": {"type": "noul", "instructions": "late?"}}},
]
_VALUES: Final = {
    id(documents): _values(documents)
    for documents in (_RECORDS, _SPANS, _EVENT_BODIES, _DECISIONS, *_REQUESTS.values())
}


def _log_lines(rng: random.Random) -> bytes:
    return b"\n".join(_dump(_of_documents(_RECORDS, rng)) for _ in range(rng.randint(1, 4)))


def read_log(path: Path, content: bytes) -> None:
    """Read a log of these bytes; raises AssertionError for an answer that is none."""
    path.write_bytes(content)
    for call in (log := read_calls(path)).calls:
        assert isinstance(call, RecordedCall)
        message = call.response.message
        assert message.tool_calls or message.text.strip() or isinstance(message.content, list)
        call.request.model_dump_json()
    assert all(skipped.reason and not skipped.reason.startswith(FAULT) for skipped in log.skipped)


def _read_spans(given: tuple[bytes, str]) -> None:
    with suppress(BadRequest):
        spans = decode_spans(*given)
        reader = SpanReader(RoutedCalls([("localhost", 8080)]))
        found = reader.read(spans, tenant="t", resolve_task=lambda task: task, redact=None, now=_NOW)
        assert all(encode(invocation) for invocation in found.invocations)


def _span_json(rng: random.Random) -> tuple[bytes, str]:
    raw = _dump(_of_documents(_SPANS, rng))
    return (mutate_bytes(rng, raw) if rng.random() < 0.2 else raw), JSON


def _span_protobuf(rng: random.Random) -> tuple[bytes, str]:
    message = ParseDict(rng.choice(_SPANS), ExportTraceServiceRequest())
    return mutate_bytes(rng, bytes(message.SerializeToString())), PROTOBUF


def _event(rng: random.Random) -> tuple[Topic, bytes]:
    topic, body = rng.choice(_EVENTS)
    raw = _dump(mutate(rng, body, _VALUES[id(_EVENT_BODIES)]))
    return topic, mutate_bytes(rng, raw) if rng.random() < 0.2 else raw


def _read_event(given: tuple[Topic, bytes]) -> None:
    topic, raw = given
    with suppress(ValidationError):
        assert encode(topic.decode(raw))


def _body(api: Api, rng: random.Random) -> tuple[Api, bytes]:
    raw = _dump(_of_documents(_REQUESTS[api], rng))
    return api, mutate_bytes(rng, raw) if rng.random() < 0.2 else raw


def _decision(rng: random.Random) -> tuple[Api, bytes]:
    raw = _dump(_of_documents(_DECISIONS, rng))
    api: Api = "systemone" if rng.random() < 0.5 else "decisions"
    return api, mutate_bytes(rng, raw) if rng.random() < 0.2 else raw


def _read_body(given: tuple[Api, bytes]) -> None:
    api, raw = given
    with suppress(BadRequest, HttpError, InvalidRequest):
        body = parse_json_object(raw)
        dialect = dialect_of(api)
        decoded = dialect.decode_request(body)
        decoded.request.model_dump_json()
        dialect.encode_upstream_request(raw, body, model="other", usage=True)


def _stream(api: Api, rng: random.Random) -> tuple[Api, bytes]:
    events = EVENTS[api]
    chunks = [mutate(rng, event, events) if rng.random() < 0.5 else event for event in rng.sample(events, len(events))]
    raw = encode_sse(*[chunk for chunk in chunks if isinstance(chunk, dict)])
    return api, mutate_bytes(rng, raw) if rng.random() < 0.3 else raw


def _read_stream(given: tuple[Api, bytes]) -> None:
    api, raw = given
    accumulator = dialect_of(api).stream_accumulator()
    for start in range(0, len(raw), 97):
        accumulator.feed(raw[start : start + 97])
    accumulator.end()
    with suppress(ValueError):
        accumulator.answer()


def targets(folder: Path) -> dict[str, Target]:
    """Return all targets; logs are written to a file in the folder."""
    path = folder / "log"
    apis: tuple[Api, ...] = ("chat", "responses", "messages")
    return {
        "log records": Target(_log_lines, lambda content: read_log(path, content)),
        "log bytes": Target(lambda rng: mutate_bytes(rng, rng.choice(_FILES)), lambda content: read_log(path, content)),
        "spans, JSON": Target(_span_json, _read_spans),
        "spans, protobuf": Target(_span_protobuf, _read_spans),
        "events": Target(_event, _read_event),
        "decisions": Target(_decision, _read_body),
        **{f"{api} request": Target(partial(_body, api), _read_body) for api in apis},
        **{f"{api} stream": Target(partial(_stream, api), _read_stream) for api in apis},
    }
