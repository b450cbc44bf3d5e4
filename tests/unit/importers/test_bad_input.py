"""Files as they are: cut off, mis-encoded, half wrong."""

import gzip
from pathlib import Path

import orjson
import pytest

from understudies.importers import reader
from understudies.importers.partial_call import PartialCall, build_recorded_call
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog, RecordedCall, SkippedLine

GOOD = b'{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}'


def written(tmp_path: Path, content: bytes) -> ParsedLog:
    path = tmp_path / "calls"
    path.write_bytes(content)
    return read_calls(path)


def reason(tmp_path: Path, line: bytes) -> str:
    """Why a line is skipped between two good ones, which are kept."""
    reading = written(tmp_path, GOOD + b"\n" + line + b"\n" + GOOD)
    assert [call.line for call in reading.calls] == [1, 3]
    (broken,) = reading.skipped
    assert broken.line == 2
    return broken.reason


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"messages": [', "not JSON"),
        (b"hello", "not JSON"),
        (b'"text"', "not a JSON object but text"),
        (b"17", "not a JSON object but a number"),
        (b"null", "not a JSON object but null"),
        (b"true", "not a JSON object but a truth value"),
        (b"[1, 2]", "not a JSON object but an array"),
        (b"{}", "no known form"),
        (b'{"messages": 5}', "messages is not a list"),
        (b'{"messages": []}', "no teacher answer"),
        (b'{"messages": ["hi"]}', "message 1 is not an object"),
        (b'{"messages": [{"content": "hi"}]}', "message 1 has no known role"),
        (b'{"messages": [{"role": "wizard", "content": "hi"}]}', "message 1 has no known role: 'wizard'"),
        (b'{"messages": [{"role": ["user"], "content": "hi"}]}', "message 1 has no known role"),
        (b'{"messages": [{"role": "user", "content": "hi"}]}', "no teacher answer"),
        (b'{"messages": [{"role": "assistant", "content": "hi"}]}', "no request before the answer"),
        (
            b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null}]}',
            "no teacher answer",
        ),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "not UTF-8"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"[" * 100_000, "n"),
        (b'{"messages": ' + b"[" * 100_000 + b"NaN" + b"]" * 100_000 + b"}", "nested too deeply"),
        (
            b'{"messages": [{"role": "user", "content": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}]}",
            "nested too deeply",
        ),
        (
            b'{"tools": [' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"], " + GOOD[1:],
            "nested too deeply",
        ),
        (b"\x00\x00\x00", "not JSON"),
        (b'{"object": "chat.completion", "choices": []}', "a stored completion without its messages"),
    ],
)
def test_a_broken_line_is_named_and_the_others_are_kept(tmp_path: Path, line: bytes, why: str) -> None:
    assert reason(tmp_path, line).startswith(why)


def test_a_broken_first_line_does_not_cost_the_others(tmp_path: Path) -> None:
    reading = written(tmp_path, b'{"messages": [\n' + GOOD + b"\n" + GOOD)
    assert [call.line for call in reading.calls] == [2, 3]
    assert [broken.line for broken in reading.skipped] == [1]


WRONG = {
    "model": 7,
    "usage": "many",
    "created": "yesterday",
    "task": ["a"],
    "tags": 5,
    "latency_ms": "slow",
    "tools": "hammer",
    "tool_choice": None,
    "response_format": "json",
    "temperature": "hot",
    "critical": "perhaps",
    "tool_calls": 3,
    "metadata": [],
    "cost": "dear",
}


@pytest.mark.parametrize("key", WRONG)
def test_an_optional_field_of_the_wrong_type_is_taken_as_absent(tmp_path: Path, key: str) -> None:
    record = {**orjson.loads(GOOD), key: WRONG[key]}
    reading = written(tmp_path, orjson.dumps(record))
    assert reading.skipped == []
    call = reading.calls[0]
    assert (call.at, call.recorded_cost, call.critical, call.latency_ms, call.tags) == (None, None, False, 0.0, {})
    assert (call.request.tools, call.request.response_format, call.request.temperature) == (None, None, None)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -3, "completion_tokens": 1e400},
        {"prompt_tokens": None, "completion_tokens": "x"},
        {"prompt_tokens": True, "cost": -1, "prompt_tokens_details": 5},
    ],
)
def test_counts_that_are_none_are_zero(tmp_path: Path, usage: dict[str, object]) -> None:
    call = written(tmp_path, orjson.dumps({**orjson.loads(GOOD), "usage": usage})).calls[0]
    assert call.usage.prompt_tokens == call.usage.completion_tokens == 0
    assert call.recorded_cost is None


@pytest.mark.parametrize(
    "created", [b"NaN", b"-Infinity", b"1e300", b"1e999", b"-5", b"true", b"99999999999999999999999", b"{}"]
)
def test_a_moment_that_is_none_is_absent(tmp_path: Path, created: bytes) -> None:
    reading = written(tmp_path, GOOD[:-1] + b',"created":' + created + b"}")
    assert [call.at for call in reading.calls] == [None]


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    line = b'{"messages":[{"role":"user","content":"a\\ud800b"},{"role":"assistant","content":"c"}]}'
    (call,) = written(tmp_path, line).calls
    assert call.request.messages[0].content == "a?b"
    call.request.model_dump_json()


def test_blank_lines_bom_and_carriage_returns_are_no_matter(tmp_path: Path) -> None:
    reading = written(tmp_path, b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n   \n" + GOOD + b"\n\n")
    assert ([call.line for call in reading.calls], reading.skipped) == ([1, 4], [])


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_holds_no_calls(tmp_path: Path, content: bytes) -> None:
    assert written(tmp_path, content) == ParsedLog("empty", [], [])


def test_a_long_message_is_read(tmp_path: Path) -> None:
    record = {"messages": [{"role": "user", "content": "x" * 10_000_000}, {"role": "assistant", "content": "ok"}]}
    (call,) = written(tmp_path, orjson.dumps(record)).calls
    assert len(call.request.messages[0].text) == 10_000_000


def test_repeated_ids_are_separate_calls(tmp_path: Path) -> None:
    line = GOOD[:-1] + b',"id":"same"}'
    assert len(written(tmp_path, line + b"\n" + line).calls) == 2


def test_a_record_that_is_there_twice_counts_once_unless_something_differs(tmp_path: Path) -> None:
    line = GOOD[:-1] + b',"id":"same","created":1780300800,"usage":{"prompt_tokens":3,"completion_tokens":1}}'
    later, other = line.replace(b"1780300800", b"1780300801"), line.replace(b"hello", b"hullo")
    nameless = line.replace(b'"id":"same",', b"")
    parsed = written(tmp_path, b"\n".join([line, later, line, other, nameless, nameless]))
    assert [call.line for call in parsed.calls] == [1, 2, 4, 5, 6]
    assert [(one.line, one.reason) for one in parsed.skipped] == [
        (3, "the same call again: its record is in the log twice")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"[" + GOOD + b"," + GOOD + b"]",
        b"[\n" + GOOD + b",\n" + GOOD + b"\n]\n",
        b'{"object": "list", "data": [' + GOOD + b"," + GOOD + b"]}",
        b'{\n "data": [\n' + GOOD + b",\n" + GOOD + b"\n]\n}",
        orjson.dumps([orjson.loads(GOOD)] * 2, option=orjson.OPT_INDENT_2),
    ],
)
def test_an_array_or_an_object_with_data_is_read(tmp_path: Path, content: bytes) -> None:
    reading = written(tmp_path, content)
    assert ([call.line for call in reading.calls], reading.skipped) == ([1, 2], [])


def test_an_array_that_is_cut_off_gives_the_objects_that_are_whole(tmp_path: Path) -> None:
    reading = written(tmp_path, b"[\n" + GOOD + b",\n" + GOOD + b',\n{"mess')
    assert [call.line for call in reading.calls] == [2, 3]
    assert [broken.line for broken in reading.skipped] == [4]


def test_one_call_written_over_several_lines_is_one_call(tmp_path: Path) -> None:
    assert len(written(tmp_path, orjson.dumps(orjson.loads(GOOD), option=orjson.OPT_INDENT_2)).calls) == 1


def test_gzip_is_told_by_its_content_and_may_have_several_members(tmp_path: Path) -> None:
    content = gzip.compress(GOOD + b"\n") + gzip.compress(GOOD + b"\n") + b"\0" * 8
    reading = written(tmp_path, content)
    assert (len(reading.calls), reading.skipped) == (2, [])


def test_a_truncated_gzip_keeps_what_was_readable_and_names_the_rest(tmp_path: Path) -> None:
    lines = b"\n".join(GOOD[:-1] + f',"latency_ms":{k * 7919 % 10007}}}'.encode() for k in range(2000))
    whole = gzip.compress(lines)
    reading = written(tmp_path, whole[: len(whole) // 2])
    assert 100 < len(reading.calls) < 2000
    assert reading.skipped == [SkippedLine(len(reading.calls) + 1, "the compressed file ends early, in this line")]


def test_a_gzip_cut_at_the_end_of_a_line_is_named_too(tmp_path: Path) -> None:
    reading = written(tmp_path, gzip.compress(GOOD + b"\n")[:-8])
    assert len(reading.calls) == 1
    assert [broken.line for broken in reading.skipped] == [2]


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(GOOD + b"\n"))
    content[-8] ^= 0xFF
    assert "damaged" in written(tmp_path, bytes(content)).skipped[-1].reason
    assert "damaged" in written(tmp_path, b"\x1f\x8bnot really gzip").skipped[-1].reason


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_calls(tmp_path / "none")


@pytest.mark.parametrize("error", [TypeError("no"), KeyError("no"), AttributeError("no"), OverflowError("no")])
def test_a_fault_of_a_reader_costs_the_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """No input is known that causes one."""
    build = build_recorded_call

    def fail_on_second(draft: PartialCall, line: int) -> RecordedCall:
        if line == 2:
            raise error
        return build(draft, line)

    monkeypatch.setattr(reader, "build_recorded_call", fail_on_second)
    assert reason(tmp_path, GOOD) == f"{reader.FAULT}: {type(error).__name__}"
