"""Which calls are identical, and which may get the answer of another."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.dialects.base import Api
from understudies.router.serving.cache_policy import (
    CacheDirectives,
    cache_key,
    is_cacheable,
    is_complete,
    parse_cache_directives,
)

BODY: dict[str, Any] = {
    "model": "gpt",
    "messages": [{"role": "user", "content": "hello"}],
    "temperature": 0,
    "max_tokens": 10,
}


def key(body: dict[str, Any] | None = None, **other: Any) -> str:
    given_ = {"tenant": "acme", "task": "triage", "api": "chat", "model": "gpt", "body": body or BODY}
    return cache_key(**given_ | other)


def test_a_key_is_a_hash() -> None:
    assert len(key()) == 64
    assert "acme" not in key()


def test_the_order_of_fields_and_streaming_do_not_count() -> None:
    assert key(dict(reversed(BODY.items()))) == key()
    assert key({**BODY, "stream": True, "stream_options": {"include_usage": True}}) == key()
    assert key({**BODY, "user": "someone", "metadata": {"trace": "7"}}) == key()


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"task": "other"},
        {"api": "responses"},
        {"model": "other"},
        {"tenant": "acmetriage", "task": ""},
        {"forwarded_headers": {"authorization": "Bearer sk-1"}},
        {"forwarded_headers": {"x-api-key": "sk-1"}},
        {"forwarded_headers": {"anthropic-beta": "context-1m"}},
        {"forwarded_headers": {"openai-organization": "org"}},
    ],
)
def test_whoever_and_whomever_another_asks_makes_another_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_the_callers_own_keys_for_the_teacher_keep_callers_apart() -> None:
    one, other = ({"authorization": f"Bearer sk-{n}"} for n in (1, 2))
    assert key(forwarded_headers=one) != key(forwarded_headers=other)
    assert key(forwarded_headers=one) == key(forwarded_headers=dict(one))


def test_headers_that_decide_nothing_do_not_count() -> None:
    assert key(forwarded_headers={"user-agent": "curl", "traceparent": "00-1"}) == key()


def test_what_a_response_repeats_of_its_request_counts() -> None:
    body = {"model": "gpt", "input": "hello", "temperature": 0}
    assert key({**body, "metadata": {"a": "1"}}, api="responses") != key(body, api="responses")
    assert key({**body, "stream": True}, api="responses") == key(body, api="responses")


def changed(value: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, 1, 0.5, "other", [], {}, [value], {"x": value}])


@given(st.data())
def test_any_other_change_of_the_body_makes_another_key(data: st.DataObject) -> None:
    body = copy.deepcopy(BODY)
    place: Any = body
    name: Any = data.draw(st.sampled_from(["messages", "temperature", "max_tokens", "seed", "tools", "logit_bias"]))
    if name == "messages" and data.draw(st.booleans()):
        place, name = body["messages"][0], data.draw(st.sampled_from(["role", "content", "name"]))
    value = data.draw(changed(place.get(name)))
    place[name] = value
    assert (key(body) == key()) == (body == BODY and type(value) is type(BODY.get(name, value)))


@given(st.recursive(st.none() | st.integers() | st.text(st.characters()), lambda inner: st.lists(inner)))
def test_any_body_has_a_key(value: Any) -> None:
    assert key({**BODY, "seed": value}) == key({**BODY, "seed": value})


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 0.0},
        {"n": 1},
        {"n": None},
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"name": "f", "input_schema": {}}]},
        {"stream": True},
        {"background": False},
        {"web_search_options": None},
        {"mcp_servers": [], "metadata": {}, "logit_bias": {}},
        {"service_tier": "flex", "prompt_cache_key": "k", "store": True, "top_k": 3, "guided_json": {"type": "object"}},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": "see https://example.org/"}]},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"url": "https://a.org"}}]}
            ]
        },
    ],
)
def test_one_answer_at_temperature_0_is_repeatable(more: dict[str, Any]) -> None:
    assert is_cacheable({**BODY, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.1},
        {"temperature": None},
        {"temperature": False},
        {"temperature": "0"},
        {"n": 2},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": "search"},
        {"tools": 7},
        {"tools": [{"google_search": {}}]},
        {"tools": [{"type": ["function"]}]},
        {"web_search_options": {"search_context_size": "low"}},
        {"web_search_options": {}},
        {"search_parameters": {}},
        {"plugins": [{"id": "web"}]},
        {"something_new": {}},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"data_sources": [{"type": "azure_search"}]},
        {"venice_parameters": {"enable_web_search": "on"}},
        {"extra_body": {"enable_search": True}},
        {"connectors": [{"id": "web-search"}]},
        {"search_recency_filter": "week"},
        {"model": "openai/gpt-4o:online"},
        {"model": "perplexity/sonar-pro"},
        {"model": "groq/compound"},
        {"model": "gpt-4o-search-preview"},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.org/b"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "HTTP://a"}}]}
            ]
        },
        {"messages": None, "input": [{"type": "item_reference", "id": "msg_1"}]},
        {"messages": None, "input": [{"id": "msg_1"}]},
        {"messages": None, "input": [{"id": "msg_1", "type": None}]},
        {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "again"}]},
        {
            "messages": None,
            "input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.org"}]}],
        },
    ],
)
def test_what_depends_on_more_than_the_body_is_not_repeatable(more: dict[str, Any]) -> None:
    assert not is_cacheable({**BODY, **more})
    assert not is_cacheable({})


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_a_whole_answer_may_be_kept(reason: str) -> None:
    assert is_complete(reason)


@pytest.mark.parametrize("reason", ["length", "content_filter", "pause_turn", None, ""])
def test_an_answer_that_was_cut_off_may_not(reason: str | None) -> None:
    assert not is_complete(reason)


@pytest.mark.parametrize(
    ("ours", "control", "wanted"),
    [
        (None, None, CacheDirectives()),
        ("yes", "", CacheDirectives()),
        (None, "max-age=0", CacheDirectives()),
        ("no", None, CacheDirectives(read=False, write=False)),
        (" No ", None, CacheDirectives(read=False, write=False)),
        (None, "no-store", CacheDirectives(read=False, write=False)),
        (None, "no-cache, no-store", CacheDirectives(read=False, write=False)),
        (None, "max-age=0, No-Cache", CacheDirectives(read=False, write=True)),
        ("no", "no-cache", CacheDirectives(read=False, write=False)),
    ],
)
def test_headers_say_what_the_caller_wants_of_the_cache(
    ours: str | None, control: str | None, wanted: CacheDirectives
) -> None:
    assert parse_cache_directives(ours, control) == wanted


def test_every_api_has_a_key() -> None:
    apis: tuple[Api, ...] = ("chat", "responses", "messages")
    assert len({key(api=api) for api in apis}) == 3
