"""Calls for teachers, and teachers whose waits take no time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import TypeAdapter
from tests.support.fake_teacher_responses import Api

from understudies.events import Message, Request
from understudies.router.call import Call
from understudies.router.upstream.catalogue import TeacherCatalogue
from understudies.router.upstream.teachers import TeacherPool
from understudies.runtime.clock import VirtualClock
from understudies.runtime.rules.teacher import TeacherSpec, TeacherTable

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
MODELS: dict[Api, str] = {"chat": "gpt-4o-mini", "responses": "gpt-4o-mini", "messages": "claude-sonnet-4-5"}
_TABLE: TypeAdapter[dict[str, TeacherSpec]] = TypeAdapter(TeacherTable)


class FakeTime:
    """A steady clock that moves when someone sleeps; `waits` are the seconds that were slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def body_of(api: Api, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """What a caller asks in an API."""
    asked: dict[str, Any] = {"model": MODELS[api]}
    if api == "responses":
        asked["input"] = "my card is gone"
    else:
        asked["messages"] = [{"role": "user", "content": "my card is gone"}]
    if api == "messages":
        asked["max_tokens"] = 500
    return {**asked, **({"stream": True} if stream else {}), **fields}


def call_of(api: Api = "chat", *, stream: bool = False, passed: Mapping[str, str] | None = None, **fields: Any) -> Call:
    """A call with a body, spaced as no encoder would: what arrives shows whether the bytes were touched."""
    body = body_of(api, stream=stream, **fields)
    return Call(
        id="call-1",
        at=AT,
        task="triage",
        request=Request(messages=(Message(role="user", content="my card is gone"),)),
        sample=0.5,
        model=body["model"],
        api=api,
        stream=stream,
        raw=orjson.dumps(body, option=orjson.OPT_INDENT_2),
        forwarded_headers=passed or {},
    )


def table(**teachers: Mapping[str, Any]) -> dict[str, TeacherSpec]:
    """Teachers as understudies.toml has them, by name."""
    return _TABLE.validate_python(dict(teachers))


@asynccontextmanager
async def teachers(
    time: FakeTime | None = None,
    *,
    chosen: Callable[[Call], str | None] = lambda _: None,
    max_answer_bytes: int = 64_000_000,
    draw: float = 0.5,
    **specs: Mapping[str, Any],
) -> AsyncIterator[TeacherPool]:
    """The teachers of a table, whose waits take no time."""
    time = time or FakeTime()
    asked = TeacherPool(
        TeacherCatalogue(table(**specs)),
        clock=VirtualClock(AT),
        choose_teacher=chosen,
        timer=time,
        sleep=time.sleep,
        draw=lambda: draw,
        max_answer_bytes=max_answer_bytes,
    )
    try:
        yield asked
    finally:
        await asked.close()
