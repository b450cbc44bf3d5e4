"""Incidents: within a day, most calls are one message with other numbers in it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bench.traffic.generated_log import GeneratedCall, GeneratedLog, LogSpec, merge_calls
from bench.traffic.message_source import MessageSource, choose_intents

_SIZE = 1800
_SPAN = timedelta(hours=16)


def burst_before_proof(frame: LogSpec) -> GeneratedLog:
    """An easy incident on the second day, beside traffic of which no part agrees 95%: one answer in eight is noise."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng, vague=0.30, double=0.10)
    calls = []
    for at in frame.sample_times():
        said = world.sample_message()
        answer = world.other_answer(said.answer) if frame.rng.random() < 0.04 else said.answer
        calls.append(GeneratedCall(at, said.text, answer, "usual"))
    started = frame.time_at(0.0) + timedelta(days=1, hours=6)
    return GeneratedLog(merge_calls(calls, _incident(frame, started, _SIZE, lambda: _alert(frame), "incident")))


def burst_after_proof(frame: LogSpec) -> GeneratedLog:
    """An incident whose message reads like a common intent, when a student serves that; the teacher knows better."""
    world = MessageSource(choose_intents(4, 3, frame.rng), frame.rng)
    said_as = world.intents[0]
    calls = [
        GeneratedCall(at, said.text, said.answer, "usual")
        for at in frame.sample_times()
        for said in (world.sample_message(),)
    ]
    started = frame.time_at(0.6)
    text = world.plain_text(said_as)
    incident = _incident(frame, started, _SIZE // 2, lambda: f"{text} Ticket {_number(frame)}.", "outage")
    return GeneratedLog(
        merge_calls(calls, incident),
        changed_at=started,
        changed_groups=frozenset({"burst"}),
        watched_classes=frozenset({"outage"}),
    )


def _incident(
    frame: LogSpec, started: datetime, size: int, text: Callable[[], str], answer: str
) -> list[GeneratedCall]:
    moments = (started + _SPAN * frame.rng.random() for _ in range(size))
    return [replace(GeneratedCall(at, text(), answer), group="burst") for at in sorted(moments)]


def _alert(frame: LogSpec) -> str:
    number = _number(frame)
    return f"ALERT {number}: replication of node {frame.rng.randint(1, 400)} lags, see ticket {_number(frame)}."


def _number(frame: LogSpec) -> int:
    return frame.rng.randint(100_000, 999_999)
