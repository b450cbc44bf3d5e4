"""Any teacher can be shadowed, and nothing that it does is changed. Recorded to a file: no bus is needed."""

import asyncio
import copy
import dataclasses
import functools
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.sightings import corpus_lines, local

from understudies.client import Understudies
from understudies.client.calls import TeacherInfo
from understudies.client.instrumentation import Instrumentor
from understudies.client.sdk import utc_now

ASKED = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "late parcel"}]


class Chain:
    """Like a runnable of LangChain."""

    name = "chain"

    def invoke(self, prompt: Any, config: dict[str, Any] | None = None) -> "AIMessage":
        return AIMessage(f"{prompt}!")

    async def ainvoke(self, prompt: Any, config: dict[str, Any] | None = None) -> "AIMessage":
        return AIMessage(f"{prompt}?")

    def stream(self, prompt: str) -> Any:
        yield from prompt


@dataclasses.dataclass
class AIMessage:
    content: str
    type: str = "ai"
    tool_calls: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    usage_metadata: dict[str, Any] = dataclasses.field(
        default_factory=lambda: {"input_tokens": 9, "output_tokens": 2, "input_token_details": {"cache_read": 4}}
    )
    response_metadata: dict[str, Any] = dataclasses.field(
        default_factory=lambda: {"model_name": "m-1", "finish_reason": "stop"}
    )


def sort(messages: list[dict[str, Any]], **options: Any) -> str:
    return "shipping"


def shout(prompt: str) -> str:
    return prompt + "!"


def same(value: Any) -> Any:
    return value


def test_what_is_set_on_a_shadow_is_set_on_its_teacher(tmp_path: Path) -> None:
    teacher = Chain()
    with local(tmp_path / "calls.jsonl") as client:
        client.shadow(teacher, "chain").name = "renamed"
        assert copy.copy(client.shadow(teacher, "chain")).name == "renamed"
        assert teacher.name == "renamed"
        del client.shadow(teacher, "chain").name
    assert teacher.name == "chain"


def silent() -> str:
    return "fine"


def long(prompt: str) -> str:
    return "b" * 10_000_000


def write(prompt: str) -> str:
    return f"wrote to {prompt}"


def recorded(client: Understudies, path: Path) -> list[dict[str, Any]]:
    assert client.flush(10)
    return corpus_lines(path)


def answers(client: Understudies, path: Path) -> list[Any]:
    return [line["messages"][-1]["content"] for line in recorded(client, path)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return tmp_path / "made" / "corpus.jsonl"


def test_a_function_of_messages(corpus: Path) -> None:
    with local(corpus) as client:
        teacher = client.shadow(sort, "triage", model="m", tags={"team": "a"})
        assert teacher(ASKED, temperature=0) == "shipping"
        (line,) = recorded(client, corpus)
    assert line["messages"] == [*ASKED, {"role": "assistant", "content": "shipping"}]
    assert (line["task"], line["model"], line["tags"], line["temperature"]) == ("triage", "m", {"team": "a"}, 0.0)
    assert line["latency_ms"] >= 0
    assert line["created"] > 1_700_000_000


def test_a_function_of_a_prompt(corpus: Path) -> None:
    with local(corpus) as client:
        assert client.shadow(str.upper)("abc") == "ABC"
        (line,) = recorded(client, corpus)
    assert line["messages"] == [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "ABC"}]
    assert line["task"].startswith("task-")


def test_a_function_of_other_arguments_is_recorded_as_json(corpus: Path) -> None:
    def price(item: str, *, count: int) -> dict[str, Any]:
        return {"item": item, "total": 3 * count}

    with local(corpus) as client:
        assert client.shadow(price)("cup", count=2) == {"item": "cup", "total": 6}
        (line,) = recorded(client, corpus)
    assert line["messages"][0] == {"role": "user", "content": '{"args": ["cup"], "count": 2}'}
    assert line["messages"][-1]["content"] == '{"item": "cup", "total": 6}'


async def test_an_async_function_stays_one(corpus: Path) -> None:
    async def teacher(messages: list[Any]) -> str:
        await asyncio.sleep(0)
        return "shipping"

    async with Understudies(corpus=corpus) as client:
        shadowed = client.shadow(teacher)
        assert inspect.iscoroutinefunction(shadowed)
        assert shadowed.__name__ == "teacher"
        assert await shadowed(ASKED) == "shipping"
        assert answers(client, corpus) == ["shipping"]


async def test_a_function_that_returns_something_to_wait_for(corpus: Path) -> None:
    async def later() -> str:
        return "later"

    def coroutine(prompt: str) -> Any:
        return later()

    def future(prompt: str) -> Any:
        return task

    task = asyncio.ensure_future(later())
    async with Understudies(corpus=corpus) as client:
        assert await client.shadow(coroutine)("a") == "later"
        assert client.shadow(future)("b") is task
        assert await task == "later"
        await asyncio.sleep(0)
        assert answers(client, corpus) == ["later", "later"]


async def test_an_object_with_invoke(corpus: Path) -> None:
    async with Understudies(corpus=corpus) as client:
        chain = client.shadow(Chain(), "chain")
        assert isinstance(chain, Chain)
        assert chain.name == "chain"
        assert not callable(chain)
        assert chain.invoke("a", {"tags": ["x"]}).content == "a!"
        assert (await chain.ainvoke("b")).content == "b?"
        assert list(chain.stream("cd")) == ["c", "d"]
        lines = recorded(client, corpus)
    assert [line["messages"][-1]["content"] for line in lines] == ["a!", "b?", "cd"]
    assert lines[0]["messages"][0] == {"role": "user", "content": "a"}
    assert lines[0]["model"] == "m-1"
    assert lines[0]["usage"]["prompt_tokens"] == 9
    assert lines[0]["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    with pytest.raises(AttributeError):
        _ = chain.nothing  # type: ignore[attr-defined]  # must be missing


def test_partials_callables_and_bound_methods(corpus: Path) -> None:
    class Model:
        version = 3

        def __call__(self, prompt: str) -> str:
            return prompt + "1"

        def ask(self, prompt: str) -> str:
            return prompt + "2"

    with local(corpus) as client:
        called = client.shadow(Model())
        assert called.version == 3
        assert called("a") == "a1"
        assert client.shadow(Model().ask)("a") == "a2"
        assert client.shadow(functools.partial(Model().ask, prompt="b"))() == "b2"
        assert answers(client, corpus)[:2] == ["a1", "a2"]
        with pytest.raises(TypeError, match="neither"):
            client.shadow(42)


def test_the_same_object_comes_back(corpus: Path) -> None:
    answer = {"role": "assistant", "content": "x"}

    def teacher(prompt: str) -> dict[str, str]:
        return answer

    with local(corpus) as client:
        returned = client.shadow(teacher)("a")
        assert returned is answer
        returned["content"] = "changed by the caller"
        assert answers(client, corpus) == ["x"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_what_the_teacher_raises_is_raised_and_not_an_answer(corpus: Path, kind: type[BaseException]) -> None:
    raised = kind("for ada@example.org")

    def teacher(prompt: str) -> str:
        raise raised

    with local(corpus) as client:
        with pytest.raises(kind) as caught:
            client.shadow(teacher)("a")
        assert caught.value is raised
        assert recorded(client, corpus) == []
        assert client.dropped == 0


def test_what_the_caller_changes_after_the_call_is_not_recorded(corpus: Path) -> None:
    part = {"type": "text", "text": "look"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "one"}, {"role": "user", "content": [part]}]

    def teacher(messages: list[dict[str, Any]]) -> str:
        messages[0]["content"] = "changed by the teacher"
        return "fine"

    with local(corpus) as client:
        client.shadow(teacher)(messages)
        messages.append({"role": "user", "content": "more"})
        messages[1]["content"].append({"type": "text", "text": "more"})
        part["text"] = "changed"
        (line,) = recorded(client, corpus)
        look = [{"type": "text", "text": "look"}]
        assert [message["content"] for message in line["messages"]] == ["one", look, "fine"]


def test_a_hundred_threads(corpus: Path) -> None:
    with local(corpus) as client:
        teacher = client.shadow(shout)
        with ThreadPoolExecutor(100) as pool:
            assert len(list(pool.map(lambda n: [teacher(f"{n}-{i}") for i in range(20)], range(100)))) == 100
        lines = recorded(client, corpus)
        assert client.dropped == 0
    assert len(lines) == 2000
    assert len({line["id"] for line in lines}) == 2000
    assert {line["messages"][-1]["content"] for line in lines} == {f"{n}-{i}!" for n in range(100) for i in range(20)}


def test_episodes_are_told_at_the_time_of_the_call(corpus: Path) -> None:
    current: list[str | None] = ["trip-1"]
    with local(corpus) as client:
        teacher = client.shadow(str.upper, episode=lambda: current[0])
        teacher("a")
        current[0] = "trip-2"
        teacher("b")
        client.shadow(str.upper, episode="fixed")("c")
        assert [line["episode"] for line in recorded(client, corpus)] == ["trip-1", "trip-2", "fixed"]


def test_tasks_may_be_told_at_the_time_of_the_call(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    names: list[str | None] = ["billing", None, "a/b", "triage"]
    with local(corpus) as client:
        teacher = client.shadow(sort, lambda: names.pop(0))
        for _ in range(4):
            assert teacher(ASKED) == "shipping"
        lines = recorded(client, corpus)
        assert client.losses == {"unreadable": 1}
    assert [line["task"] for line in lines][::2] == ["billing", "triage"]
    assert lines[1]["task"].startswith("sort-")
    assert "a task name has" in caplog.text


@pytest.mark.parametrize("name", ["", "a/b", "a@1"])
def test_a_bad_task_name_is_refused_at_once(corpus: Path, name: str) -> None:
    with (
        local(corpus) as client,
        pytest.raises(ValueError, match=r"is no task name: a task name has 1 to 200"),
    ):
        client.shadow(str.upper, name)


def test_somewhere_to_record_to_is_needed() -> None:
    with pytest.raises(ValueError, match="nowhere to record to"):
        Understudies()


def test_what_cannot_be_read_is_counted_and_nothing_else(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken_episode() -> str:
        raise RuntimeError("no episode")

    loop: list[Any] = []
    loop.append(loop)
    with local(corpus) as client:
        echo = client.shadow(same)
        unreadable = object()
        assert echo(unreadable) is unreadable
        assert echo(loop) is loop
        assert client.shadow(str.upper, episode=broken_episode)("a") == "A"
        assert client.shadow(silent)() == "fine"
        assert recorded(client, corpus) == []
        assert client.losses == {"unreadable": 4}
        assert client.dropped == 4
    assert len([record for record in caplog.records if record.name == "understudies.client"]) == 1


def test_what_is_too_large_is_counted(corpus: Path) -> None:
    with local(corpus, max_bytes=10_000) as client:
        echo = client.shadow(sort)
        assert echo([{"role": "user", "content": "a" * 10_001}]) == "shipping"
        assert echo([{"role": "user", "content": "é" * 9_000}]) == "shipping"
        assert client.shadow(long)("a").startswith("b")
        assert echo([{"role": "user", "content": "a" * 9_000}]) == "shipping"
        assert len(recorded(client, corpus)) == 1
        assert client.losses == {"too_large": 3}


def test_a_full_buffer_drops_the_newest(corpus: Path) -> None:
    class Slow:
        """Holds the background until the agent is done."""

        def __init__(self) -> None:
            self.seen = 0

        def __call__(self, text: str) -> str:
            self.seen += 1
            assert released.wait(10)
            return text

    released = threading.Event()
    slow = Slow()
    with local(corpus, max_buffer=5, redact=slow) as client:
        teacher = client.shadow(str.upper)
        for n in range(300):
            teacher(f"call {n}")
        assert client.losses.keys() == {"full"}
        released.set()
        lines = recorded(client, corpus)
        assert len(lines) + client.dropped == 300
        asked = [int(line["messages"][0]["content"].split()[1]) for line in lines]
        assert asked[:5] == [0, 1, 2, 3, 4]
        assert asked == sorted(asked)


def test_calls_after_the_end_still_work(corpus: Path) -> None:
    with local(corpus) as client:
        teacher = client.shadow(str.upper)
        teacher("a")
    assert teacher("b") == "B"
    assert client.losses == {"closed": 1}
    assert len(corpus_lines(corpus)) == 1
    client.close()
    assert client.flush(1)


def test_personal_data_never_reaches_the_corpus(corpus: Path) -> None:
    with local(corpus) as client:
        client.shadow(write)("ada@example.org")
        (line,) = recorded(client, corpus)
    assert [message["content"] for message in line["messages"]] == ["[EMAIL]", "wrote to [EMAIL]"]


def test_a_tenants_own_tasks_carry_its_name(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with Understudies(corpus=path, tenant="acme", own_tasks=True) as client:
        client.shadow(sort, task="triage")(ASKED)
        client.shadow(sort, task="acme:triage")(ASKED)
        client.shadow(sort)(ASKED)
        named, again, discovered = recorded(client, path)
    with Understudies(corpus=tmp_path / "shared.jsonl", tenant="acme") as client:
        client.shadow(sort)(ASKED)
        (shared,) = recorded(client, tmp_path / "shared.jsonl")
    assert (named["task"], again["task"]) == ("acme:triage", "acme:triage")
    assert discovered["task"] == f"acme:{shared['task']}"


def test_such_a_tenant_has_a_name_that_can_stand_in_theirs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no tasks of its own"):
        Understudies(corpus=tmp_path / "calls.jsonl", tenant="a:b", own_tasks=True)
    with (
        Understudies(corpus=tmp_path / "calls.jsonl", tenant="acme", own_tasks=True) as client,
        pytest.raises(ValueError, match="200 characters"),
    ):
        client.shadow(sort, task="x" * 196)


class _Model:
    """A model in the manner of LangChain's."""

    def __init__(self, callbacks: Any = None, tools: tuple[str, ...] = ()) -> None:
        self.callbacks = callbacks
        self._tools = tools

    def model_copy(self, *, update: dict[str, Any]) -> "_Model":
        return _Model(**{"callbacks": self.callbacks, "tools": self._tools, **update})

    def invoke(self, text: str) -> str:
        for handler in self.callbacks or ():
            handler.on_chat_model_start({}, [[("user", text)]], run_id=1, invocation_params={"tools": [*self._tools]})
            answer = SimpleNamespace(message=None, text=f"{text}!")
            handler.on_llm_end(SimpleNamespace(generations=[[answer]]), run_id=1)
        return f"{text}!"

    def bind_tools(self, *tools: str) -> "_Model":
        return _Model(self.callbacks, tools)

    def __or__(self, other: Callable[[str], str]) -> Callable[[str], str]:
        return lambda text: other(self.invoke(text))


class _Callbacks(list[Any]):
    """Callbacks in the manner of LangChain's manager."""

    @property
    def handlers(self) -> list[Any]:
        return [*self]

    def remove_handler(self, handler: Any) -> None:
        self.remove(handler)

    def copy(self) -> "_Callbacks":
        return _Callbacks(self)

    def add_handler(self, handler: Any) -> None:
        self.append(handler)


_Model.__module__ = "langchain_core.language_models.chat_models"


@pytest.fixture
def _langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `langchain_core.callbacks` be there, as far as it is used."""
    callbacks = SimpleNamespace(BaseCallbackHandler=object)
    monkeypatch.setitem(sys.modules, "langchain_core", SimpleNamespace(callbacks=callbacks))
    monkeypatch.setitem(sys.modules, "langchain_core.callbacks", callbacks)


@pytest.mark.usefixtures("_langchain")
@pytest.mark.parametrize("known", [None, [], _Callbacks()])
def test_what_is_made_of_a_shadowed_model_of_langchain_is_recorded(corpus: Path, known: Any) -> None:
    tool = {"type": "function", "function": {"name": "find"}}
    with local(corpus) as sdk:
        model = _Model(known if known is None else copy.copy(known))
        shadow: Any = sdk.shadow(model, task=lambda: "triage", episode="e-1")
        assert shadow.invoke("one") == "one!"
        assert shadow.bind_tools(tool).invoke("two") == "two!"
        assert (shadow | str.upper)("three") == "THREE!"
        assert list(model.callbacks or ()) == [], "the model itself is left alone"
    lines = corpus_lines(corpus)
    assert [line["messages"][0]["content"] for line in lines] == ["one", "two", "three"]
    assert [line.get("tools") or [] for line in lines] == [[], [tool], []]
    assert {(line["task"], line["episode"]) for line in lines} == {("triage", "e-1")}


def test_a_task_that_fails_is_no_failure_of_what_langchain_tells(corpus: Path) -> None:
    def fail() -> str:
        raise ValueError("no task")

    with local(corpus) as sdk:
        instrumentor = Instrumentor(sdk._recorder, TeacherInfo(None, "", {}), None, utc_now, fail)
        instrumentor.record({"messages": []}, "yes", at=utc_now(), latency_ms=1)
        assert sdk.losses == {"unreadable": 1}


class _Binding:
    """What LangChain makes of a model with tools, in the manner of its bindings, which delegate to the model."""

    def __init__(self, bound: Any) -> None:
        self.bound = bound

    def model_copy(self, *, update: dict[str, Any]) -> "_Binding":
        return _Binding(**update)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bound, name)


@pytest.mark.usefixtures("_langchain")
@pytest.mark.parametrize("known", [None, _Callbacks()])
def test_what_is_made_of_a_shadowed_model_is_recorded_once_when_it_is_shadowed_too(corpus: Path, known: Any) -> None:
    tool = {"type": "function", "function": {"name": "find"}}
    with local(corpus) as sdk, local(corpus.with_name("other.jsonl")) as other:
        shadow: Any = sdk.shadow(_Model(known), task="first")
        made = shadow.bind_tools(tool)
        assert sdk.shadow(made, task="second").invoke("one") == "one!"
        assert sdk.shadow(_Binding(_Binding(made)), task="third").invoke("two") == "two!"
        assert other.shadow(made, task="fourth").invoke("three") == "three!"
        assert made.invoke("four") == "four!"
    lines = corpus_lines(corpus)
    assert [line["task"] for line in lines] == ["second", "third", "first", "first"]
    assert [line.get("tools") for line in lines] == [[tool]] * 4
    assert [line["task"] for line in corpus_lines(corpus.with_name("other.jsonl"))] == ["fourth"]


@pytest.mark.usefixtures("_langchain")
def test_the_task_of_what_is_made_of_a_shadowed_model_is_that_of_its_call_when_it_began(corpus: Path) -> None:
    current = ["sort", "e-1"]

    def begun() -> str:
        if current[0] == "fail":
            raise ValueError("no task")
        return current[0]

    with local(corpus) as sdk:
        shadow: Any = sdk.shadow(_Model(), task=begun, episode=lambda: current[1])
        made = shadow.bind_tools()
        (handler,) = made.callbacks
        end = SimpleNamespace(generations=[[SimpleNamespace(message=None, text="yes")]])
        handler.on_chat_model_start({}, [[("user", "one")]], run_id=1)
        current[:] = "reply", "e-2"
        handler.on_chat_model_start({}, [[("user", "two")]], run_id=2)
        handler.on_llm_end(end, run_id=1)
        handler.on_llm_end(end, run_id=2)
        current[0] = "fail"
        handler.on_chat_model_start({}, [[("user", "three")]], run_id=3)
        handler.on_llm_end(end, run_id=3)
        assert sdk.losses == {"unreadable": 1}
    assert [(line["task"], line["episode"]) for line in corpus_lines(corpus)] == [("sort", "e-1"), ("reply", "e-2")]


def test_a_model_that_cannot_be_copied_is_called_all_the_same(corpus: Path) -> None:
    class Old(_Model):
        model_copy = None  # type: ignore[assignment]  # as before pydantic's second version

    with local(corpus) as sdk:
        shadow: Any = sdk.shadow(Old(), task="t")
        assert shadow.bind_tools("find").invoke("two") == "two!"
        assert (shadow | str.upper)("three") == "THREE!"
        assert sdk.losses == {"unreadable": 2}


@pytest.mark.parametrize("name", ["response", "completion", "headers"])
def test_an_error_that_hides_what_it_holds_is_raised_as_it_is(corpus: Path, name: str) -> None:
    def hide(_: Any) -> Any:
        raise RuntimeError("nothing was set")

    error = type("OddError", (Exception,), {name: property(hide)})("no answer")

    def fail(prompt: str) -> str:
        raise error

    with local(corpus) as sdk:
        with pytest.raises(type(error)) as caught:
            sdk.shadow(fail, task="t")("hi")
        assert caught.value is error
        assert sdk.flush(10)
        assert sdk.losses == {}


class _Bound:
    """A bound method with something around it that passes for a method itself, as those of wrapt do."""

    def __init__(self, method: Any) -> None:
        self._method = method

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:
        return type(self._method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)

    def __call__(self, prompt: str) -> str:
        return f"<{self._method(prompt)}>"


def test_what_passes_for_a_recorded_method_stays_around_it(corpus: Path) -> None:
    class Agent:
        def ask(self, prompt: str) -> str:
            return f"{prompt}!"

    with local(corpus) as sdk:
        Agent.ask = sdk.shadow(Agent.ask, task="all")  # type: ignore[method-assign]
        assert sdk.shadow(_Bound(Agent().ask), task="one")("a") == "<a!>"


def test_a_teacher_that_answers_for_no_other_attribute_is_called(corpus: Path) -> None:
    class Settings(dict[str, Any]):
        def __getattr__(self, name: str) -> Any:
            return self[name]

        def ask(self, prompt: str) -> str:
            return f"{prompt}!"

    with local(corpus) as sdk:
        assert sdk.shadow(Settings().ask, task="t")("a") == "a!"
    assert [line["task"] for line in corpus_lines(corpus)] == ["t"]


def test_what_is_built_around_a_recorded_function_stays_around_it(corpus: Path) -> None:
    def twice(function: Callable[[str], str]) -> Callable[[str], str]:
        @functools.wraps(function)
        def called(prompt: str) -> str:
            return function(function(prompt))

        return called

    class Agent:
        mark = "!"

        def ask(self, prompt: str) -> str:
            return prompt + self.mark

    with local(corpus) as sdk:
        Agent.ask = sdk.shadow(Agent.ask, task="all")  # type: ignore[method-assign]
        assert sdk.shadow(Agent().ask, task="one")("a") == "a!"
        inner = sdk.shadow(lambda prompt: f"{prompt}?", task="inner")
        assert sdk.shadow(twice(inner), task="outer")("b") == "b??"
    tasks = [line["task"] for line in corpus_lines(corpus)]
    assert (tasks[0], tasks[-1]) == ("one", "outer")
