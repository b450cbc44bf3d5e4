"""One call's trace leads from its caller through the router to what it brought about, in every service."""

import re
from pathlib import Path

from tests.e2e.test_up_import import CALLS, write_recorded
from tests.e2e.test_up_restart import book
from tests.support.commands import openai_client, up_command, wait_until
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.span_collector import SpanCollector

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER_TASK = "poetry"


async def test_a_call_that_tips_a_training_is_one_trace(tmp_path: Path) -> None:
    log, data = write_recorded(tmp_path / "calls.jsonl"), tmp_path / "data"
    with SpanCollector() as collector:
        env = {
            "UNDERSTUDIES_TELEMETRY_OTLP_ENDPOINT": collector.url,
            "UNDERSTUDIES_BUDGET_MIN_EXAMPLES": str(CALLS + 1),
            "UNDERSTUDIES_TRAINER_ENCODER": "0",
        }
        async with FakeTeacher("refund") as teacher, up_command(data, teacher.url, "--learn", log, env=env) as running:
            await running.wait_for_line(f"imported {CALLS} calls")
            async with openai_client(await running.wait_router_url()) as agent:
                for task, headers in ((OTHER_TASK, {}), (TASK, {"traceparent": f"00-{TRACE}-{CALLER}-01"})):
                    await agent.chat.completions.create(
                        model="gpt-4o-mini",
                        messages=[{"role": "user", "content": "my refund, please"}],
                        extra_headers={"x-understudies-task": task, **headers},
                    )
            await running.wait_for_line(rf"task {TASK}: trial")
            await wait_until(lambda: book(data)["students"][0]["story"]["stage"] == "trained")
            assert await running.terminate() == 0
        assert "Traceback" not in running.output
    of_trace = [span for span in collector.spans if span.trace == TRACE]
    by_service = {span.service: span for span in of_trace}
    assert by_service.keys() == {"router", "budget", "observer", "evaluator", "trainer"}
    (call,) = (span for span in of_trace if span.name == "chat gpt-4o-mini")
    assert call.parent == CALLER
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.provider.name"] == "openai"
    assert call.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert call.attributes["gen_ai.usage.input_tokens"] > 0
    assert call.attributes["understudies.task"] == TASK
    assert call.attributes["understudies.served_by"] == "teacher"
    decided = next(span for span in of_trace if span.name == "decide authorised")
    assert (decided.service, decided.parent) == ("budget", call.span)
    spans = {span.span for span in of_trace}
    assert all(span.parent in spans for span in of_trace if span is not call)
    # The other call has a trace of its own, named by its id, and was carried on as well.
    (other,) = (span for span in collector.spans if span.attributes.get("understudies.task") == OTHER_TASK)
    assert other.parent == ""
    assert other.trace == re.sub("-", "", str(other.attributes["understudies.invocation"]))
    beside = {span.service for span in collector.spans if span.trace == other.trace}
    assert {"observer", "evaluator", "budget"} <= beside
