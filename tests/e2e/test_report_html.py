"""The HTML report: one well-formed file that loads nothing and trusts no data."""

from html.parser import HTMLParser

import pytest
from tests.support.sample_report import START, PricedCall, build_sample_report, summarise_figures

from understudies.backtest.report.html_report import headline_text, render_html
from understudies.backtest.report.report import BacktestReport, DecisionEntry, LogSummary, TaskOutcome, TaskReport
from understudies.importers.recorded_call import SkippedLine

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert('x')</script>\"onload=\"y"


class Page(HTMLParser):
    """Reads a page, and fails where tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def empty_report() -> BacktestReport:
    source = LogSummary("none.jsonl", "empty", 0, [], 0.0)
    return BacktestReport(summarise_figures([]), {}, [], source, seed=1, seconds=0.0, version="0")


def bare_report() -> BacktestReport:
    """A task with nothing but its name."""
    task = TaskReport(summarise_figures([]), TaskOutcome("collecting"))
    return BacktestReport(
        summarise_figures([]), {"a": task}, [], empty_report().input, seed=1, seconds=0.0, version="0"
    )


def hostile_report() -> BacktestReport:
    report = build_sample_report(names=(HOSTILE,))
    told = DecisionEntry(START, HOSTILE, "rejected", HOSTILE, HOSTILE, {HOSTILE: HOSTILE, "deep": {HOSTILE: [HOSTILE]}})
    source = LogSummary(HOSTILE, HOSTILE, 3, [SkippedLine(k, HOSTILE) for k in range(25)], 14.0)
    return BacktestReport(report.overall, report.tasks, [told], source, seed=1, seconds=1.0, version=HOSTILE)


@pytest.mark.parametrize(
    "report",
    [
        build_sample_report(),
        build_sample_report(days=1),
        build_sample_report(days=40),
        empty_report(),
        bare_report(),
        hostile_report(),
    ],
    ids=["sample", "one day", "forty days", "empty", "bare", "hostile"],
)
def test_the_page_is_well_formed_and_loads_nothing(report: BacktestReport) -> None:
    html = render_html(report)
    page = Page(html)
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "srcset", "action")]
    assert len(page.ids) == len(set(page.ids))
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")
    assert "None" not in page.text
    assert "nan" not in html


def test_every_task_chart_and_decision_is_on_the_page() -> None:
    report = build_sample_report()
    page = Page(render_html(report))
    assert all(name in page.text for name in report.tasks)
    assert page.tags.count("svg") == 1 + 4 + 4 + 2 + 2
    assert page.tags.count("figure") == 1 + 4 * len(report.tasks)
    assert page.tags.count("time") == len(report.decisions)
    assert all(decision.reason in page.text for decision in report.decisions)
    assert "Answers are compared by label[before:dash]: the label is the first line of the answer" in page.text
    assert "Break even calls" in page.text
    assert "1,320" in page.text
    assert "1,502" in page.text


def test_charts_have_titles_and_descriptions_that_they_name() -> None:
    page = Page(render_html(build_sample_report()))
    named = [value for name, value in page.attributes if name == "aria-labelledby" and value and " " in value]
    assert len(named) == page.tags.count("svg")
    assert all(part in page.ids for value in named for part in value.split())


def test_markup_in_the_data_is_text_on_the_page() -> None:
    html = render_html(hostile_report())
    assert "<script" not in html
    assert HOSTILE in Page(html).text


def test_the_headline_tells_what_would_have_been_saved() -> None:
    report = build_sample_report()
    saved = report.overall.totals.saved
    assert headline_text(report) == f"${saved:.2f} of ${report.overall.totals.cost_before:.2f} would have been saved."
    assert headline_text(empty_report()) == "No calls were played."


def test_the_headline_hides_no_loss_and_no_idleness() -> None:
    price = build_sample_report().tasks["marketing-copy"].series[0].cost_before / 40
    calls: list[PricedCall] = [(price, price, False, None)]
    base = empty_report()
    idle = BacktestReport(summarise_figures(calls), {}, [], base.input, seed=1, seconds=0.0, version="0")
    assert headline_text(idle).startswith("No student would have served any of 1 call:")
    calls.append((price, 3 * price, True, True))
    loss = BacktestReport(summarise_figures(calls), {}, [], base.input, seed=1, seconds=0.0, version="0")
    assert headline_text(loss) == "Students would have cost $0.033 more than they saved."


def test_the_page_follows_the_reader_s_colours_and_prints() -> None:
    html = render_html(build_sample_report())
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
