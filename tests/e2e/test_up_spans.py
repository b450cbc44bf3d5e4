"""An agent that is instrumented with OpenTelemetry alone, before a running `understudies up`."""

import asyncio
import json
from pathlib import Path

import aiohttp
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.commands import Command, query_store, up_command
from tests.support.fake_teacher import FakeTeacher
from tests.support.spans import ANSWER, QUESTION, genai
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.events import INVOCATIONS, Invocation

CALLS = 20


def instrumented_agent(endpoint: str) -> None:
    """Make spans as an instrumented client does, and export them as the environment of an agent would say."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, compression=Compression.Gzip)))
    tracer = provider.get_tracer("an instrumentation")
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        for number in range(CALLS):
            with tracer.start_as_current_span("chat gpt-4o-mini") as call:
                call.set_attributes(genai(f"{QUESTION} {number}, asks ann@example.com"))
    assert provider.force_flush()
    provider.shutdown()


async def test_spans_end_in_the_store_as_calls(tmp_path: Path) -> None:
    async with FakeTeacher() as teacher, up_command(tmp_path, teacher.url) as running:
        url = await running.wait_router_url()
        await asyncio.to_thread(instrumented_agent, f"{url}/traces")
        async with aiohttp.ClientSession() as session:
            for signal, status in (("logs", 200), ("metrics", 404)):
                async with session.post(f"{url}/{signal}", json={"resourceLogs": []}) as response:
                    assert response.status == status
        assert await running.terminate() == 0
    rows = await query_store(tmp_path, "SELECT task, tenant, served_by, request, response FROM invocations FINAL")
    assert len(rows) == CALLS
    assert {(row["task"], row["tenant"], row["served_by"]) for row in rows} == {("triage", "default", "teacher")}
    assert {json.loads(row["response"])["message"]["content"] for row in rows} == {ANSWER}
    assert all("[EMAIL]" in row["request"] and "ann@example.com" not in row["request"] for row in rows)
    assert QUESTION not in running.output
    # The teacher gets nothing of it: neither spans nor the logs and metrics that an agent may export beside them.
    assert (teacher.headers, teacher.passed) == ([], [])


async def test_an_observer_of_its_own_takes_spans_on_its_port(tmp_path: Path) -> None:
    async with TansuBroker() as broker:
        env = {"UNDERSTUDIES_OBSERVER_OTLP_PORT": "0", "UNDERSTUDIES_BUS_GROUP_PREFIX": ""}
        async with Command("observer", "--bootstrap", broker.bootstrap, "--data", tmp_path, env=env) as running:
            [url] = (await running.wait_for_line(r"spans are taken at (http://\S+/v1/traces)")).groups()
            await running.wait_for_line("observer runs")
            await asyncio.to_thread(instrumented_agent, url)
            events = await read_events(broker.bootstrap, INVOCATIONS, CALLS)
            assert await running.terminate() == 0
    assert {event.task for event in events if isinstance(event, Invocation)} == {"triage"}
