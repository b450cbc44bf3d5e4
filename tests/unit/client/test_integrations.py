"""The callbacks of the integrations, as frameworks call them; tests/live_integrations has the frameworks themselves."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from understudies.client import Understudies
from understudies.client.integrations.framework import build_callbacks
from understudies.client.integrations.langchain import _UnderstudiesHandler
from understudies.client.integrations.litellm import _UnderstudiesLogger
from understudies.client.integrations.openai_agents import _UnderstudiesProcessor

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = BEGIN + timedelta(seconds=2)
ASKED = [{"role": "user", "content": "Where is my card?"}]
MESSAGE = {"role": "assistant", "content": "lost-card"}
COMPLETION = {"model": "gpt-4o-mini-2024", "choices": [{"message": MESSAGE, "finish_reason": "stop"}]}


class Scene:
    """A client that records to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.client = Understudies(corpus=path)

    def calls(self) -> list[dict[str, Any]]:
        assert self.client.flush()
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "calls.jsonl")


def litellm_call(**changes: Any) -> dict[str, Any]:
    """What LiteLLM tells a logger."""
    return {
        "call_type": "acompletion",
        "litellm_call_id": "c-1",
        "model": "gpt-4o-mini",
        "messages": ASKED,
        "optional_params": {"temperature": 0, "extra_body": {}},
        "litellm_params": {"metadata": {"understudies_task": "triage", "understudies_episode": "e-1"}},
        **changes,
    }


async def test_litellm_tells_of_a_call_twice_and_it_is_recorded_once(scene: Scene) -> None:
    logger = _UnderstudiesLogger(scene.client)
    logger.log_success_event(litellm_call(), COMPLETION, BEGIN, END)
    await logger.async_log_success_event(litellm_call(), COMPLETION, BEGIN, END)
    [call] = scene.calls()
    assert (call["task"], call["episode"], call["temperature"]) == ("triage", "e-1", 0)
    assert call["messages"] == [*ASKED, MESSAGE]
    assert call["latency_ms"] == 2000


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_hit": True},
        {"call_type": "aembedding"},
        {"messages": [{"role": "user", "content": "redacted-by-litellm"}]},
        {"stream": True},
        {"messages": None},
    ],
)
def test_litellm_what_is_no_answer_of_the_teacher_is_not_recorded(scene: Scene, changes: dict[str, Any]) -> None:
    _UnderstudiesLogger(scene.client).log_success_event(litellm_call(**changes), COMPLETION, BEGIN, END)
    assert scene.calls() == []


def test_litellm_a_stream_is_recorded_whole(scene: Scene) -> None:
    told = litellm_call(stream=True, complete_streaming_response=COMPLETION)
    _UnderstudiesLogger(scene.client, "named").log_success_event({**told, "litellm_params": None}, None, BEGIN, END)
    assert [call["task"] for call in scene.calls()] == ["named"]


def test_langchain_records_each_prompt_of_a_batch(scene: Scene) -> None:
    handler = _UnderstudiesHandler(scene.client, "triage")
    answer = SimpleNamespace(message=None, text="lost-card")
    handler.on_llm_start({}, ["one", "two"], run_id=1, invocation_params={"model": "m", "_type": "x", "stop": None})
    handler.on_llm_end(SimpleNamespace(generations=[[answer], [answer]]), run_id=1)
    assert [call["messages"][0]["content"] for call in scene.calls()] == ["one", "two"]
    handler.on_llm_end(SimpleNamespace(generations=[[answer]]), run_id="never begun")
    assert len(scene.calls()) == 2


def test_langchain_answers_of_its_cache_are_no_calls(scene: Scene) -> None:
    handler = _UnderstudiesHandler(scene.client)
    handler.on_chat_model_start({}, [[("user", "one")]], run_id=1, invocation_params={"model": "m"})
    cached = SimpleNamespace(message=SimpleNamespace(content="a", usage_metadata={"total_cost": 0}))
    handler.on_llm_end(SimpleNamespace(generations=[[cached]]), run_id=1)
    assert scene.calls() == []


def test_langchain_failures_are_no_answers(scene: Scene) -> None:
    handler = _UnderstudiesHandler(scene.client)
    handler.on_chat_model_start({}, [[("user", "one")]], run_id=1, invocation_params={"model": "m"})
    handler.on_llm_error(ValueError("rate limit"), run_id=1)
    assert scene.calls() == []
    assert scene.client.losses == {}


def generation(**changes: Any) -> SimpleNamespace:
    """A span of a chat completion."""
    data = {"type": "generation", "input": ASKED, "output": [MESSAGE], "model": "m", "usage": {"output_tokens": 3}}
    return SimpleNamespace(
        span_id="s-2",
        parent_id="s-1",
        span_data=SimpleNamespace(**{**data, "model_config": {"max_tokens": 10}, **changes}),
        started_at=BEGIN.isoformat(),
        ended_at=END.isoformat(),
        error=None,
        trace_metadata=None,
    )


def test_agents_a_chat_completion_is_recorded(scene: Scene) -> None:
    processor = _UnderstudiesProcessor(scene.client, "triage")
    processor.on_span_start(generation())
    processor.on_span_end(generation())
    processor.force_flush()
    assert [(call["task"], call["messages"]) for call in scene.calls()] == [("triage", [*ASKED, MESSAGE])]


def test_agents_what_a_span_does_not_tell_is_not_guessed(scene: Scene) -> None:
    processor = _UnderstudiesProcessor(scene.client)
    about = SimpleNamespace(type="agent", tools=["find"], handoffs=[], output_type="str")
    processor.on_span_start(SimpleNamespace(span_id="s-1", parent_id=None, span_data=about))
    processor.on_span_end(generation())
    processor.on_span_end(SimpleNamespace(span_id="s-1", parent_id=None, span_data=about))
    processor.on_span_end(generation(usage={"output_tokens": 10}))
    processor.on_span_end(generation(input=None))
    assert scene.calls() == []
    assert scene.client.losses == {"unreadable": 2}


def test_a_task_that_events_do_not_allow_is_counted_and_never_raised(scene: Scene) -> None:
    assert not scene.client.record({"messages": ASKED}, COMPLETION, task="a/b")
    assert scene.client.losses == {"unreadable": 1}


def test_a_framework_that_is_missing_is_named() -> None:
    with pytest.raises(ImportError, match="UnderstudiesLogger needs no-such-thing: pip install no-such-thing"):
        build_callbacks(_UnderstudiesLogger, "no_such_module", "Base", "no-such-thing")
