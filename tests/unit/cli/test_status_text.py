"""The status in the terminal."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from understudies.cli.status_text import render_overview, render_story
from understudies.events import usd
from understudies.status.standing import (
    CallCounts,
    LastDecision,
    MeasuredAgreement,
    Overview,
    StoryEvent,
    TaskStanding,
    TaskStory,
    TeacherPrice,
)

AT = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
RECORDING = TaskStanding(
    task="a-task-with-a-name-that-is-longer-than-its-column-is-wide",
    phase="kept with the teacher",
    waits_for="a change: the student costs more",
    examples=12_345,
    needed=40_000,
    teacher_price=TeacherPrice(usd=usd("0.03"), source="assumed, as no price of our-own is known"),
    roi=-1.0,
    promised=0.95,
)
SERVING = TaskStanding(
    task="triage",
    phase="serving",
    waits_for="the next share, 50%: 3 of the 10 audits needed",
    examples=1_200,
    needed=2_400,
    teacher_price=TeacherPrice(usd=usd("0.0123"), source="set or recorded"),
    roi=12.34,
    break_even_calls=1_234,
    weekly_calls=7_000,
    student="triage@1",
    stage="promoted",
    not_loaded="cannot read 'x'",
    agreement=MeasuredAgreement(agreed=97, compared=100, lower=0.91, basis="audits of what it served"),
    promised=0.95,
    share=0.25,
    coverage=0.614,
    today=CallCounts(calls=12_345, served=2_345),
    to_date=CallCounts(calls=100_000, served=25_000),
    spent_usd=usd("900"),
    saved_usd=usd("123.456"),
    last_decision=LastDecision(at=AT, what="promoted", student="triage@1", reason="canary: agrees [at least] 95%"),
)


def shown(what: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(what, highlight=False)
    return out.getvalue()


def test_every_figure_of_a_task_is_in_its_row() -> None:
    text = shown(render_overview(Overview(at=AT, source="a test", tasks=(RECORDING, SERVING))))
    for figure in ("97.0%", "≥ 91.0%", "+1,234%", "in 1,234", "25%", "of 61%", "12,345", "2,345", "$123.46", "$0.012"):
        assert figure in text
    assert "waits for the next share, 50%" in text
    assert "cannot be loaded: triage@1: cannot read 'x'" in text
    assert "the price of its teacher is assumed, as no price of our-own is known" in text
    assert "last 2026-01-05 12:30 UTC promoted triage@1: canary: agrees [at least] 95%" in text.replace("\n  ", " ")
    assert "saved to date $123.46" in text


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_is_wider_than_the_terminal_and_columns_stay_in_line(width: int) -> None:
    lines = shown(render_overview(Overview(at=AT, source="a test", tasks=(RECORDING, SERVING))), width).splitlines()
    assert max(len(line) for line in lines) <= width
    header = next(line for line in lines if "Agreement" in line)
    row = next(line for line in lines if line.startswith("triage"))
    assert row.index("97.0%") + len("97.0%") == header.index("Agreement") + len("Agreement")


def test_without_calls_it_says_what_to_do() -> None:
    assert "point an agent at the router" in shown(render_overview(Overview(at=AT, source="a test")))


def test_a_story_is_told_in_order() -> None:
    events = (
        StoryEvent(at=AT, what="first call", text="answered by gpt"),
        StoryEvent(at=AT, what="promoted for 25% of the eligible calls", student="triage@1", text="canary"),
    )
    text = shown(render_story(TaskStory(standing=SERVING, events=events)))
    assert "agreement 97.0% of 100: audits of what it served" in text
    assert "forecast: 7,000 calls a week" in text
    assert text.index("first call") < text.index("promoted for 25%")
