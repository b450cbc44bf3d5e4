"""Answers that a log kept as the events of a stream: whole, failed, cut, and of every provider."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog

ASKED = [{"role": "user", "content": "Is room 12 free?"}]
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Is room 12 free?"}]}]}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 2}}


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}], "model": "gpt-4.1"}


def candidate(text: str, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **more}]}


def delta(text: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}


def message_delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


BEGUN: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
]
ENDED: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
STOPPED: dict[str, Any] = {"messageStop": {"stopReason": "end_turn"}}

WHOLE: dict[str, list[dict[str, Any]]] = {
    "chat": [chunk("y"), chunk("es", finish_reason="stop")],
    "messages": [*BEGUN, message_delta("y"), message_delta("es"), ENDED, {"type": "message_stop"}],
    "Gemini": [candidate("y"), candidate("es", finishReason="STOP")],
    "Gemini, one event": [candidate("yes", finishReason="STOP")],
    "Converse": [{"messageStart": {"role": "assistant"}}, delta("y"), delta("es"), STOPPED],
    "Nova": [delta("yes"), STOPPED, {"metadata": {"usage": {"inputTokens": 9, "outputTokens": 2}}, **METRICS}],
    "Llama": [{"generation": "y", "stop_reason": None}, {"generation": "es", "stop_reason": "stop", **METRICS}],
    "Titan": [{"outputText": "y", "completionReason": None}, {"outputText": "es", "completionReason": "FINISH"}],
    "Mistral": [
        {"outputs": [{"text": "y"}], "stop_reason": None},
        {"outputs": [{"text": "es"}], "stop_reason": "stop"},
    ],
    "Ollama": [
        {"model": "llama3", "message": {"role": "assistant", "content": "y"}, "done": False},
        {"model": "llama3", "message": {"role": "assistant", "content": "es"}, "done": True, "done_reason": "stop"},
    ],
}


def read(tmp_path: Path, reply: Any) -> ParsedLog:
    path = tmp_path / "log.jsonl"
    path.write_bytes(orjson.dumps({"request": GEMINI | {"messages": ASKED}, "response": reply}))
    return read_calls(path)


def as_text(events: list[dict[str, Any]]) -> str:
    return "".join(f"data: {orjson.dumps(event).decode()}\n\n" for event in events)


@pytest.mark.parametrize("as_events", [as_text, list])
@pytest.mark.parametrize("provider", WHOLE)
def test_a_whole_stream_is_the_answer(tmp_path: Path, provider: str, as_events: Any) -> None:
    parsed = read(tmp_path, as_events(WHOLE[provider]))
    assert parsed.skipped == []
    assert [(call.response.message.content, call.response.finish_reason) for call in parsed.calls] == [("yes", "stop")]


@pytest.mark.parametrize("as_events", [as_text, list])
@pytest.mark.parametrize("provider", ["chat", "messages", "Gemini", "Converse", "Llama", "Titan", "Ollama"])
def test_a_stream_without_its_end_is_no_answer(tmp_path: Path, provider: str, as_events: Any) -> None:
    ends = 2 if provider in ("messages", "Nova") else 1
    parsed = read(tmp_path, as_events(WHOLE[provider][:-ends]))
    assert parsed.calls == []
    assert [skipped.reason for skipped in parsed.skipped] == [
        "the log kept only a part of the answer: its stream has no end"
    ]


def test_the_mark_of_the_end_is_one(tmp_path: Path) -> None:
    (call,) = read(tmp_path, as_text([chunk("yes")]) + "data: [DONE]\n\n").calls
    assert call.response.message.content == "yes"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ([delta("y"), {"modelStreamErrorException": {"message": "m"}}], "the call failed: modelStreamErrorException"),
        (as_text([chunk("y"), {"error": {"message": "Overloaded"}}]), "the call failed: Overloaded"),
        ("data: [DONE]\n\n", "no teacher answer: a stream of no known form"),
        ('data: {"a": 1}\n\n', "no teacher answer: a stream of no known form"),
        (
            [
                *BEGUN,
                message_delta("y"),
                ENDED,
                {"type": "message_stop", "amazon-bedrock-guardrailAction": "INTERVENED"},
            ],
            "the call failed: a guardrail intervened",
        ),
    ],
)
def test_a_stream_that_failed_is_no_answer(tmp_path: Path, reply: Any, reason: str) -> None:
    parsed = read(tmp_path, reply)
    assert parsed.calls == []
    assert [skipped.reason for skipped in parsed.skipped] == [reason]


@pytest.mark.parametrize(
    "written",
    [
        ": OPENROUTER PROCESSING\n\n" + as_text([chunk("y"), chunk("es", finish_reason="stop")]),
        "id: 1\nevent: x\n" + as_text([chunk("y"), chunk("es", finish_reason="stop")]),
        as_text([chunk("y"), chunk("es", finish_reason="stop")]).replace("\n", "\r\n"),
        ["data: " + orjson.dumps(chunk("yes", finish_reason="stop")).decode(), "data: [DONE]"],
        '{"model":"m","message":{"role":"assistant","content":"y"},"done":false}\n'
        '{"model":"m","message":{"role":"assistant","content":"es"},"done":true,"done_reason":"stop","eval_count":2}\n',
    ],
)
def test_streams_are_read_as_servers_write_them(tmp_path: Path, written: Any) -> None:
    parsed = read(tmp_path, written)
    assert parsed.skipped == []
    assert [(call.response.message.content, call.response.finish_reason) for call in parsed.calls] == [("yes", "stop")]


def test_the_ends_of_lines_within_a_text_of_a_stream_end_no_event(tmp_path: Path) -> None:
    (call,) = read(tmp_path, as_text([chunk("a\u2028b\x85c", finish_reason="stop")])).calls
    assert call.response.message.content == "a\u2028b\x85c"


def test_an_answer_that_only_begins_as_a_stream_is_kept(tmp_path: Path) -> None:
    (call,) = read(tmp_path, "data: see the table below").calls
    assert call.response.message.content == "data: see the table below"
