"""Requests and answers in records of their own belong together by id, and are never guessed at."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog

Record = dict[str, Any]


def read(folder: Path, *records: Record) -> ParsedLog:
    path = folder / "log.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return read_calls(path)


def asked(text: str, name: str = "request-1") -> Record:
    return {"custom_id": name, "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": text}]}}


def answered(text: str, name: str = "request-1", status: int = 200) -> Record:
    body = {"model": "gpt-4.1", "choices": [{"message": {"role": "assistant", "content": text}}]}
    return {"custom_id": name, "response": {"status_code": status, "body": body}, "error": None}


def pairs(log: ParsedLog) -> list[tuple[str, str]]:
    return [(call.request.messages[-1].text, call.response.message.text) for call in log.calls]


def test_batches_one_after_another_may_use_the_same_ids(tmp_path: Path) -> None:
    log = read(tmp_path, asked("first"), answered("1"), asked("second"), answered("2"))
    assert pairs(log) == [("first", "1"), ("second", "2")]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (2, 0, 3, 1)])
def test_answers_that_may_belong_to_either_of_two_requests_are_not_joined(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    records = (asked("first"), asked("second"), answered("1"), answered("2"))
    log = read(tmp_path, *(records[place] for place in order))
    assert ("second", "1") not in pairs(log)
    assert ("first", "2") not in pairs(log)
    assert "folder of its own" in " ".join(skipped.reason for skipped in log.skipped)


def test_two_answers_before_one_request_are_not_joined(tmp_path: Path) -> None:
    log = read(tmp_path, answered("1"), answered("2"), asked("first"))
    assert pairs(log) == []
    assert [skipped.line for skipped in log.skipped if "folder of its own" in skipped.reason] == [1, 2]


def test_a_request_that_failed_may_be_answered_later(tmp_path: Path) -> None:
    log = read(tmp_path, asked("first"), answered("", status=429), answered("1"))
    assert pairs(log) == [("first", "1")]
    assert [skipped.reason for skipped in log.skipped] == ["the call failed: status_code 429"]


def test_equal_requests_are_answered_as_often_as_they_were_sent(tmp_path: Path) -> None:
    log = read(tmp_path, asked("first"), asked("first"), answered("1"), answered("1"), answered("2"))
    assert pairs(log) == [("first", "1"), ("first", "1")]
    assert [skipped.line for skipped in log.skipped] == [5]


def test_a_record_with_both_halves_needs_no_other(tmp_path: Path) -> None:
    whole = {**asked("first"), **{"response": answered("1")["response"]}}
    assert pairs(read(tmp_path, whole, whole)) == [("first", "1"), ("first", "1")]


def test_a_stored_completion_on_two_pages_counts_once(tmp_path: Path) -> None:
    reply = answered("1")["response"]["body"]
    stored = {"object": "chat.completion", "id": "chatcmpl-9", **reply}
    message = {"id": "chatcmpl-9-0", "role": "user", "content": "first"}
    log = read(tmp_path, stored, message, stored)
    assert pairs(log) == [("first", "1")]
    assert [skipped.reason for skipped in log.skipped] == ["the same stored completion again"]
