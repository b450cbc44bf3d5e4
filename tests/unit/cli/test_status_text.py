"""The status in the terminal."""

import io

import pytest
from rich.console import Console, RenderableType
from tests.support.standings import AT, KEPT, SERVING

from understudies.cli.status_text import render_overview, render_story
from understudies.status.standing import Overview, StoryEvent, TaskStory


def shown(what: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(what, highlight=False)
    return out.getvalue()


def test_every_figure_of_a_task_is_in_its_row() -> None:
    text = shown(render_overview(Overview(at=AT, source="a test", tasks=(KEPT, SERVING))))
    for figure in ("97.0%", "≥ 91.0%", "+1,234%", "in 1,234", "25%", "of 61%", "12,345", "2,345", "$123.46", "$0.012"):
        assert figure in text
    assert "waits for the next share, 50%" in text
    assert "cannot be loaded: triage@1: cannot read 'x'" in text
    assert "no verdicts: the endpoint 'checker' refuses the key" in text
    assert "the price of its teacher is assumed, as no price of our-own is known" in text
    assert "last 2026-01-05 12:30 UTC promoted triage@1: canary: agrees [at least] 95%" in text.replace("\n  ", " ")
    assert "saved to date $123.46" in text


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_is_wider_than_the_terminal_and_columns_stay_in_line(width: int) -> None:
    lines = shown(render_overview(Overview(at=AT, source="a test", tasks=(KEPT, SERVING))), width).splitlines()
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


def test_what_did_not_answer_is_said_with_what_is_there() -> None:
    missing = ("nothing answers at http://copy-1:9100", "of 6 partitions, 4 is with no copy of budget that answered")
    overview = Overview(at=AT, source="a test", tasks=(KEPT,), missing=missing)
    for text in shown(render_overview(overview)), shown(render_story(TaskStory(standing=KEPT, missing=missing))):
        assert all(f"Not all is here: {what}" in " ".join(text.split()) for what in missing)
    # Without any task there may be some that nobody told of.
    assert "point an agent" not in shown(render_overview(Overview(at=AT, source="a test", missing=missing)))
