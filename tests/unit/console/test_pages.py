"""The pages of the console, as a browser gets them."""

import re
from typing import get_args

import pytest
from tests.support.html_page import HtmlPage
from tests.support.standings import AT, KEPT, SERVING, TRIAL

from understudies.console.page import task_link
from understudies.console.reads.task_details import TaskDetails
from understudies.console.views.overview import render_overview
from understudies.console.views.task_page import render_task_page
from understudies.events import SteeringAction
from understudies.status.decision import DecisionInForce
from understudies.status.standing import Overview, StoryEvent, TaskStory

OVERVIEW = Overview(at=AT, source="a <test>", tasks=(KEPT, SERVING, TRIAL))
STORY = TaskStory(
    standing=TRIAL,
    events=(
        StoryEvent(at=AT, what="first call", text="answered by <gpt>"),
        StoryEvent(at=AT, what="authorised", student="acme:extract <slots> & more@2", text="pays back"),
    ),
)
Page = HtmlPage


PAGES = {
    "overview": render_overview(OVERVIEW),
    "story": render_task_page(TaskDetails(STORY)),
    "empty": render_overview(Overview(at=AT, source="a test")),
}


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_a_page_is_whole_has_no_script_and_asks_no_other_host(html: str) -> None:
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert "script" not in {tag for tag, _ in page.tags}
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert not re.findall(r"(?:src|href)=.?(?:https?:)?//|url\(|@import", html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(page.values("aria-labelledby")) <= set(ids)
    (language,) = page.values("lang")
    assert language == "en"


def test_what_callers_wrote_is_text() -> None:
    for html in (PAGES["overview"], PAGES["story"]):
        assert "<slots>" not in html
        assert "<gpt>" not in html
        assert "acme:extract <slots> & more" in Page(html).text


def test_every_figure_of_a_task_is_shown() -> None:
    text = " ".join(Page(PAGES["overview"]).text.split())
    for figure in (
        "3 tasks: 1 kept with the teacher, 1 serving, 1 trial",
        "Waits for the next share, 50%: 3 of the 10 audits needed",
        "triage@1 cannot be loaded: cannot read 'x'",
        "Its judge gives no verdict: the endpoint 'checker' refuses the key",
        "The price of its teacher is assumed, as no price of our-own is known.",
        "97.0% ≥ 91.0%, 95% promised; 100 audits of what it served",
        "+1,234% break-even after 1,234 calls",
        "-100% never breaks even",
        "25% proven on 61% of all calls",
        "3.5 and 1 of 22.2 each, on inputs and on calls",
        "$123.46 $900.00 spent",
        "promoted triage@1: canary: agrees [at least] 95%",
        "a <test>",
    ):
        assert figure in text


def test_what_a_page_lacks_is_said_with_where_it_is_and_a_played_log_is_not_to_be_reloaded() -> None:
    for html in (
        render_overview(OVERVIEW, live=False, elsewhere="ask the <budget>"),
        render_task_page(TaskDetails(STORY), elsewhere="ask the <budget>"),
    ):
        text = " ".join(Page(html).text.split())
        assert "Not on this page ask the <budget>" in text
        assert "reload the page" not in text
    assert "reload the page" in Page(PAGES["overview"]).text
    assert "Not on this page" not in Page(PAGES["overview"]).text


def test_each_task_leads_to_its_page() -> None:
    assert task_link("acme:extract <slots> & more") == "/task?name=acme%3Aextract+%3Cslots%3E+%26+more"
    hrefs = Page(PAGES["overview"]).values("href")
    assert {task_link(task.task) for task in OVERVIEW.tasks} <= set(hrefs)


def test_the_story_is_told_from_its_end() -> None:
    text = Page(PAGES["story"]).text
    assert text.index("authorised") < text.index("first call")
    assert "/" in Page(PAGES["story"]).values("href")


def test_without_calls_it_says_what_to_do() -> None:
    assert "Point an agent at the router" in Page(PAGES["empty"]).text


def test_a_person_decides_by_a_form_without_scripts() -> None:
    page = Page(PAGES["story"])
    fields = {attributes["name"]: attributes for tag, attributes in page.tags if tag in ("input", "select")}
    assert fields.keys() == {"task", "action", "why", "by", "student"}
    assert fields["task"]["value"] == TRIAL.task
    actions = {attributes["value"] for tag, attributes in page.tags if tag == "option"}
    assert actions == {"", *get_args(SteeringAction)}
    assert page.values("action") == ["/steering"]


def test_what_people_decided_is_shown_with_who_and_why() -> None:
    decided = DecisionInForce(what="paused", by="ada <a>", at=AT, why="wrong & late")
    paused = SERVING.model_copy(update={"phase": "paused", "steered": (decided,)})
    html = render_overview(Overview(at=AT, source="a test", tasks=(paused,)))
    assert "paused by ada <a> at 2026-01-05 12:30 UTC: wrong & late" in Page(html).text
