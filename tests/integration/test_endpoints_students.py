"""Students that fail, through the whole router: the teacher answers in the same response, and the event says why."""

import json
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.fake_teacher_responses import Api
from tests.support.router_fixtures import StubLoader
from tests.support.router_harness import APIS, BuildHarness, RouterHarness, router_harnesses
from tests.support.student_server import BROKEN, Behavior

from understudies.router.recording.process.ipc import WorkerConfig
from understudies.runtime.settings import BusSettings
from understudies.students.base import StudentError


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


async def teacher_stood_in(house: RouterHarness, api: Api, *, stream: bool, reason: str = "student_error") -> None:
    """Ask, and see that the teacher answered in the student's stead."""
    before = len(await house.recorded())
    got = await house.ask(api, stream=stream)
    assert (got.status, got.about["served-by"], got.about["reason"]) == (200, "teacher", reason)
    (event,) = (await house.recorded())[before:]
    assert event.route is not None
    assert (event.served_by, event.route.reason, event.error) == ("teacher", reason, None)
    assert event.response is not None
    assert event.response.message.text == "teacher's answer"
    assert (event.api, event.streamed, event.hung_up) == (api, stream, False)


@pytest.mark.parametrize("mood", BROKEN)
async def test_an_endpoint_that_fails_is_stood_in_for(build: BuildHarness, mood: Behavior) -> None:
    house = await build(by_endpoint=True, student_timeout_s=0.3)
    await house.promote(threshold=0.5)
    house.student_server.behavior = mood
    await teacher_stood_in(house, "chat", stream=False)
    await teacher_stood_in(house, "messages", stream=True)


async def test_an_endpoint_that_refuses_connections_is_stood_in_for(build: BuildHarness) -> None:
    house = await build(by_endpoint=True)
    await house.promote(threshold=0.5)
    await house.stop_student_server()
    for api in APIS:
        await teacher_stood_in(house, api, stream=False)
        await teacher_stood_in(house, api, stream=True)


@pytest.mark.parametrize("api", APIS)
async def test_a_student_that_raises_anything_is_stood_in_for(build: BuildHarness, api: Api) -> None:
    house = await build()
    await house.promote()
    for error in (StudentError("out of memory"), RuntimeError("who knows"), MemoryError()):
        house.student.reply = error
        await teacher_stood_in(house, api, stream=False)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_adapter_that_is_gone_is_stood_in_for(build: BuildHarness, stream: bool) -> None:
    house = await build(load=StubLoader(None))
    await house.promote()
    await teacher_stood_in(house, "responses", stream=stream)
    ready = await house.send("GET", "/readyz")
    assert (ready.status, json.loads(ready.body)["students_not_loaded"]) == (200, {"triage@1": "StudentError"})


@pytest.mark.parametrize("stream", [False, True])
async def test_a_student_that_is_slow_is_stood_in_for(build: BuildHarness, stream: bool) -> None:
    house = await build(student_timeout_s=0.05)
    await house.promote()
    house.student.asleep = True
    await teacher_stood_in(house, "messages", stream=stream)


async def test_a_student_that_keeps_failing_is_left_alone(build: BuildHarness) -> None:
    house = await build()
    await house.promote()
    house.student.reply = StudentError("out of memory")
    for _ in range(20):
        await teacher_stood_in(house, "chat", stream=False)
    await teacher_stood_in(house, "chat", stream=False, reason="circuit_open")
    assert house.student.asked == 20
    ready = await house.send("GET", "/readyz")
    assert b'"students_left_alone":["triage@1"]' in ready.body


async def test_no_text_of_a_prompt_is_logged_when_a_student_fails(
    build: BuildHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    house = await build(by_endpoint=True)
    await house.promote(threshold=0.5)
    for mood in ("fail", "gone", "malformed", "error_event", "no_choice"):
        house.student_server.behavior = mood
        await teacher_stood_in(house, "chat", stream=False)
    assert "student triage@1 failed on call" in caplog.text
    assert "harbour" not in caplog.text
    assert "the prompt" not in caplog.text


async def test_a_chat_that_the_provider_is_to_keep_is_its_teachers_and_asked_for_once(build: BuildHarness) -> None:
    house = await build(self_agreement_rate=1.0)
    await house.promote()
    got = await house.ask("chat", store=True)
    assert (got.about["served-by"], got.about["reason"]) == ("teacher", "unsuitable")
    kept, plain = (await house.recorded())[0], await house.ask("chat", store=False)
    assert plain.about["served-by"] == "student"
    assert len(house.teacher.asked) == 1
    # To be kept or not is no part of what is asked.
    assert kept.fingerprint == (await house.recorded())[1].fingerprint
    assert kept.route is not None
    assert kept.route.audit_probability == 0


@pytest.mark.parametrize("field", [{"guided_json": {"type": "object"}}, {"plugins": [{"id": "web"}]}])
async def test_what_is_not_known_here_is_asked_of_the_teacher(build: BuildHarness, field: dict[str, Any]) -> None:
    house = await build()
    await house.promote()
    assert (await house.ask("chat", **field)).about["reason"] == "unsuitable"


async def test_packs_and_patterns_of_the_rules_redact_what_is_recorded(build: BuildHarness) -> None:
    redaction = {"redact_packs": ["passwords"], "redact_patterns": {"STAFF": r"E-\d{6}"}}
    house = await build(rules={"router": redaction})
    asked = [{"role": "user", "content": "E-123456 of ada@example.org, password: hunter2"}]
    await house.ask("chat", messages=asked)
    assert house.teacher.asked[0]["messages"] == asked
    recorded = (await house.event()).request.messages[0].content
    assert recorded == "[STAFF] of [EMAIL], password: [SECRET]"


def test_the_process_that_records_redacts_alike() -> None:
    config = WorkerConfig(BusSettings(), 10, redact_packs=("passwords",), redact_patterns={"STAFF": r"E-\d{6}"})
    redact = pickle.loads(pickle.dumps(config)).redactor
    assert redact("E-123456, password: hunter2") == "[STAFF], password: [SECRET]"
    assert WorkerConfig(BusSettings(), 10, redact=False, redact_packs=("passwords",)).redactor is None
