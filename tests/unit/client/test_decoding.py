"""Arguments and answers of several libraries are read as one form of request and answer."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseFunctionToolCall as OpenAIToolCall
from tests.support.sample_events import START
from tests.support.sightings import corpus_lines

from understudies.client import Price, Understudies, per_million
from understudies.client.calls import TeacherCall, TeacherInfo, copy_arguments
from understudies.client.corpus_line import to_corpus_line
from understudies.client.decoding.requests import decode_request
from understudies.client.decoding.responses import decode_answer
from understudies.client.decoding.stream_accumulator import accumulate_chunks
from understudies.client.encoding import InvocationEncoder
from understudies.client.errors import NotRecorded
from understudies.client.http_bodies import HttpBody
from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.capabilities import unsupported_feature
from understudies.events import Invocation, Request, Usage, UsageDetails, encode, new_id, usd
from understudies.importers.reader import read_calls


class Bag:
    """An object with attributes, as client libraries return them."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def asked(*args: Any, **kwargs: Any) -> Request:
    return decode_request(copy_arguments(args, kwargs))[0]


def prepared(answer: Any, price: Price | None) -> Invocation:
    """The event that is made of a call with this answer."""
    call = TeacherCall(TeacherInfo("triage", "", {}), START, None, copy_arguments(("hello",), {}), 5.0, answer)
    return InvocationEncoder("default", None, price, new_id, 100_000).build_invocation(call)


def test_a_call_of_anthropic() -> None:
    schema = {"type": "object"}
    request = asked(
        model="c-1",
        system=[{"type": "text", "text": "Call the tool."}],
        max_tokens=100,
        tools=[{"name": "weather", "description": "rain?", "input_schema": schema}],
        messages=[
            {"role": "user", "content": "Delft?"},
            {"role": "assistant", "content": [Bag(type="tool_use", id="t1", name="weather", input={"city": "Delft"})]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
        ],
    )
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.messages[0].content == "Call the tool."
    calls = request.messages[2].tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"city":"Delft"}'
    assert (request.messages[3].tool_call_id, request.messages[3].content) == ("t1", "rain")
    function = {"name": "weather", "description": "rain?", "parameters": schema}
    assert request.tools == ({"type": "function", "function": function},)
    assert request.parameters == {"max_tokens": 100}


def test_a_call_of_openais_responses_is_its_messages_and_one_of_a_function_is_its_arguments() -> None:
    request = asked(model="m", instructions="Sort.", input="parcel", temperature=0)
    assert [(message.role, message.content) for message in request.messages] == [
        ("system", "Sort."),
        ("user", "parcel"),
    ]
    assert asked({"model": "m", "instructions": "Sort.", "input": "parcel", "temperature": 0}) == request
    assert asked(input="parcel").messages == request.messages[1:]
    own = asked(model="m", input="parcel", language="de").messages
    assert [message.content for message in own] == ['{"input": "parcel", "language": "de", "model": "m"}']


def test_what_a_client_adds_to_a_body_is_part_of_the_call() -> None:
    extra = {"top_k": 3, "enable_search": True, "response_format": {"type": "json_object"}}
    request = asked(model="m", messages=[{"role": "user", "content": "parcel"}], extra_body=extra)
    assert request.parameters == {"top_k": 3, "enable_search": True}
    assert request.response_format == {"type": "json_object"}
    request = asked(model="m", input="parcel", prompt={"id": "pmpt_1"}, verbosity="low", extra_body={"seed": 1})
    assert [message.content for message in request.messages] == ["parcel"]
    assert request.parameters.items() >= {"prompt": {"id": "pmpt_1"}, "seed": 1}.items()
    assert asked(model="m", input="parcel", prompt="sort").messages[0].content != "parcel"


def test_a_stored_response_that_is_read_on_is_no_call() -> None:
    with pytest.raises(NotRecorded, match="stored response"):
        asked(response_id="resp_1", starting_after=7)


def test_a_system_prompt_beside_a_chat_is_its_first_message() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    request = asked(
        system="Sort.",
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
        ],
        response_format=wanted,
        user="u",
        seed=1,
    )
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    calls = request.messages[2].tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"a": 1}'
    assert (request.response_format, request.parameters) == (wanted, {"seed": 1})


def test_output_of_a_response_is_input_of_the_next() -> None:
    call = OpenAIToolCall(type="function_call", call_id="c1", name="look", arguments='{"a":1}')
    items = [{"role": "user", "content": "hi"}, call, {"type": "function_call_output", "call_id": "c1", "output": "x"}]
    messages = asked(model="m", input=items).messages
    assert [message.role for message in messages] == ["user", "assistant", "tool"]
    assert messages[1].tool_calls is not None
    assert messages[1].tool_calls[0].function.arguments == '{"a":1}'


def test_messages_of_langchain_with_calls_beside_blocks() -> None:
    blocks = [{"type": "text", "text": "so"}, {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}}]
    call = {"name": "look", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    other = {"name": "find", "args": {}, "id": "c2", "type": "tool_call"}
    messages = asked(
        [
            Bag(type="system", content="Sort."),
            Bag(
                type="human",
                content=[{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "u"}}],
            ),
            Bag(type="ai", content=blocks, tool_calls=[call, other]),
            Bag(type="tool", content="found", tool_call_id="c1"),
        ]
    ).messages
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool"]
    assert messages[1].content == [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "u"}}]
    calls = messages[2].tool_calls or ()
    assert [(one.id, one.function.name, one.function.arguments) for one in calls] == [
        ("c1", "look", '{"a":1}'),
        ("c2", "find", "{}"),
    ]
    assert (messages[3].tool_call_id, messages[3].content) == ("c1", "found")


@pytest.mark.parametrize("content", ["fine", [{"type": "text", "text": "fine"}]])
def test_an_answer_of_langchain(content: Any) -> None:
    answer = decode_answer(
        Bag(
            type="ai",
            content=content,
            tool_calls=[{"name": "look", "args": {"a": 1}, "id": "c1"}],
            usage_metadata={"input_tokens": 9, "output_tokens": 2, "input_token_details": {"cache_read": 4}},
            response_metadata={"model_name": "m-1", "finish_reason": "tool_calls"},
        )
    )
    assert (answer.model, answer.response.finish_reason) == ("m-1", "tool_calls")
    assert answer.response.message.content == "fine"
    assert [call.function.arguments for call in answer.response.message.tool_calls or ()] == ['{"a":1}']
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)


def test_fields_of_a_library_that_are_not_json_are_no_part_of_a_message() -> None:
    item = Bag(role="user", content="hi", sent=START, _private=object(), send=lambda: None)
    assert [(message.role, message.content) for message in asked([item]).messages] == [("user", "hi")]
    given = {"role": "user", "content": "hi", "sent": START}
    assert asked([given]).messages == asked([item]).messages


def test_integers_of_more_than_64_bits_are_read_as_the_router_reads_them() -> None:
    body: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"n": 2**70}}]}],
    }
    calls = asked(**body).messages[0].tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"n":1180591620717411303424}'
    assert asked([{"role": "user", "content": "hi"}], seed=2**70).parameters == {"seed": float(2**70)}


def test_an_answer_of_anthropic() -> None:
    answer = decode_answer(
        Bag(
            model="c-1",
            stop_reason="tool_use",
            content=[
                Bag(type="thinking", thinking="hm"),
                Bag(type="text", text="Let me see."),
                Bag(type="tool_use", id="t1", name="w", input={"a": 1}),
            ],
            usage=Bag(input_tokens=10, output_tokens=4, cache_read_input_tokens=30, cache_creation_input_tokens=None),
        )
    )
    assert (answer.model, answer.response.finish_reason) == ("c-1", "tool_calls")
    assert answer.response.message.content == "Let me see."
    assert answer.usage == Usage(prompt_tokens=40, completion_tokens=4, cached_tokens=30)


@pytest.mark.parametrize(
    "messages",
    [
        [("system", "Sort."), ("human", "parcel")],
        [Bag(type="system", content="Sort."), Bag(type="human", content="parcel")],
        Bag(to_messages=lambda: [Bag(type="system", content="Sort."), Bag(type="human", content="parcel")]),
        [{"role": "system", "content": "Sort."}, "parcel"],
        {"messages": [{"role": "SYSTEM", "content": "Sort."}, {"role": "user", "content": "parcel"}]},
    ],
    ids=["tuples", "objects", "prompt value", "mixed", "body"],
)
def test_messages_in_any_form(messages: Any) -> None:
    assert [(m.role, m.content) for m in asked(messages).messages] == [("system", "Sort."), ("user", "parcel")]


@pytest.mark.parametrize(
    ("args", "kwargs", "content"),
    [
        (("hello",), {"temperature": 0}, "hello"),
        ((), {"prompt": "hello", "model": "m"}, "hello"),
        (("hello", "de"), {}, '{"args": ["hello", "de"]}'),
        ((), {"text": "hello", "language": "de"}, '{"language": "de", "text": "hello"}'),
        (({"ticket": 7},), {}, '{"ticket": 7}'),
        (([1, 2],), {}, "[1, 2]"),
    ],
)
def test_what_a_plain_function_was_asked(args: tuple[Any, ...], kwargs: dict[str, Any], content: str) -> None:
    assert asked(*args, **kwargs).messages[0].content == content


@pytest.mark.parametrize("answer", [None, object(), {"choices": [{"index": 0}]}, {1, 2}])
def test_what_is_no_answer_is_not_recorded(answer: Any) -> None:
    with pytest.raises(NotRecorded):
        decode_answer(answer)


def test_a_number_of_tokens_that_cannot_be_is_not_recorded() -> None:
    answer = {"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 2**32, "completion_tokens": 5}}
    assert decode_answer(answer).usage == Usage(completion_tokens=5)


def test_a_price_per_million_counts_cached_tokens_apart() -> None:
    price = per_million("2", "10", cached="0.5")
    used = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert price("any", used) == usd("2.4")
    assert per_million(2, 10)("any", used) == usd(3)


def test_a_price_per_million_tells_nothing_of_usage_that_nobody_counted() -> None:
    assert per_million(2, 10)("any", Usage()) is None
    assert per_million(0, 0)("any", Usage()) == 0


@pytest.mark.parametrize(
    ("price", "cost", "free"),
    [
        (None, None, False),
        (per_million(1, 1), "0.000003", False),
        (lambda model, usage: usd(0), "0", True),
        (lambda model, usage: None, None, False),
    ],
)
def test_a_teacher_that_costs_nothing_is_told_from_one_whose_price_nobody_named(
    tmp_path: Path, price: Price | None, cost: str | None, free: bool
) -> None:
    seen = prepared({"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 3}}, price)
    assert (seen.cost_usd, seen.free, seen.priced) == (usd(cost or 0), free, cost is not None)
    line = to_corpus_line(seen)
    assert line is not None
    path = tmp_path / "corpus.jsonl"
    for written in (json.dumps(line), encode(seen).decode()):
        path.write_text(written)
        [read] = read_calls(path).calls
        assert read.recorded_cost == (None if cost is None else usd(cost))


def test_the_choice_of_index_0_is_the_answer_wherever_it_stands() -> None:
    choices = [{"index": place, "message": {"content": text}} for place, text in ((1, "second"), (0, "first"))]
    response = prepared({"choices": choices}, None).response
    assert response is not None
    assert response.message.content == "first"


def test_a_turn_that_goes_on_is_no_line_of_a_corpus() -> None:
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "let me look"}]}
    lines = [to_corpus_line(prepared({**message, "stop_reason": why}, None)) for why in ("end_turn", "pause_turn")]
    assert [line is not None for line in lines] == [True, False]


def test_a_corpus_is_what_a_backtest_reads(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"

    def teacher(**body: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": "shipping"}
        usage = {"prompt_tokens": 100, "completion_tokens": 2}
        return {"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}

    with Understudies(corpus=path, price=per_million(1, 1)) as client:
        shadowed = client.shadow(teacher, "triage", tags={"team": "a"})
        for n in range(3):
            shadowed(messages=[{"role": "user", "content": f"parcel {n}"}], temperature=0, seed=n)
    reading = read_calls(path)
    assert reading.skipped == []
    assert [call.request.messages[-1].content for call in reading.calls] == [f"parcel {n}" for n in range(3)]
    call, line = reading.calls[0], corpus_lines(path)[0]
    assert (call.task, call.model, call.response.message.content) == ("triage", "m-1", "shipping")
    assert call.usage == Usage(prompt_tokens=100, completion_tokens=2)
    assert call.recorded_cost == usd("0.000102")
    assert call.tags["team"] == "a"
    assert call.at is not None
    assert call.at.timestamp() == pytest.approx(line["created"])


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "Provider returned error", "code": 502}},
        Bag(choices=None, error={"message": "Provider returned error"}, id="c", model="m"),
        {"choices": [{"message": {"content": "half"}, "finish_reason": "error", "error": {"message": "x"}}]},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ],
)
def test_an_error_of_the_provider_is_no_answer(answer: Any) -> None:
    with pytest.raises(AnswerError):
        decode_answer(answer)


def test_a_function_that_answers_with_an_error_of_its_own_is_an_answer() -> None:
    for answer in ({"error": "no such street", "city": None}, {"error": None, "label": "x"}, {"error": {"row": 3}}):
        assert decode_answer(answer).response.message.content == json.dumps(answer)


def test_an_error_among_the_chunks_of_a_stream_is_told() -> None:
    error = {"message": "upstream died", "code": 502}
    half = {"choices": [{"index": 0, "delta": {"content": "ha"}, "finish_reason": None}]}
    for last in ({"choices": [], "error": error}, {"error": error}):
        assert accumulate_chunks([half, last]).failed == "upstream died"
    assert accumulate_chunks([{"error": error}]).failed == "upstream died"
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": error}]}
    assert accumulate_chunks([half, ended]).failed == "upstream died"


@pytest.mark.parametrize("more", [{"audio": {"id": "audio_1"}}, {"images": [{"type": "image_url"}]}])
def test_audio_and_images_are_kept_and_are_no_lesson(more: dict[str, Any]) -> None:
    choice = Bag(index=0, finish_reason="stop", message=Bag(role="assistant", content="yes", **more))
    assert not decode_answer(Bag(choices=[choice], model="m")).response.says_something
    request = asked(messages=[{"role": "user", "content": "?"}, {"role": "assistant", **more}])
    assert unsupported_feature(request) == "messages"
    langchain = asked([Bag(type="ai", content="", additional_kwargs={"audio": {"id": "audio_1"}})])
    assert unsupported_feature(langchain) == "messages"


PICTURE = {"type": "image_url", "image_url": {"url": "u"}}


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": "yes"}, PICTURE]},
        {"content": ["yes", {"type": "media", "mime_type": "audio/wav", "data": "AA=="}]},
        {"content": "yes", "additional_kwargs": {"images": [PICTURE]}},
        {"content": "yes", "additional_kwargs": {"audio": {"id": "audio_1"}}},
    ],
)
def test_an_answer_of_langchain_with_more_than_text_is_no_lesson(message: dict[str, Any]) -> None:
    about = {"finish_reason": "stop"}
    assert not decode_answer(Bag(type="ai", response_metadata=about, **message)).response.says_something
    chunks = [Bag(type="AIMessageChunk", **message), Bag(type="AIMessageChunk", content="", response_metadata=about)]
    streamed = accumulate_chunks(chunks).to_answer().response
    assert not streamed.says_something
    assert (streamed.message.text, streamed.finish_reason) == ("yes", "stop")


def test_a_refusal_beside_the_content_of_langchain_is_one() -> None:
    refused = {"content": "", "additional_kwargs": {"refusal": "I cannot."}}
    expected = [{"type": "refusal", "refusal": "I cannot."}]
    assert decode_answer(Bag(type="ai", **refused)).response.message.content == expected
    streamed = accumulate_chunks([Bag(type="AIMessageChunk", **refused), Bag(type="AIMessageChunk", content="")])
    assert streamed.to_answer().response.message.content == expected


@pytest.mark.parametrize("image", ["aGk=", b"hi", {"url": "u"}])
def test_images_in_any_form_are_seen_by_no_student(image: Any) -> None:
    assert unsupported_feature(asked(messages=[{"role": "user", "content": "?", "images": [image]}])) == "messages"
    drawn = {"images": [{"type": "image"} if isinstance(image, bytes) else image]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes", **drawn}}
    assert not decode_answer({"choices": [choice]}).response.says_something


@pytest.mark.parametrize(("told", "reason"), [("pause_turn", "pause_turn"), ("max_tokens", "length")])
def test_why_an_answer_of_langchain_ended_is_read_in_the_words_of_anthropic(told: str, reason: str) -> None:
    about = {"stop_reason": told}
    chunks = [
        Bag(type="AIMessageChunk", content="yes"),
        Bag(type="AIMessageChunk", content="", response_metadata=about),
    ]
    streamed = accumulate_chunks(chunks).to_answer().response
    whole = decode_answer(Bag(type="ai", content="yes", response_metadata=about)).response
    assert (streamed.finish_reason, whole.finish_reason) == (reason, reason)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"cache_read": 10, "cache_creation": 40}, UsageDetails(cache_write_tokens=40)),
        (
            {"cache_read": 10, "cache_creation": 0, "ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 25},
            UsageDetails(cache_write_tokens=40, cache_write_1h_tokens=25),
        ),
        (
            {"cache_read": 10, "cache_creation": 40, "ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 25},
            UsageDetails(cache_write_tokens=40, cache_write_1h_tokens=25),
        ),
        ({"priority_cache_read": 10, "priority": 90}, UsageDetails(service_tier="priority")),
        ({"cache_read": 10, "audio": 7}, UsageDetails(audio_prompt_tokens=7)),
        ({"cache_read": 10}, None),
    ],
)
def test_what_langchain_tells_of_a_price_is_kept(details: dict[str, int], expected: UsageDetails | None) -> None:
    counts = {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105, "input_token_details": details}
    about = {"finish_reason": "stop", "service_tier": "priority" if "priority" in details else "default"}
    usage = decode_answer(Bag(type="ai", content="yes", usage_metadata=counts, response_metadata=about)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (100, 5, 10)
    assert usage.details == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"usage": {"service_tier": "batch", "inference_geo": "us", "server_tool_use": {"web_search_requests": 2}}},
            UsageDetails(service_tier="batch+us", web_searches=2),
        ),
        ({"usage": {"service_tier": "standard", "speed": "fast"}}, UsageDetails(service_tier="fast")),
        ({"token_usage": {"cost": 0.25}}, UsageDetails(stated_cost_usd=usd("0.25"))),
        ({"token_usage": {"cost_in_usd_ticks": 2_500_000_000}}, UsageDetails(stated_cost_usd=usd("0.25"))),
        ({"token_usage": None, "usage": [1], "service_tier": "flex"}, UsageDetails(service_tier="flex")),
    ],
)
def test_what_a_provider_tells_of_a_price_beside_langchains_counts_is_kept(
    told: dict[str, Any], expected: UsageDetails
) -> None:
    counts = {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105}
    message = {"usage_metadata": counts, "response_metadata": {"model_name": "m", **told}}
    usage = decode_answer(Bag(type="ai", content="yes", **message)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.details) == (100, 5, expected)
    chunks = [Bag(type="AIMessageChunk", content="yes"), Bag(type="AIMessageChunk", content="", **message)]
    assert accumulate_chunks(chunks).to_answer().usage == usage


def test_anthropics_counts_in_a_chat_keep_their_price() -> None:
    counts = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_1h_input_tokens": 60, "ephemeral_5m_input_tokens": 40},
        "service_tier": "priority",
        "server_tool_use": {"web_search_requests": 1},
    }
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}], "usage": counts}
    assert decode_answer(answer).usage == Usage(
        prompt_tokens=117,
        completion_tokens=5,
        cached_tokens=7,
        details=UsageDetails(cache_write_tokens=100, cache_write_1h_tokens=60, web_searches=1, service_tier="priority"),
    )


def test_the_tier_of_a_stream_is_that_of_its_price() -> None:
    said = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}], "service_tier": "flex"}
    counted = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}, "service_tier": "flex"}
    answer = accumulate_chunks([said, counted]).to_answer()
    assert answer.usage.details == UsageDetails(service_tier="flex")
    begun = {"model": "m", "service_tier": None, "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    assert accumulate_chunks([begun, said, counted]).to_answer().usage.details == UsageDetails(service_tier="flex")


def test_what_a_broken_stream_has_told_of_its_usage_is_its_cost() -> None:
    counts = {"input_tokens": 100, "output_tokens": 1}
    message = {"type": "message", "role": "assistant", "model": "c", "content": [], "usage": counts}
    begun = {"type": "message_start", "message": message}
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yes"}}
    call = TeacherCall(
        TeacherInfo("t", "", {}), START, None, copy_arguments(("hi",), {}), 5.0, None, [begun, opened, said], "dropped"
    )
    event = InvocationEncoder("default", None, per_million(10, 0), new_id, 100_000).build_invocation(call)
    assert (event.response, event.error, event.model) == (None, "dropped after 3 chunks", "c")
    assert (event.usage, event.cost_usd) == (Usage(prompt_tokens=100, completion_tokens=1), usd("0.001"))

    sent = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (begun, opened, said))
    body = HttpBody(sent, is_stream=True, error="dropped")
    event = InvocationEncoder("default", None, per_million(10, 0), new_id, 100_000).build_invocation(
        dataclasses.replace(call, answer=body, chunks=None, error=None)
    )
    assert (event.response, event.error, event.model) == (None, "dropped after 3 chunks", "c")
    assert (event.usage, event.cost_usd) == (Usage(prompt_tokens=100, completion_tokens=1), usd("0.001"))

    class Odd:
        def model_dump(self, **_: Any) -> Any:
            raise RuntimeError("odd")

    refused = dataclasses.replace(call, answer=Odd(), chunks=None)
    odd = InvocationEncoder("default", None, None, new_id, 100_000).build_invocation(refused)
    assert (odd.error, odd.usage) == ("dropped", Usage())
    unreadable = InvocationEncoder("default", None, None, new_id, 100_000).build_invocation(
        dataclasses.replace(call, chunks=[{"type": "ping"}])
    )
    assert unreadable.usage == Usage()
