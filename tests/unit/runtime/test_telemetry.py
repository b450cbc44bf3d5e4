"""Spans of handled batches, and where they go."""

import asyncio
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer

from understudies.runtime.bus.messages import Record
from understudies.runtime.settings import TelemetrySettings
from understudies.runtime.telemetry import Telemetry, batch_span


def record(trace: int | None) -> Record:
    headers = [] if trace is None else [("traceparent", f"00-{trace:032x}-{7:016x}-01".encode())]
    return Record("invocations", 0, 0, None, b"{}", headers)


def spans_of(*batches: Sequence[Record]) -> list[ReadableSpan]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for batch in batches:
        with batch_span(provider.get_tracer("test"), "budget", batch):
            pass
    return list(exporter.get_finished_spans())


def test_a_batch_of_one_trace_continues_it() -> None:
    (span,) = spans_of([record(5), record(5), record(None)])
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (5, 7)
    assert span.attributes is not None
    assert span.attributes["messaging.destination.name"] == "invocations"


def test_a_batch_of_several_traces_links_them_and_is_in_each() -> None:
    span, *of_calls = spans_of([record(n) for n in (1, 2, 3, 2)])
    assert span.parent is None
    assert [link.context.trace_id for link in span.links] == [1, 2, 3]
    assert [one.parent and (one.parent.trace_id, one.parent.span_id) for one in of_calls] == [(1, 7), (2, 7), (3, 7)]
    own = span.get_span_context()
    assert own is not None
    assert {link.context.span_id for one in of_calls for link in one.links} == {own.span_id}


def test_a_batch_links_no_more_than_thirty_two_traces_and_is_in_no_more_than_256() -> None:
    span, *of_calls = spans_of([record(n) for n in range(1, 400)])
    assert len(span.links) == 32
    assert len(of_calls) == 256


def test_headers_that_are_no_trace_context_are_ignored() -> None:
    junk = Record("drift", 0, 0, None, b"", [("traceparent", b"\xff\xfe"), ("other", b"x")])
    (span,) = spans_of([junk])
    assert span.parent is None
    assert not span.links


def test_without_a_collector_nothing_is_recorded() -> None:
    telemetry = Telemetry(TelemetrySettings(otlp_endpoint=None), "budget")
    assert isinstance(telemetry.tracer, NoOpTracer)
    with batch_span(telemetry.tracer, "budget", [record(5)]) as span:
        assert not span.is_recording()
    telemetry.shutdown()


async def test_spans_reach_the_collector_under_the_services_name() -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        telemetry = Telemetry(TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}/"), "budget")
        with batch_span(telemetry.tracer, "budget", [record(5)]):
            pass
        await asyncio.to_thread(telemetry.shutdown)
        server.shutdown()
        thread.join()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"understudies-budget" in body
    assert b"process budget" in body
