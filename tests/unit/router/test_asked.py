"""Reading a call from HTTP."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import discovered_task
from understudies.router.asked import BadRequest, read

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def raw(**fields: Any) -> bytes:
    return json.dumps({**BODY, **fields}).encode()


@pytest.mark.parametrize(
    ("headers", "fields", "task"),
    [
        ({"x-understudies-task": "triage"}, {"metadata": {"task": "other"}}, "triage"),
        ({"x-understudies-task": "Überblick".encode().decode("latin-1")}, {}, "Überblick"),
        ({}, {"metadata": {"task": "triage"}, "model": "understudies/other"}, "triage"),
        ({}, {"model": "understudies/triage"}, "triage"),
    ],
)
def test_where_the_task_is_named(headers: dict[str, str], fields: dict[str, Any], task: str) -> None:
    assert read(raw(**fields), headers, "gpt-4o").task == task


def test_a_task_that_is_not_named_is_discovered() -> None:
    asked = read(raw(), {})
    assert asked.task == discovered_task(asked.request)


@pytest.mark.parametrize("name", ["", " triage", "a/b", "triage@3", "a\nb", "x" * 201, 7, ["a"]])
def test_a_bad_task_name_is_refused(name: Any) -> None:
    with pytest.raises(BadRequest, match="no task name"):
        read(raw(metadata={"task": name}), {})


def test_an_alias_needs_a_teachers_model() -> None:
    with pytest.raises(BadRequest, match="TEACHER_MODEL"):
        read(raw(model="understudies/triage"), {})
    assert read(raw(model="understudies/triage"), {}, "gpt-4o").body["model"] == "gpt-4o"


def test_the_teacher_is_sent_what_the_caller_sent_less_what_was_meant_for_the_router() -> None:
    asked = read(
        raw(
            stream=True, stream_options={"include_usage": True}, metadata={"task": "t", "a": "b"}, seed=3, odd={"x": 1}
        ),
        {"authorization": "Bearer secret", "cookie": "session"},
    )
    assert asked.body == {**BODY, "metadata": {"a": "b"}, "seed": 3, "odd": {"x": 1}}
    assert asked.passed == {"authorization": "Bearer secret"}
    assert (asked.stream, asked.include_usage) == (True, True)
    assert "secret" not in repr(asked)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"model": "m", "messages": ' + b"[" * 150 + b"]" * 150 + b"}", "nested"),
        (b'{"model": "m"}', "messages: Field required"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": [{"role": "king", "content": "x"}]}', "role"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', "not JSON"),
        (raw(model=""), "name a model"),
        (raw(model=None), "name a model"),
        (raw(model=3), "name a model"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(body, {})


def test_a_header_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadRequest, match="not UTF-8"):
        read(raw(), {"x-understudies-task": "\xff"})


def test_an_episode_of_any_length_is_not_taken() -> None:
    assert read(raw(), {"x-understudies-episode": "e" * 256}).episode == "e" * 256
    with pytest.raises(BadRequest, match="longer than 256"):
        read(raw(), {"x-understudies-episode": "e" * 257})


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(repr).map(str.encode))
def test_no_bytes_do_worse_than_being_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body, {})
