"""Every page of the console in a real browser: wide and narrow, light and dark."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tests.browser.conftest import ServedConsole
from tests.support.console_data import OWN, TASK

PAGES = {
    "overview": "/",
    "task": f"/task?name={TASK}",
    "new task": f"/task?name={quote(OWN)}",
    "student": f"/student?{urlencode({'task': TASK, 'name': f'{TASK}@1'})}",
    "disagreements": f"/disagreements?task={TASK}",
    "nothing found": f"/disagreements?task={TASK}&text=nothing",
    "settings": "/settings",
    "services": "/services",
    "missing": "/task?name=nothing",
}
WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")


class Sheet:
    """A page in the browser, with its complaints and the addresses that it asked."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


@contextmanager
def sheet(browser: Any, width: int = 1400, scheme: str = "light") -> Iterator[Sheet]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        yield Sheet(context.new_page())
    finally:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_width_complains_of_nothing_and_asks_no_other_host(
    browser: Any, console: ServedConsole, name: str
) -> None:
    for width in WIDTHS:
        for scheme in SCHEMES:
            with sheet(browser, width, scheme) as opened:
                answer = opened.page.goto(console.url + PAGES[name])
                assert answer.status == (404 if name == "missing" else 200)
                expected = ["status of 404"] if name == "missing" else []
                assert len(opened.complaints) == len(expected), opened.complaints
                assert [url for url in opened.asked if not url.startswith((console.url, "data:"))] == []
                wider = opened.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert wider <= 0, f"{name} is {wider} px wider than {width} px"
                paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(18, 21, 24)") == (scheme == "dark")


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Any, console: ServedConsole, axe: str, name: str) -> None:
    for width in WIDTHS:
        for scheme in SCHEMES:
            with sheet(browser, width, scheme) as opened:
                opened.page.goto(console.url + PAGES[name])
                opened.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
                # The page's own policy allows no script; the driver's are not of the page.
                opened.page.evaluate(axe)
                found = opened.page.evaluate("axe.run().then(result => result.violations)")
                serious = [
                    (one["id"], one["nodes"][0]["html"][:200])
                    for one in found
                    if one["impact"] in ("serious", "critical")
                ]
                assert serious == [], f"{name}, {width} px, {scheme}"


def test_a_person_finds_a_disagreement_and_marks_it(browser: Any, console: ServedConsole) -> None:
    with sheet(browser) as opened:
        page = opened.page
        page.goto(console.url)
        page.get_by_role("link", name=TASK, exact=True).click()
        page.get_by_role("link", name="Disagreements").click()
        page.get_by_label("Text in the request").fill("account")
        page.get_by_role("button", name="Search").click()
        first = page.locator("section.task").first
        assert "account" in first.inner_text()
        first.get_by_text("Request", exact=True).click()
        assert "Where is my order" in first.inner_text()
        first.get_by_label("Your name").fill("ada")
        first.get_by_label("Note").fill("both are right")
        first.get_by_role("button", name="Student is right").click()
        assert "ada says the student is right: both are right" in page.locator("section.task").first.inner_text()
        assert "text=account" in page.url
        assert opened.complaints == []


def test_a_person_pauses_a_task_by_the_form_and_resumes_it(browser: Any, console: ServedConsole) -> None:
    with sheet(browser, 400) as opened:
        page = opened.page
        page.goto(console.url + PAGES["task"])
        page.get_by_label("What").select_option("pause")
        page.get_by_label("Why").fill("too many <wrong> answers")
        page.get_by_label("Your name").fill("grace")
        page.get_by_role("button", name="Decide").click()
        assert "paused by grace" in page.locator("main").inner_text()
        assert "too many <wrong> answers" in page.locator("main").inner_text()
        event = console.decided[-1]
        assert event.steering is not None
        assert (event.task, event.steering.action, event.steering.by) == (TASK, "pause", "grace")
        page.get_by_label("What").select_option("resume")
        page.get_by_label("Why").fill("mended")
        page.get_by_label("Your name").fill("grace")
        page.get_by_role("button", name="Decide").click()
        assert "paused by grace" not in page.locator(".caution").all_inner_texts()
        assert console.decided[-1].steering == event.steering.model_copy(update={"action": "resume"})
        assert opened.complaints == []


def test_a_form_without_a_reason_is_not_sent(browser: Any, console: ServedConsole) -> None:
    with sheet(browser) as opened:
        page, before = opened.page, len(console.decided)
        page.goto(console.url + PAGES["task"])
        page.get_by_label("What").select_option("pause")
        page.get_by_role("button", name="Decide").click()
        assert page.evaluate("document.querySelector('form.decide').checkValidity()") is False
        assert len(console.decided) == before


def test_by_keyboard_alone_every_link_can_be_reached(browser: Any, console: ServedConsole) -> None:
    with sheet(browser) as opened:
        opened.page.goto(console.url)
        reached = set()
        for _ in range(40):
            opened.page.keyboard.press("Tab")
            reached.add(opened.page.evaluate("document.activeElement.getAttribute('href')"))
        links = opened.page.eval_on_selector_all("a", "all => all.map(one => one.getAttribute('href'))")
        assert set(links) <= reached
