"""The containers of records: tables, folders, patterns, encodings, and objects without newlines between."""

import codecs
import csv
from pathlib import Path

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from understudies.importers.field_map import FieldMap
from understudies.importers.reader import iter_calls, read_calls
from understudies.importers.recorded_call import RecordedCall, SkippedLine

MESSAGES = [{"role": "user", "content": "Is room 12 free?"}, {"role": "assistant", "content": "yes"}]
LINE = orjson.dumps({"messages": MESSAGES})


def answers(source: Path) -> list[object]:
    parsed = read_calls(source)
    assert parsed.skipped == []
    return [call.response.message.content for call in parsed.calls]


def test_parquet_with_nested_columns_and_times(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    rows = [{"messages": MESSAGES, "task": "rooms", "created": "2026-06-01T08:00:00Z"}] * 700
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    parsed = read_calls(path)
    assert (len(parsed.calls), parsed.skipped, parsed.calls[-1].line) == (700, [], 700)
    assert (parsed.calls[0].task, parsed.format) == ("rooms", "native")


def test_parquet_of_spans_in_flat_columns(tmp_path: Path) -> None:
    path = tmp_path / "spans.parquet"
    row = {
        "context.span_id": "s",
        "context.trace_id": "t",
        "span_kind": "LLM",
        "attributes.llm.model_name": "gpt-4.1",
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": "Is room 12 free?"}],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "yes"}],
    }
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    assert answers(path) == ["yes"]


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    assert "damaged" in read_calls(path).skipped[0].reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_by_its_header_with_rows_over_several_lines(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "export.dat"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["prompt", "completion", "model"])
        writer.writerow(["Is room 12\nfree?", "yes", "gpt-4.1"])
        writer.writerow(["Is room 13 free?", "no", ""])
    parsed = read_calls(path)
    assert [(call.line, call.response.message.content) for call in parsed.calls] == [(2, "yes"), (4, "no")]
    assert parsed.calls[0].request.messages[0].text == "Is room 12\nfree?"


def test_csv_with_objects_as_python_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["messages", "task"], [str(MESSAGES), "rooms"]])
    assert answers(path) == ["yes"]


def test_csv_of_no_known_form_names_the_nearest_and_the_map(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("traceId,startTime,input,reply\nt,2026-06-01,hi,yes\n")
    reason = read_calls(path).skipped[0].reason
    assert "Langfuse observations, lacks output" in reason
    assert "'reply'" in reason
    assert "--map messages=$.input" in reason


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf_16_is_read(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "calls.jsonl"
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    path.write_bytes(mark + f"{LINE.decode()}\r\n{LINE.decode()}\r\n".encode(encoding))
    assert answers(path) == ["yes", "yes"]


@pytest.mark.parametrize("between", [b"", b" ", b"\n\n", b","])
def test_objects_joined_without_newlines_are_read(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "object"
    path.write_bytes(LINE + between + LINE + between + LINE)
    assert answers(path) == ["yes"] * 3


def test_indented_objects_one_after_the_other_are_read(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(orjson.dumps({"messages": MESSAGES}, option=orjson.OPT_INDENT_2) * 2)
    assert answers(path) == ["yes"] * 2


def test_a_folder_and_a_pattern_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (log / "day").mkdir(parents=True)
    (log / "day" / "b.jsonl").write_bytes(LINE + b"\nbroken")
    (log / "a.jsonl").write_bytes(LINE)
    (log / "picture.png").write_bytes(b"\x89PNG")
    (log / ".hidden.jsonl").write_bytes(LINE)
    parsed = read_calls(log)
    assert (len(parsed.calls), [(s.file, s.line) for s in parsed.skipped]) == (2, [("day/b.jsonl", 2)])
    assert len(read_calls(log / "*.jsonl").calls) == 1
    assert len(read_calls(log / "**" / "*.jsonl").calls) == 2


def test_a_folder_without_logs_and_a_pattern_without_files_are_errors(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "*.jsonl"):
        with pytest.raises(FileNotFoundError):
            read_calls(source)


def test_the_two_files_of_a_batch_are_joined_across_a_folder(tmp_path: Path) -> None:
    request = {"custom_id": "a", "url": "/v1/chat/completions", "body": {"messages": MESSAGES[:1]}}
    reply = {"choices": [{"message": MESSAGES[1]}]}
    (tmp_path / "output.jsonl").write_bytes(
        orjson.dumps({"custom_id": "a", "response": {"status_code": 200, "body": reply}})
    )
    (tmp_path / "zinput.jsonl").write_bytes(orjson.dumps(request))
    assert answers(tmp_path) == ["yes"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"BZh91AY", "bzip2"), (b"\xfd7zXZ\0", "xz")],
)
def test_a_compression_that_is_not_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "calls"
    path.write_bytes(content)
    assert reason in read_calls(path).skipped[0].reason


def test_calls_are_yielded_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(LINE + b"\n{}\n" + LINE)
    assert [type(found) for found in iter_calls(path)] == [RecordedCall, SkippedLine, RecordedCall]


def test_a_map_says_where_the_fields_are(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    record = {
        "q": {"text": "Is room 12 free?"},
        "turns": [{"reply": "yes"}],
        "meta": {"at": 1780300800, "usd": 0.01, "m": "gpt-4.1"},
    }
    path.write_bytes(orjson.dumps(record) + b"\n" + orjson.dumps({"q": {}}))
    written = ["messages=$.q.text", "answer=$.turns[-1].reply", "time=$.meta.at", "cost=meta['usd']", "model=$.meta.m"]
    parsed = read_calls(path, FieldMap.parse(written))
    (call,) = parsed.calls
    assert (call.request.messages[0].text, call.response.message.content, call.model) == (
        "Is room 12 free?",
        "yes",
        "gpt-4.1",
    )
    assert call.at is not None
    assert call.recorded_cost is not None
    assert [skipped.reason for skipped in parsed.skipped] == ["nothing at $.q.text, where the messages are to be"]


@pytest.mark.parametrize("option", ["messages", "prompt=$.a", "messages=", "messages=$.a[b", "answer=$.b"])
def test_a_map_that_leads_nowhere_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=r"messages"):
        FieldMap.parse([option])


def test_lists_of_messages_without_anything_around_them_are_calls(tmp_path: Path) -> None:
    call = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for text in (orjson.dumps(call), orjson.dumps([call, call]), orjson.dumps(call) + b"\n" + orjson.dumps(call)):
        path = tmp_path / "log.jsonl"
        path.write_bytes(text)
        parsed = read_calls(path)
        assert parsed.skipped == []
        assert [one.response.message.content for one in parsed.calls] == ["b"] * text.count(b'"b"')


def test_a_folder_holds_rotated_logs_and_tells_of_archives(tmp_path: Path) -> None:
    record = orjson.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    for name in ("a.jsonl.1", "b.log.2026-06-01", "c.jsonl"):
        (tmp_path / name).write_bytes(record)
    (tmp_path / "d.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    (tmp_path / "notes.md").write_text("notes")
    parsed = read_calls(tmp_path)
    assert len(parsed.calls) == 3
    assert [skipped.file for skipped in parsed.skipped] == ["d.jsonl.zst"]
