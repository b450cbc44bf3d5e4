"""The integrations with the real frameworks, each before a fake provider on a loopback port.

The frameworks are not among the development dependencies: install those to be tested beside them, such as
`pip install litellm langchain-openai openai-agents 'pydantic-ai-slim[openai]' openinference-instrumentation-openai`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.capturing_bus import CapturingBus
from tests.support.fake_teacher import FakeTeacher

from understudies.client import Understudies
from understudies.client.integrations.langchain import langchain_handler
from understudies.client.integrations.litellm import litellm_logger
from understudies.client.integrations.openai_agents import agents_client, agents_processor
from understudies.events import Invocation
from understudies.otlp.factory import create_endpoint
from understudies.router.http1.server import HttpServer
from understudies.router.settings import RouterSettings
from understudies.runtime.clock import SystemClock
from understudies.runtime.rules.source import RulesSource

# The frameworks' own warnings are no failures of ours.
pytestmark = pytest.mark.filterwarnings("default")

QUESTION = "Where is my card?"
ANSWER = "teacher's answer"
SYSTEM = "Classify the ticket."


def framework(name: str, package: str) -> Any:
    """A framework's module; without it the test is skipped."""
    return pytest.importorskip(name, reason=f"the optional package {package} is not installed")


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher() as teacher:
        yield teacher


@pytest.fixture
def recorded(tmp_path: Path) -> "Recorded":
    return Recorded(tmp_path / "calls.jsonl")


class Recorded:
    """A client that records to a file, and what is in there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.client = Understudies(corpus=path)

    def calls(self) -> list[dict[str, Any]]:
        assert self.client.flush()
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def only(self) -> dict[str, Any]:
        [call] = self.calls()
        return call


def texts(call: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in call["messages"]]


async def test_litellm(
    teacher: FakeTeacher, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    # One test, for LiteLLM keeps loggers and its background worker for the whole process.
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = framework("litellm", "litellm")
    heard = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    _notify(recorded.client, lambda: loop.call_soon_threadsafe(heard.release), monkeypatch)
    monkeypatch.setattr(litellm, "callbacks", [litellm_logger(recorded.client)])
    arguments = {
        "model": "openai/gpt-4o-mini",
        "api_base": teacher.url,
        "api_key": "sk-test",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
        "temperature": 0,
        "num_retries": 0,
        "metadata": {"understudies_task": "triage", "understudies_episode": "e-1"},
    }
    async with asyncio.timeout(60):
        await litellm.acompletion(**arguments)
        await heard.acquire()
        assert [chunk async for chunk in await litellm.acompletion(**arguments, stream=True)]
        await heard.acquire()
        await asyncio.to_thread(litellm.completion, **arguments)
        await heard.acquire()
        assert await asyncio.to_thread(lambda: list(litellm.completion(**arguments, stream=True)))
        await heard.acquire()
        with pytest.raises(litellm.exceptions.InternalServerError):
            await litellm.acompletion(**{**arguments, "api_base": f"http://127.0.0.1:{unused_tcp_port}/v1"})
        await heard.acquire()
    calls = recorded.calls()
    # What failed is no line of a corpus.
    assert len(calls) == 4
    for call in calls:
        assert texts(call) == [("system", SYSTEM), ("user", QUESTION), ("assistant", ANSWER)]
        assert (call["task"], call["episode"], call["temperature"]) == ("triage", "e-1", 0)
        assert call["usage"]["prompt_tokens"] > 0


async def test_a_shadowed_model_of_langchain_is_recorded_whatever_is_made_of_it(
    teacher: FakeTeacher, recorded: Recorded
) -> None:
    langchain = framework("langchain_openai", "langchain-openai")
    prompts = framework("langchain_core.prompts", "langchain-core")
    model = langchain.ChatOpenAI(model="gpt-4o-mini", base_url=teacher.url, api_key="sk-test", temperature=0)
    shadow: Any = recorded.client.shadow(model, task="triage", episode="e-1")
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    schema = {"title": "Label", "type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
    asked = [("system", SYSTEM), ("user", QUESTION)]
    prompt = prompts.ChatPromptTemplate.from_messages(asked)
    await shadow.ainvoke(asked)
    await shadow.bind_tools([tool]).ainvoke(asked)
    assert [chunk async for chunk in shadow.bind(stop=["x"]).astream(asked)]
    await shadow.abatch([asked, asked])
    await (prompt | shadow).ainvoke({})
    await (prompt | shadow).abatch([{}])
    await (shadow | str).ainvoke(asked)
    await shadow.with_retry().ainvoke(asked)
    teacher.text = '{"label": "lost"}'
    await shadow.with_structured_output(schema, method="json_schema").ainvoke(asked)
    calls = recorded.calls()
    assert len(calls) == 10
    assert all((call["task"], call["episode"]) == ("triage", "e-1") for call in calls)
    assert all(texts(call)[:2] == [("system", SYSTEM), ("user", QUESTION)] for call in calls)
    assert calls[1]["tools"][0]["function"]["name"] == "find"
    assert calls[-1]["response_format"]["type"] == "json_schema"
    assert len(teacher.asked) == 10


@pytest.mark.parametrize("stream", [False, True])
async def test_langchain(teacher: FakeTeacher, recorded: Recorded, stream: bool) -> None:
    langchain = framework("langchain_openai", "langchain-openai")
    model = langchain.ChatOpenAI(
        model="gpt-4o-mini",
        base_url=teacher.url,
        api_key="sk-test",
        temperature=0,
        stream_usage=True,
        callbacks=[langchain_handler(recorded.client)],
    )
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    bound = model.bind_tools([tool])
    about = {"metadata": {"understudies_task": "triage", "thread_id": "t-1"}}
    asked = [("system", SYSTEM), ("user", QUESTION)]
    if stream:
        assert [chunk async for chunk in bound.astream(asked, about)]
    else:
        assert (await bound.ainvoke(asked, about)).content == ANSWER
    call = recorded.only()
    assert texts(call) == [("system", SYSTEM), ("user", QUESTION), ("assistant", ANSWER)]
    assert (call["task"], call["episode"], call["temperature"]) == ("triage", "t-1", 0)
    assert call["tools"][0]["function"]["name"] == "find"
    assert call["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_agents(teacher: FakeTeacher, recorded: Recorded, api: str, stream: bool) -> None:
    agents = framework("agents", "openai-agents")
    client = openai.AsyncOpenAI(base_url=teacher.url, api_key="sk-test")
    kind = agents.OpenAIResponsesModel if api == "responses" else agents.OpenAIChatCompletionsModel
    agents.set_trace_processors([agents_processor(recorded.client)])
    agent = agents.Agent(name="triage agent", instructions=SYSTEM, model=kind("gpt-4o-mini", client))
    config = agents.RunConfig(trace_metadata={"understudies_task": "triage"})
    if stream:
        run = agents.Runner.run_streamed(agent, QUESTION, run_config=config)
        assert [event async for event in run.stream_events()]
    else:
        assert (await agents.Runner.run(agent, QUESTION, run_config=config)).final_output == ANSWER
    call = recorded.only()
    assert texts(call)[-2:] == [("user", QUESTION), ("assistant", ANSWER)]
    assert call["task"] == "triage"
    if not (stream and api == "chat"):  # the SDK asks no stream of a chat for its usage
        assert call["usage"]["prompt_tokens"] > 0
    if api == "chat":
        assert texts(call)[0] == ("system", SYSTEM)


async def test_openai_agents_with_tools_are_recorded_where_spans_tell_them(
    teacher: FakeTeacher, recorded: Recorded
) -> None:
    agents = framework("agents", "openai-agents")
    agents.set_trace_processors([agents_processor(recorded.client)])

    def find(name: str) -> str:
        return name

    client = openai.AsyncOpenAI(base_url=teacher.url, api_key="sk-test")
    for kind in (agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel):
        agent = agents.Agent(
            name="a", instructions=SYSTEM, model=kind("gpt-4o-mini", client), tools=[agents.function_tool(find)]
        )
        await agents.Runner.run(agent, QUESTION)
    assert len(recorded.calls()) == 1
    assert recorded.client.losses == {"unreadable": 1}


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_agents_by_their_client(teacher: FakeTeacher, recorded: Recorded, api: str, stream: bool) -> None:
    agents = framework("agents", "openai-agents")
    agents.set_trace_processors([])

    def find(name: str) -> str:
        return name

    client = agents_client(recorded.client, openai.AsyncOpenAI(base_url=teacher.url, api_key="sk-test"), task="other")
    provider = agents.OpenAIProvider(openai_client=client, use_responses=api == "responses")
    other = agents.Agent(name="billing", instructions="Bill.")
    agent = agents.Agent(
        name="triage", instructions=SYSTEM, model="gpt-4o-mini", tools=[agents.function_tool(find)], handoffs=[other]
    )
    metadata = {"understudies_task": "triage", "thread_id": "t-1"}
    config = agents.RunConfig(model_provider=provider, trace_metadata=metadata)
    if stream:
        run = agents.Runner.run_streamed(agent, QUESTION, run_config=config)
        assert [event async for event in run.stream_events()]
    else:
        assert (await agents.Runner.run(agent, QUESTION, run_config=config)).final_output == ANSWER
    call = recorded.only()
    assert texts(call)[-2:] == [("user", QUESTION), ("assistant", ANSWER)]
    assert (call["task"], call["episode"]) == ("triage", "t-1")
    assert [tool["function"]["name"] for tool in call["tools"]] == ["find", "transfer_to_billing"]
    await agents.Runner.run(agent, QUESTION, run_config=agents.RunConfig(model_provider=provider))
    assert [call["task"] for call in recorded.calls()] == ["triage", "other"]


def _pydantic_ai(url: str, provider: TracerProvider) -> Callable[[], Any]:
    framework("pydantic_ai", "pydantic-ai-slim[openai]")
    from pydantic_ai import Agent, InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))

    async def ask() -> None:
        # Its own client and `run_sync` leave sockets and a loop open, of which Python warns when the tests are over.
        async with openai.AsyncOpenAI(base_url=url, api_key="sk-test") as client:
            model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
            await Agent(model, name="triage", instructions=SYSTEM).run(QUESTION)

    return lambda: asyncio.run(ask())


def _instrumented_openai(url: str, provider: TracerProvider, instrumentor: Any) -> Callable[[], Any]:
    instrumentor.instrument(tracer_provider=provider)
    client = openai.OpenAI(base_url=url, api_key="sk-test")
    messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def ask() -> None:
        try:
            client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        finally:
            instrumentor.uninstrument()

    return ask


def _openinference(url: str, provider: TracerProvider) -> Callable[[], Any]:
    module = framework("openinference.instrumentation.openai", "openinference-instrumentation-openai")
    return _instrumented_openai(url, provider, module.OpenAIInstrumentor())


def _openllmetry(url: str, provider: TracerProvider) -> Callable[[], Any]:
    module = framework("opentelemetry.instrumentation.openai", "opentelemetry-instrumentation-openai")
    return _instrumented_openai(url, provider, module.OpenAIInstrumentor())


@pytest.mark.parametrize("instrumented", [_pydantic_ai, _openinference, _openllmetry])
async def test_spans_of_real_instrumentations(
    teacher: FakeTeacher, instrumented: Callable[[str, TracerProvider], Callable[[], Any]]
) -> None:
    bus = CapturingBus()
    endpoint = create_endpoint(
        RouterSettings(), host="127.0.0.1", rules=RulesSource(), bus=bus.bus, clock=SystemClock()
    )
    server = HttpServer(endpoint, "127.0.0.1", 0)
    await server.start()
    try:
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{server.url}/v1/traces")))
        await asyncio.to_thread(instrumented(teacher.url, provider))
        assert await asyncio.to_thread(provider.force_flush)
        await asyncio.to_thread(provider.shutdown)
    finally:
        await server.stop()
    [call] = bus.published
    assert isinstance(call, Invocation)
    assert [(message.role, message.content) for message in call.request.messages] == [
        ("system", SYSTEM),
        ("user", QUESTION),
    ]
    assert call.response is not None
    assert call.response.message.content == ANSWER
    assert call.usage.prompt_tokens > 0


def _notify(client: Understudies, notify: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell when a call was recorded: LiteLLM logs in the background, and says nothing when it has."""
    record = client.record

    def recording(*args: Any, **kwargs: Any) -> bool:
        done = record(*args, **kwargs)
        notify()
        return done

    monkeypatch.setattr(client, "record", recording)
