"""What a student may be asked."""

from typing import Any

import pytest

from understudies.dialects.base import Api
from understudies.dialects.capabilities import student_can_answer, unsupported_feature
from understudies.dialects.registry import dialect_of
from understudies.events import fingerprint

SMALL: dict[Api, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi", "store": False},
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}
TEXT = [{"type": "text", "text": "hi"}]
PICTURE = {"type": "image_url", "image_url": {"url": "u"}}
DRAWING = {"type": "image", "source": {"type": "url", "url": "u"}}
FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        ("chat", {}),
        ("chat", {"max_tokens": 10, "n": 1, "modalities": ["text"], "logprobs": False, "tools": [FUNCTION]}),
        ("chat", {"top_p": 0.5, "stop": ["x"], "seed": 1, "service_tier": "flex", "verbosity": "low", "user": "u"}),
        ("chat", {"logit_bias": {}, "plugins": [], "chat_template_kwargs": {"enable_thinking": False}}),
        ("chat", {"messages": [{"role": "user", "content": [*TEXT, *TEXT]}]}),
        ("messages", {"messages": [{"role": "user", "content": [*TEXT, *TEXT]}]}),
        ("chat", {"tools": [FUNCTION], "tool_choice": FUNCTION, "thinking": {"type": "disabled"}}),
        (
            "responses",
            {"background": False, "previous_response_id": None, "tools": [{"type": "function", "name": "f"}]},
        ),
        ("responses", {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}),
        ("messages", {"system": "s", "tool_choice": {"type": "any"}, "tools": [{"name": "f", "input_schema": {}}]}),
        ("messages", {"thinking": {"type": "disabled"}}),
        ("chat", {"logit_bias": {}, "chat_template_kwargs": {}, "plugins": [], "web_search_options": None}),
        ("chat", {"tools": [{"function": {"name": "f"}}]}),
    ],
)
def test_a_student_may_be_asked_what_it_can_give(api: Api, fields: dict[str, Any]) -> None:
    assert student_can_answer(dialect_of(api).decode_request({**SMALL[api], **fields}).request)


SPOKEN = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
DRAWN = {"role": "assistant", "content": "Here it is:", "images": [PICTURE]}
SEEN = {"role": "tool", "tool_call_id": "a", "content": [PICTURE]}
SHOWN = {"type": "tool_result", "tool_use_id": "a", "content": [DRAWING]}
SCREEN = {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "u"}]}
AGAIN = {"role": "user", "content": "and now?"}


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        ("chat", {"messages": [AGAIN, SPOKEN, AGAIN]}),
        ("chat", {"messages": [AGAIN, DRAWN, AGAIN]}),
        ("chat", {"messages": [AGAIN, SEEN, AGAIN]}),
        ("chat", {"messages": [{"role": "user", "content": [{"text": "this?"}, {"image": "u"}]}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, AGAIN]}),
        ("messages", {"messages": [{"role": "user", "content": [SHOWN]}, AGAIN]}),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [DRAWING]}]}]}),
        ("responses", {"input": [SCREEN, AGAIN]}),
        ("responses", {"input": [{"role": "assistant", "content": [{"type": "output_audio"}]}, AGAIN]}),
    ],
)
def test_what_an_earlier_turn_showed_or_said_aloud_no_student_sees(api: Api, fields: dict[str, Any]) -> None:
    assert unsupported_feature(dialect_of(api).decode_request({**SMALL[api], **fields}).request) == "messages"


def test_histories_that_differ_only_in_what_stands_beside_the_content_are_different_inputs() -> None:
    said: list[dict[str, Any]] = [
        {"audio": {"id": "audio_1"}},
        {"audio": {"id": "audio_2"}},
        {"images": [PICTURE]},
        {"refusal": "I cannot."},
        {"audio": None, "images": [], "refusal": None},
    ]
    bodies = [{**SMALL["chat"], "messages": [AGAIN, {"role": "assistant", **one}, AGAIN]} for one in said]
    assert len({fingerprint(dialect_of("chat").decode_request(body).request) for body in bodies}) == len(said)
    plain = {**SMALL["chat"], "messages": [AGAIN, {"role": "assistant"}, AGAIN]}
    known = fingerprint(dialect_of("chat").decode_request(plain).request)
    assert fingerprint(dialect_of("chat").decode_request(bodies[-1]).request) == known


@pytest.mark.parametrize("more", [{"images": [PICTURE]}, {"audio": {"id": "audio_1", "transcript": "Here it is"}}])
@pytest.mark.parametrize("text", ["Here it is", None])
def test_an_answer_with_audio_or_images_is_no_lesson(more: dict[str, Any], text: str | None) -> None:
    message = {"role": "assistant", "content": text, **more}
    answered = dialect_of("chat").decode_response({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert not answered.response.says_something
    assert answered.response.message.text == (text or "")
    chunks = [{"role": "assistant"}, {"content": text}, more, {"images": []}]
    stream = dialect_of("chat").stream_accumulator()
    for delta in chunks:
        stream.add_chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    assert not stream.answer().response.says_something


@pytest.mark.parametrize(
    ("api", "fields", "why"),
    [
        ("chat", {"n": 2}, "n"),
        ("chat", {"logprobs": True}, "logprobs"),
        ("chat", {"modalities": ["text", "audio"]}, "modalities"),
        ("chat", {"audio": {"voice": "alloy"}}, "audio"),
        ("chat", {"functions": [{"name": "f"}]}, "functions"),
        ("chat", {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ("chat", {"web_search_options": {}}, "web_search_options"),
        ("chat", {"something_new": {}}, "something_new"),
        ("messages", {"context_management": {}}, "context_management"),
        ("chat", {"tools": [{"google_search": {}}]}, "tools"),
        ("chat", {"tools": [FUNCTION, {"type": None, "code_execution": {}}]}, "tools"),
        *(
            ("chat", {name: value}, name)
            for name, value in {
                "guided_json": {"type": "object"},
                "structured_outputs": {"choice": ["a", "b"]},
                "plugins": [{"id": "web"}],
                "search_parameters": {"mode": "on"},
                "logit_bias": {"1": -100},
                "chat_template_kwargs": {"enable_thinking": True},
                "something_new": 1,
            }.items()
        ),
        ("chat", {"tools": [FUNCTION, {"type": "custom", "custom": {"name": "f"}}]}, "tools"),
        ("chat", {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ("chat", {"messages": [{"role": "user", "content": [*TEXT, PICTURE]}]}, "messages"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages"),
        (
            "responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]},
            "messages",
        ),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "messages"),
        ("messages", {"messages": [{"role": "user", "content": [*TEXT, DRAWING]}]}, "messages"),
        ("responses", {"store": True}, "store"),
        ("responses", {"store": None}, "store"),
        ("responses", {"previous_response_id": "r"}, "previous_response_id"),
        ("responses", {"conversation": {"id": "c"}}, "conversation"),
        ("responses", {"prompt": {"id": "p"}}, "prompt"),
        ("responses", {"background": True}, "background"),
        ("responses", {"include": ["message.output_text.logprobs"]}, "logprobs"),
        ("responses", {"top_logprobs": 2}, "top_logprobs"),
        ("responses", {"input": [{"type": "item_reference", "id": "i"}]}, "provider_state"),
        *(
            ("responses", {"tools": [{"type": kind}]}, "tools")
            for kind in ("web_search", "file_search", "code_interpreter", "mcp", "computer", "namespace")
        ),
        ("messages", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
        ("messages", {"thinking": {"type": "adaptive"}}, "thinking"),
        ("messages", {"mcp_servers": [{"name": "s"}]}, "mcp_servers"),
        ("messages", {"container": "c"}, "container"),
        ("messages", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools"),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
            "provider_state",
        ),
    ],
)
def test_what_no_student_can_give_is_named(api: Api, fields: dict[str, Any], why: str) -> None:
    request = dialect_of(api).decode_request({**SMALL[api], **fields}).request
    assert unsupported_feature(request) == why
    assert not student_can_answer(request)


def test_a_part_of_no_known_type_is_beyond_a_student_whatever_stands_there() -> None:
    odd = {"messages": [{"role": "user", "content": [{"type": [], "text": "hi"}]}]}
    assert unsupported_feature(dialect_of("chat").decode_request({**SMALL["chat"], **odd}).request) == "messages"


def test_a_response_is_kept_by_the_provider_unless_the_caller_says_no() -> None:
    assert unsupported_feature(dialect_of("responses").decode_request({"model": "m", "input": "hi"}).request) == "store"
