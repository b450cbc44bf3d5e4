"""Whatever a record holds: no reader fails, and nothing that is not an answer becomes one."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.log_records import RECORDS, VALUES, WORDS, changed_records, found_in

from understudies.importers.field_map import FieldMap
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_of(inner)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(changed_records())
def test_a_record_with_other_values_is_read_or_skipped_with_a_reason(record: dict[str, Any]) -> None:
    for found in found_in(record):
        assert isinstance(found, RecordedCall) or found.reason
        if isinstance(found, RecordedCall):
            found.request.model_dump_json()
            message = found.response.message
            assert message.tool_calls or message.text.strip() or isinstance(message.content, list)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(WORDS | st.sampled_from([*RECORDS[0]]) | st.text(max_size=8), VALUES, max_size=8))
def test_any_object_is_read_or_skipped(record: dict[str, Any]) -> None:
    for found in found_in(record):
        assert isinstance(found, RecordedCall) or found.reason


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_body_that_is_no_reply_is_no_answer(body: Any) -> None:
    """Where only a provider's reply can be, the answer is a text that stands in the body."""
    asked = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Is room 12 free?"}]}
    for record in (
        {"request_body": asked, "response_body": body},
        {"request": {"body": asked}, "response": {"status": 200, "body": body}, "ai_model": "m", "ai_org": "o"},
        {"custom_id": "a", "body": asked, "response": {"status_code": 200, "body": body}},
        {"schemaType": "ModelInvocationLog", "input": {"inputBodyJson": asked}, "output": {"outputBodyJson": body}},
    ):
        for found in found_in(record):
            if isinstance(found, RecordedCall) and not found.response.message.tool_calls:
                text = found.response.message.text
                # A reply's content may be parsed JSON, as some gateways write it.
                assert text[:1] == "{" or all(word in "".join(texts_of(body)) for word in text.split())


@pytest.mark.parametrize(
    "content", [b"\x00", b"PAR1", b"\xff\xfe", b"\xff\xfe\x00", b"{" * 50, b"a,b\n1,2", b'"', b"[{]"]
)
def test_any_file_is_read_or_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calls"
    path.write_bytes(content)
    assert read_calls(path).calls == []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calls"
    path.write_bytes(content)
    for skipped in read_calls(path).skipped:
        assert skipped.reason


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=20) | st.builds("messages=${}".format, st.text(max_size=12)), max_size=3))
def test_any_map_is_understood_or_refused(options: list[str]) -> None:
    with suppress(ValueError):
        field_map = FieldMap.parse(options)
        assert (field_map is None) == (not options)


TOOL_USE = {"type": "tool_use", "id": {}, "name": "find_order", "input": {}}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "billing"}]}


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (
            {"type": "GENERATION", "input": "Where is A-17?", "output": {"role": "assistant", "content": [TOOL_USE]}},
            "find_order",
        ),
        ({"input": "Sort it.", "output": [True, MESSAGE], "traceId": "t"}, "billing"),
        ({"object": "response", "input": "Sort it.", "output": [True, MESSAGE]}, "billing"),
    ],
)
def test_an_element_of_another_type_leaves_the_answer_readable(record: dict[str, Any], answer: str) -> None:
    (found,) = found_in(record)
    assert isinstance(found, RecordedCall), found.reason
    assert answer in found.response.model_dump_json()
