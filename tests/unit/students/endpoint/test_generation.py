"""An answer as it is written: read strictly, whatever an endpoint sends."""

import doctest
import json
import math
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.events import Usage
from understudies.students.endpoint import sse
from understudies.students.endpoint.generation import Generation
from understudies.students.endpoint.sse import DataLineSplitter


def chunk(delta: dict[str, Any], logprobs: list[Any] | None = None, **rest: Any) -> bytes:
    tokens = None if logprobs is None else {"content": [{"token": "t", "logprob": value} for value in logprobs]}
    choice = {"index": 0, "delta": delta, "logprobs": tokens, "finish_reason": rest.pop("finish", None)}
    return json.dumps({"choices": [choice], **rest}).encode()


def grown(*chunks: bytes) -> Generation:
    generation = Generation(prompt_chars=400)
    for one in chunks:
        generation.add_chunk(one)
    return generation


def called(index: int | None, call_id: str | None = None, name: str | None = None, arguments: str = "") -> bytes:
    piece = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [piece]})


END = chunk({}, finish="stop")


def test_the_examples_hold() -> None:
    module: ModuleType = sse
    assert doctest.testmod(module).failed == 0


def test_text_and_log_probabilities_add_up() -> None:
    generation = grown(chunk({"content": "re"}, [-0.5]), chunk({"content": "fund"}, [-0.25, -0.25]), END, b"[DONE]")
    assert generation.message().text == "refund"
    assert generation.log_probability == generation.log_sum == -1.0
    assert generation.tokens == 3
    assert generation.usage == Usage(prompt_tokens=100, completion_tokens=3)


@pytest.mark.parametrize(
    ("told", "read"), [(0.5, 0.0), (-9999.0, -1000.0), (-math.inf, -1000.0), (math.nan, None), (None, None)]
)
def test_a_log_probability_is_finite_and_at_most_0(told: float | None, read: float | None) -> None:
    generation = grown(chunk({"content": "a"}, [told]), END)
    assert generation.log_probability == read


@pytest.mark.parametrize(
    ("token", "read"),
    [
        ({"prob": 0.5}, math.log(0.5)),
        ({"prob": 0.0}, -1000.0),
        ({"content": "a", "probs": [{"tok_str": "b", "prob": 0.9}, {"tok_str": "a", "prob": 0.5}]}, math.log(0.5)),
        ({"content": "a", "probs": [{"tok_str": "b", "prob": 0.9}]}, None),
        ({"content": "a", "probs": []}, None),
        ({"token": "a"}, None),
    ],
)
def test_probabilities_of_llama_cpp_are_read(token: dict[str, Any], read: float | None) -> None:
    generation = grown(chunk({"content": "a"}, completion_probabilities=[token]), END)
    assert generation.log_probability == (None if read is None else pytest.approx(read))


def test_what_was_told_for_less_than_half_of_the_tokens_is_no_probability() -> None:
    told = chunk({"content": "a"}, [-0.1])
    untold = chunk({"content": "b"})
    assert grown(told, untold, END).log_probability == -0.1
    assert grown(told, untold, untold, END).log_probability is None
    assert grown(told, chunk({}, finish="stop", usage={"completion_tokens": 3})).log_probability is None


def test_thoughts_count_and_are_no_text() -> None:
    generation = grown(chunk({"reasoning_content": "hm"}, [-0.5]), chunk({"content": "yes"}, [-0.5]), END)
    assert generation.message().text == "yes"
    assert generation.log_probability == -1.0


def test_only_the_first_choice_counts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "logprobs": {"content": [{"logprob": -9.0}]}}]}
    generation = grown(chunk({"content": "a"}, [-0.1]), json.dumps(other).encode(), END)
    assert (generation.message().text, generation.log_sum) == ("a", -0.1)


def spelled(text: str | None, tokens: dict[str, float]) -> bytes:
    listed = [{"token": token, "logprob": value} for token, value in tokens.items()]
    choice = {"index": 0, "delta": {"content": text}, "logprobs": {"content": listed}}
    return json.dumps({"choices": [choice]}).encode()


def test_tokens_before_a_text_that_others_spell_do_not_count() -> None:
    """As llama.cpp streams the Markdown fence that a JSON schema forced upon the model."""
    fenced = grown(spelled(None, {"`": -9.9}), spelled('{"a', {'{"': -0.5, "a": -0.25}), spelled('"}', {'"}': 0}), END)
    assert fenced.message().text == '{"a"}'
    assert fenced.log_probability == -0.75


def test_tokens_whose_text_comes_later_count() -> None:
    """As of a character that several tokens spell together."""
    late = grown(spelled(None, {"\ufffd": -0.5}), spelled("\U0001f43a", {"": -0.25}), END)
    assert late.log_probability == -0.75
    ended = grown(spelled("a", {"a": -0.5}), spelled(None, {"</s>": -0.25}), END)
    assert ended.log_probability == -0.75


def test_of_a_complete_answer_the_tokens_of_its_text_count_and_the_one_that_ends_it() -> None:
    tokens = [("```", -9.0), ("json\n", -9.0), ('{"a', -0.5), ('"}', -0.25), ("\n", -3.0), ("```", -9.0), ("", -0.25)]
    listed = [{"token": token, "logprob": value} for token, value in tokens]
    generation = Generation()
    choice = {"message": {"role": "assistant", "content": '{"a"}'}, "logprobs": {"content": listed}}
    generation.set_whole(json.dumps({"choices": [choice]}).encode())
    assert generation.log_probability == -1.0


def test_tool_calls_are_joined_by_index_or_else_by_id() -> None:
    by_index = grown(called(0, "a", "f", '{"x"'), called(1, "b", "g"), called(0, arguments=": 1}"), END)
    by_id = grown(called(None, "a", "f", '{"x"'), called(None, arguments=": 1}"), called(None, "b", "g"), END)
    for generation in (by_index, by_id):
        calls = generation.message().tool_calls or ()
        assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
            ("a", "f", '{"x": 1}'),
            ("b", "g", "{}"),
        ]


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        ([chunk({"content": "a"})], "truncated"),
        ([END], "empty"),
        ([chunk({"reasoning": "hm"}), END], "empty"),
        ([called(0, "a"), END], "a tool without a name"),
        ([chunk({"content": "a"}, finish="content_filter")], "'content_filter'"),
    ],
)
def test_what_is_no_whole_message_is_refused(chunks: list[bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        grown(*chunks).message()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"choices": [{"index": 0}]}', b'{"choices": [{"delta": {}}]}'])
def test_what_is_no_whole_completion_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a chat completion|no choice"):
        Generation().set_whole(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "tool_calls",
                    "index",
                    "function",
                    "logprobs",
                    "logprob",
                    "usage",
                    "error",
                ]
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(data=st.lists(VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40), max_size=4))
def test_nothing_but_a_value_error_is_raised_and_the_sum_only_falls(data: list[bytes]) -> None:
    generation, before = Generation(), 0.0
    for one in data:
        try:
            generation.add_chunk(one)
        except ValueError:
            break
        assert generation.log_sum <= before
        before = generation.log_sum
        assert generation.usage.completion_tokens >= 0
    try:
        generation.message()
    except ValueError:
        return
    assert generation.log_probability is None or generation.log_probability <= 0


@settings(deadline=None)
@given(
    events=st.lists(st.binary(max_size=20).filter(lambda data: not set(data) & set(b"\r\n") and data == data.strip())),
    cuts=st.lists(st.integers(0, 200)),
    end=st.sampled_from([b"\n\n", b"\r\n\r\n"]),
)
def test_a_stream_may_be_cut_anywhere(events: list[bytes], cuts: list[int], end: bytes) -> None:
    whole = b": hello" + end + b"".join(b"data: " + event + end for event in events)
    stream, found, places = DataLineSplitter(), [], [0, *sorted(cuts), len(whole)]
    for start, stop in pairwise(places):
        found += list(stream.feed(whole[start:stop]))
    assert found == events
