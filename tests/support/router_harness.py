"""A router on a loopback port, before real servers that misbehave as told, and the official clients for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI
from tests.support.datasets import intents
from tests.support.fake_teacher import FakeTeacher
from tests.support.fake_teacher_responses import PATHS, Api
from tests.support.router_fixtures import FixedStudent, StubLoader, make_promotion
from tests.support.student_server import StudentServer, student_server

from understudies.datasets.object_store import ObjectStore
from understudies.events import Event, Invocation
from understudies.judges.registry import parse_judge
from understudies.router.app import RouterApp
from understudies.router.factory import create_app
from understudies.router.serving.student_registry import StudentLoader
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.messages import Record
from understudies.runtime.online.base import OnlineState
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint
from understudies.students.few_shot.student import FewShotStudent

KEY: Final = "sk-the-callers-own-key-0123456789abcdef"
TASK: Final = {"X-Understudies-Task": "triage"}
PROMPT: Final = "My card was stolen near the harbour"
APIS: Final[tuple[Api, ...]] = ("chat", "responses", "messages")
_MODELS: Final[Mapping[Api, str]] = {"chat": "gpt-4o-mini", "responses": "gpt-4o-mini", "messages": "claude-sonnet"}
_BODIES: Final[Mapping[Api, dict[str, Any]]] = {
    "chat": {"messages": [{"role": "user", "content": PROMPT}]},
    "responses": {"input": PROMPT, "store": False},
    "messages": {"max_tokens": 300, "messages": [{"role": "user", "content": PROMPT}]},
}


def body_of(api: Api, **fields: Any) -> dict[str, Any]:
    """A body that asks for an answer in an API."""
    return {"model": _MODELS[api], **_BODIES[api], **fields}


class Bus:
    """Hands over events as they are, and keeps what is published."""

    def __init__(self) -> None:
        self.inbox: list[Event] = []
        self.published: list[Invocation] = []

    async def decode_events(self, records: Sequence[Record]) -> list[Event]:
        return self.inbox

    async def publish(self, *events: Event) -> None:
        self.published += [event for event in events if isinstance(event, Invocation)]


@dataclass(frozen=True)
class RawResponse:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def about(self) -> dict[str, str]:
        """What the router says of it, by names without `x-understudies-`."""
        own = "x-understudies-"
        return {name.removeprefix(own): value for name, value in self.headers.items() if name.startswith(own)}


@dataclass
class RouterHarness:
    """A router with everything around it."""

    app: RouterApp
    bus: Bus
    teachers: Mapping[str, FakeTeacher]
    student: FixedStudent
    endpoint: StudentServer | None
    online: OnlineState | None = None
    endpoint_stack: AsyncExitStack | None = None
    draw: float = 0.5

    async def stop_student_server(self) -> None:
        """Let the student's endpoint refuse connections."""
        assert self.endpoint_stack is not None
        await self.endpoint_stack.aclose()

    @property
    def teacher(self) -> FakeTeacher:
        return self.teachers["teacher"]

    @property
    def url(self) -> str:
        return self.app.url

    def openai(self, **settings: Any) -> AsyncOpenAI:
        """OpenAI's client."""
        return AsyncOpenAI(**{"base_url": f"{self.url}/v1", "api_key": KEY, "max_retries": 0, **settings})

    def openai_sync(self, **settings: Any) -> OpenAI:
        """OpenAI's client that blocks: use it in a thread."""
        return OpenAI(**{"base_url": f"{self.url}/v1", "api_key": KEY, "max_retries": 0, **settings})

    def anthropic(self, **settings: Any) -> AsyncAnthropic:
        """Anthropic's client."""
        return AsyncAnthropic(**{"base_url": self.url, "api_key": KEY, "max_retries": 0, **settings})

    def anthropic_sync(self, **settings: Any) -> Anthropic:
        """Anthropic's client that blocks: use it in a thread."""
        return Anthropic(**{"base_url": self.url, "api_key": KEY, "max_retries": 0, **settings})

    async def send(
        self, method: str, path: str, *, json: Any = None, data: bytes | None = None, **headers: Any
    ) -> RawResponse:
        """Ask for anything, and get it as it comes over the wire."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, f"{self.url}{path}", json=json, data=data, headers=named) as answer,
        ):
            lower = {name.lower(): value for name, value in answer.headers.items()}
            return RawResponse(answer.status, lower, await answer.read())

    @property
    def student_server(self) -> StudentServer:
        """The endpoint of the student, where it was built with one."""
        assert self.endpoint is not None
        return self.endpoint

    async def ask(
        self, api: Api, *, key: str = KEY, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> RawResponse:
        """Ask for an answer of the task `triage` in an API."""
        kept: dict[str, Any] = {"authorization": f"Bearer {key}", **TASK, **(headers or {})}
        return await self.send("POST", PATHS[api], json=body_of(api, **fields), **kept)

    async def promote(self, **fields: Any) -> None:
        """Put a student in force for the task `triage`."""
        await self.publish(make_promotion(**fields))

    async def publish(self, *events: Event) -> None:
        """Let the router read events."""
        self.bus.inbox = list(events)
        await self.app.handle([])
        await self.app.call_service.wait_idle()

    async def recorded(self) -> list[Invocation]:
        """All that was recorded so far."""
        await self.app.call_service.wait_idle()
        await self.app.recorder.flush()
        return self.bus.published

    async def event(self) -> Invocation:
        """The one event that was recorded, once it is: what is told of a caller who is gone takes a moment."""
        async with asyncio.timeout(20):
            while not await self.recorded():  # noqa: ASYNC110 - it promises no event
                await asyncio.sleep(0.01)
        (event,) = self.bus.published
        return event


BuildHarness = Callable[..., Awaitable[RouterHarness]]


@asynccontextmanager
async def router_harnesses() -> AsyncIterator[BuildHarness]:
    """Builds routers, and takes them down again; no task may be left over then."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:

        async def built(**told: Any) -> RouterHarness:
            return await _build(stack, **told)

        yield built
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left over: {left}"


async def _build(
    stack: AsyncExitStack,
    *,
    teachers: Mapping[str, Mapping[str, Any]] | None = None,
    rules: Mapping[str, Any] | None = None,
    source: Callable[[Mapping[str, Any]], RulesSource] | None = None,
    by_endpoint: bool = False,
    load: StudentLoader | None = None,
    online: OnlineState | None = None,
    teacher: Callable[[str], FakeTeacher] = FakeTeacher,
    **settings: Any,
) -> RouterHarness:
    """A router; `teachers` are tables of the rules, each of a fake teacher of its own unless it has a `base_url`."""
    tables = teachers or {"teacher": {}}
    fakes: dict[str, FakeTeacher] = {}
    specs: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        fakes[name] = await stack.enter_async_context(teacher(f"{name}'s answer"))
        specs[name] = {"base_url": fakes[name].url, "retries": {"max": 0}, **table}
    student, bus = FixedStudent(), Bus()
    endpoint = None
    endpoint_stack = await stack.enter_async_context(AsyncExitStack())
    if by_endpoint:
        endpoint = await endpoint_stack.enter_async_context(student_server())
        load = await _few_shot(stack, endpoint)
    house: RouterHarness
    told = {"teachers": specs, **(rules or {})}
    app = create_app(
        RouterSettings.model_validate(
            {"port": 0, "auto_deliver": False, "self_agreement_rate": 0.0, "probation_calls": 0, **settings}
        ),
        bus=bus,
        files=ObjectStore("memory://students"),
        load=load or StubLoader(student),
        rules=source(told) if source else Rules.model_validate(told),
        sample=lambda: house.draw,
        online=online,
    )
    house = RouterHarness(app, bus, fakes, student, endpoint, online, endpoint_stack)
    await app.start()
    stack.push_async_callback(app.stop)
    return house


async def _few_shot(stack: AsyncExitStack, endpoint: StudentServer) -> StubLoader:
    """Loads a student that asks an endpoint."""
    connections = EndpointPools()
    stack.push_async_callback(connections.close)
    student = FewShotStudent.fit(
        intents(30).in_split("train"),
        parse_judge("label"),
        endpoint_name="cheap",
        endpoint=Endpoint(
            base_url=endpoint.base_url,
            model="triage@1",
            usd_per_million_prompt_tokens="1",  # type: ignore[arg-type] # pydantic reads it
            usd_per_million_completion_tokens="2",  # type: ignore[arg-type] # pydantic reads it
        ),
        shots=1,
        pools=connections,
    )
    return StubLoader(student)


class RawClient:
    """A caller on a bare socket, who can hang up at any moment."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def post(cls, house: RouterHarness, path: str, body: bytes, **headers: str) -> "RawClient":
        """Send a request, and wait for nothing."""
        host, port = house.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        named = {"host": host, "content-type": "application/json", "content-length": str(len(body)), **TASK, **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
        writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return cls(reader, writer)

    async def disconnect(self) -> None:
        """Be gone."""
        self._writer.close()
        await self._writer.wait_closed()
