"""Incidents: within a day, most calls are one message with other numbers in it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bench.honesty.log import Frame, Log, Made, merged
from bench.honesty.world import World, intents

_SIZE = 1800
_SPAN = timedelta(hours=16)


def before(frame: Frame) -> Log:
    """An easy incident on the second day, beside traffic of which no part agrees 95%: one answer in eight is noise."""
    world = World(intents(4, 3, frame.rng), frame.rng, vague=0.30, double=0.10)
    calls = []
    for at in frame.moments():
        said = world.say()
        answer = world.other(said.answer) if frame.rng.random() < 0.04 else said.answer
        calls.append(Made(at, said.text, answer, "usual"))
    started = frame.after(0.0) + timedelta(days=1, hours=6)
    return Log(merged(calls, _incident(frame, started, _SIZE, lambda: _alert(frame), "incident")))


def after(frame: Frame) -> Log:
    """An incident whose message reads like a common intent, when a student serves that; the teacher knows better."""
    world = World(intents(4, 3, frame.rng), frame.rng)
    said_as = world.intents[0]
    calls = [Made(at, said.text, said.answer, "usual") for at in frame.moments() for said in (world.say(),)]
    started = frame.after(0.6)
    text = world.plain(said_as)
    incident = _incident(frame, started, _SIZE // 2, lambda: f"{text} Ticket {_number(frame)}.", "outage")
    return Log(merged(calls, incident), changed=started, hit=frozenset({"burst"}), watched=frozenset({"outage"}))


def _incident(frame: Frame, started: datetime, size: int, text: Callable[[], str], answer: str) -> list[Made]:
    moments = (started + _SPAN * frame.rng.random() for _ in range(size))
    return [replace(Made(at, text(), answer), group="burst") for at in sorted(moments)]


def _alert(frame: Frame) -> str:
    number = _number(frame)
    return f"ALERT {number}: replication of node {frame.rng.randint(1, 400)} lags, see ticket {_number(frame)}."


def _number(frame: Frame) -> int:
    return frame.rng.randint(100_000, 999_999)
