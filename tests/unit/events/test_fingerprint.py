import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from understudies.events import Request, discovered_task, fingerprint, masked, position, split_of, template_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
ANY_TEXT = st.text(max_size=60)  # lone surrogates included
WORDS = st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8), min_size=1, max_size=8)
BLANKS = st.text(" \t\n\r\u00a0\u2003", min_size=1, max_size=4)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)


def asked(content: Any, role: str = "user", **rest: Any) -> Request:
    return Request.model_validate({"messages": [{"role": role, "content": content}], **rest})


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"a": [value]}
    return value


def test_fingerprints_never_change() -> None:
    assert fingerprint(asked("abc")) == "8d31869a55c9e167140c92ba8f6fe5f4f3e7b694c9d429a3c49eea5ac2fe46c5"


MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "System", "assistant", "tool"])},
    optional={
        "content": ANY_TEXT
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}) | OBJECTS, max_size=3)
        | st.none(),
        "tool_calls": st.lists(
            st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": ANY_TEXT, "arguments": ANY_TEXT})}),
            max_size=2,
        ),
    },
)


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.none() | st.lists(OBJECTS, max_size=2), st.none() | OBJECTS)
def test_the_canonical_text_is_that_of_a_json_encoder(messages: Any, tools: Any, wanted: Any) -> None:
    request = Request.model_validate({"messages": messages, "tools": tools, "response_format": wanted})
    canonical = {
        "messages": [
            {
                "role": message.role,
                "content": message.content
                if isinstance(message.content, list) and any(part.get("type") != "text" for part in message.content)
                else " ".join(message.text.split()),
                "tool_calls": [[call.function.name, call.function.arguments] for call in message.tool_calls or ()],
            }
            for message in request.messages
        ],
        "tools": request.tools,
        "response_format": request.response_format,
    }
    written = json.dumps(canonical, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    encodable = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    assert fingerprint(request) == hashlib.sha256(encodable).hexdigest()


@given(WORDS, st.data())
def test_runs_of_white_space_do_not_count(words: list[str], data: st.DataObject) -> None:
    blanks = [data.draw(BLANKS) for _ in words]
    spaced = data.draw(BLANKS) + "".join(word + blank for word, blank in zip(words, blanks, strict=True))
    assert fingerprint(asked(spaced)) == fingerprint(asked(" ".join(words)))


@given(st.sampled_from(["user", "system", "assistant", "tool", "developer"]), st.data())
def test_the_case_of_roles_does_not_count(role: str, data: st.DataObject) -> None:
    mixed = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in role)
    assert fingerprint(asked("x", mixed)) == fingerprint(asked("x", role))


@given(OBJECTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(tool: dict[str, Any], order: random.Random) -> None:
    one = asked("x", tools=[tool], response_format=tool)
    other = asked("x", tools=[shuffled(tool, order)], response_format=shuffled(tool, order))
    assert fingerprint(one) == fingerprint(other)


@given(TEXT)
def test_text_in_parts_is_the_same_text(text: str) -> None:
    assert fingerprint(asked([{"type": "text", "text": text}])) == fingerprint(asked(text))


@given(TEXT, TEXT)
def test_different_texts_have_different_fingerprints(one: str, other: str) -> None:
    same = one.split() == other.split()
    assert (fingerprint(asked(one)) == fingerprint(asked(other))) is same


def test_what_decides_the_answer_counts_and_sampling_does_not() -> None:
    base = fingerprint(asked("x"))
    assert fingerprint(asked("x", temperature=1.0, parameters={"seed": 7})) == base
    assert fingerprint(asked("x", tools=[{"name": "t"}])) != base
    assert fingerprint(asked("x", response_format={"type": "json_object"})) != base
    assert fingerprint(asked([{"type": "image_url", "image_url": {"url": "x"}}])) != base
    assert fingerprint(asked("x", "system")) != base


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3))
def test_any_string_of_python_has_a_fingerprint(text: str, tool: dict[str, str]) -> None:
    assert len(fingerprint(asked(text, tools=[tool]))) == 64
    assert re.fullmatch(r"\S+-[0-9a-f]{8}", discovered_task(asked(text, "system")))
    assert 0 <= position(text, "salt") < 1


def test_a_surrogate_pair_is_its_character() -> None:
    assert fingerprint(asked("\ud83d\ude00")) == fingerprint(asked("😀"))


@pytest.mark.parametrize("depth", [60, 130, 10_000])
@pytest.mark.parametrize("field", ["content", "tools", "response_format", "parameters"])
def test_deep_nesting_is_refused(field: str, depth: int) -> None:
    deep = nested(depth)
    values: dict[str, Any] = {"content": [{"a": deep}], "tools": [deep], "response_format": deep, "parameters": deep}
    body = {"messages": [{"role": "user", "content": "x"}], field: values[field]}
    if field == "content":
        body = {"messages": [{"role": "user", "content": values[field]}]}
    with pytest.raises(ValidationError):
        Request.model_validate(body)


def test_what_is_accepted_can_be_written_and_read_back() -> None:
    request = asked([{"a": nested(48)}], parameters=nested(49))
    assert Request.model_validate_json(request.model_dump_json()) == request
    assert len(fingerprint(request)) == 64


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b'{"messages":[{"role":"user","content":"\xff"}]}', b"[" * 100_000, b""]
)
def test_bytes_that_are_no_json_are_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        Request.model_validate_json(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    for body in ({"parameters": {"a": [number]}}, {"tools": [{"a": number}]}, {"temperature": number}):
        with pytest.raises(ValidationError):
            asked("x", **body)


def test_splits_are_80_10_10() -> None:
    counts = Counter(split_of(fingerprint(asked(f"request {n}"))) for n in range(20_000))
    # five standard deviations
    assert abs(counts["train"] - 16_000) < 283
    assert abs(counts["validation"] - 2_000) < 213
    assert abs(counts["evidence"] - 2_000) < 213


def test_since_splits_were_70_10_20_inputs_moved_from_evidence_to_training_only() -> None:
    for number in range(2_000):
        key = fingerprint(asked(f"request {number}"))
        place = position(key, "split")
        before = "train" if place < 0.7 else "validation" if place < 0.8 else "evidence"
        assert split_of(key) == ("train" if place >= 0.9 else before)


@given(TEXT, TEXT)
def test_positions_are_in_the_unit_interval_and_depend_on_the_salt(key: str, salt: str) -> None:
    assert 0 <= position(key, salt) < 1
    assert position(key, salt) == position(key, salt)
    assert position(key, salt) != position(key, salt + "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Today is Monday, 3 March 2026.", "today is <date>, <n> <date> <n>."),
        ("ticket 7f8d3c1e-1b2c-4d5e-8f90-123456789abc", "ticket <id>"),
        ("order\n\tABC123DEF456GHI  now", "order <id> now"),
        ("from 12:30 to 1,000.50", "from <n> to <n>"),
    ],
)
def test_what_varies_in_a_prompt_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@given(ANY_TEXT)
def test_masking_keeps_no_digit_runs_apart(text: str) -> None:
    assert masked(text) == masked("  " + text + "\n")


_ID_BY_DEFINITION = re.compile(r"\b(?=[0-9a-zA-Z_-]*\d)(?=[0-9a-zA-Z_-]*[a-zA-Z])[0-9a-zA-Z_-]{12,}\b")


@given(st.text("aab1-_- é٣", max_size=40))
def test_an_id_is_a_run_with_letters_and_digits_between_word_boundaries(text: str) -> None:
    assert masked(text) == masked(_ID_BY_DEFINITION.sub("<id>", text))


@pytest.mark.parametrize("piece", ["a-", "1-", "a", "-", "1,", "a1", "0a1b2c3d-", "a é", "<n>"])
def test_masking_takes_no_longer_than_the_text(piece: str) -> None:
    begun = time.process_time()
    masked(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 1  # a quadratic mask would take minutes


def test_a_mask_is_kept_for_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    before = masked("kept for the next call 1")
    monkeypatch.setattr(sys.modules[masked.__module__], "_MASKS", ())
    assert masked("kept for the next call 1") == before


def test_of_a_very_long_prompt_only_the_ends_count() -> None:
    def prompt(middle: str, day: str) -> str:
        return f"Today is {day}. " + "rules " * 3000 + middle * 3000 + "more rules " * 3000 + f"On {day} answer."

    assert masked(prompt("one ", "9 May")) == masked(prompt("other ", "17 September"))
    assert masked("Other. " + prompt("one ", "9 May")) != masked(prompt("one ", "9 May"))
    assert len(masked(prompt("one ", "9 May"))) < 8300


def test_calls_that_differ_in_the_masked_only_are_one_task() -> None:
    one, other = (asked(f"You sort tickets. Today is {day}.", "system") for day in ("2026-03-01", "2026-03-02"))
    assert template_of(one) == template_of(other)
    assert discovered_task(one) == discovered_task(other)
    assert discovered_task(asked("You sort mail.", "system")) != discovered_task(one)


@given(OBJECTS)
def test_a_fingerprint_survives_the_bus(tool: dict[str, Any]) -> None:
    request = asked(json.dumps(tool), tools=[tool])
    assert fingerprint(Request.model_validate_json(request.model_dump_json())) == fingerprint(request)
