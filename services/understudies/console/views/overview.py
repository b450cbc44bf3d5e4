"""The page of all tasks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from understudies.backtest.report.formatting import format_count, format_percent, format_quantity, format_usd
from understudies.backtest.report.projection import SavingsProjection
from understudies.console.page import address, render_elsewhere, render_facts, render_page
from understudies.console.views.task_section import render_task
from understudies.status.standing import CallCounts, Overview, TaskStanding

PAGE_SIZE: Final = 50


def render_overview(
    overview: Overview,
    projection: SavingsProjection | None = None,
    page: int = 1,
    *,
    live: bool = True,
    elsewhere: str = "",
) -> str:
    """Return the page of all tasks, the first ones or those of a later page.

    `live` says whether figures change, and `elsewhere` where to see what the page lacks.
    """
    tasks = overview.tasks
    if not tasks:
        body = '<p class="lead">Point an agent at the router: each task appears here with its first call.</p>'
        return _page("No call was recorded yet", body, overview, live=live)
    phases = ", ".join(f"{count} {phase}" for phase, count in Counter(task.phase for task in tasks).most_common())
    first = (page - 1) * PAGE_SIZE
    shown = tasks[first : first + PAGE_SIZE]
    sections = "".join(render_task(number, task) for number, task in enumerate(shown, first + 1))
    totals = _render_totals(tasks, projection)
    body = f"{totals}{sections}{_render_pages(page, len(tasks))}{render_elsewhere(elsewhere)}"
    return _page(f"{format_quantity(len(tasks), 'task')}: {phases}", body, overview, live=live)


def render_tenant_overview(overview: Overview, tenant: str) -> str:
    """Return the page of a tenant's tasks, with the figures of its own calls alone."""
    sections = "".join(render_task(number, task) for number, task in enumerate(overview.tasks, 1))
    facts = _call_facts(_sum(task.to_date for task in overview.tasks), _sum(task.today for task in overview.tasks))
    headline = f"{format_quantity(len(overview.tasks), 'task')} of {tenant}"
    return _page(headline, _render_cards(facts) + sections, overview, whole=False)


def _render_totals(tasks: Sequence[TaskStanding], projection: SavingsProjection | None) -> str:
    today, to_date = _sum(task.today for task in tasks), _sum(task.to_date for task in tasks)
    saved = _total(task.saved_usd for task in tasks if task.student)
    spent = _total(task.spent_usd for task in tasks)
    facts = [
        *_call_facts(to_date, today),
        ("Saved to date", format_usd(saved), "net of training, trials and audits"),
        ("Spent to date", format_usd(spent), f"{format_usd(spent + saved)} without students"),
    ]
    if projection is not None:
        year = f"{format_usd(projection.year)} a year, at the pace of the last {projection.days:.1f} days"
        facts.append(("Saved in a month", format_usd(projection.month), year))
    return _render_cards(facts)


def _call_facts(to_date: CallCounts, today: CallCounts) -> list[tuple[str, str, str]]:
    since = f"{format_count(today.calls)} of them" if today.calls else "none"
    served = f"{format_percent(today.served_share)} today" if today.calls else "of all calls"
    return [
        ("Calls to date", format_count(to_date.calls), f"{since} since midnight, UTC"),
        ("Served by students", format_percent(to_date.served_share), served),
    ]


def _render_cards(facts: Iterable[tuple[str, str, str]]) -> str:
    return render_facts(facts, "cards").replace("<div>", '<div class="card">')


def _render_pages(page: int, tasks: int) -> str:
    if tasks <= PAGE_SIZE:
        return ""
    before = f'<a href="{address("/", page=str(page - 1))}">Tasks before</a>' if page > 1 else ""
    after = f'<a href="{address("/", page=str(page + 1))}">Tasks after</a>' if page * PAGE_SIZE < tasks else ""
    return f'<nav class="pages" aria-label="More tasks">{before}{after}</nav>'


def _page(headline: str, body: str, overview: Overview, *, whole: bool = True, live: bool = True) -> str:
    hint = " · reload the page for newer figures" if live else ""
    footer = f"{overview.at:%Y-%m-%d %H:%M:%S} UTC · {overview.source}{hint}"
    return render_page("Understudies", headline, "", body, footer, here="/", whole=whole)


def _sum(counts: Iterable[CallCounts]) -> CallCounts:
    known = list(counts)
    return CallCounts(calls=sum(count.calls for count in known), served=sum(count.served for count in known))


def _total(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount or Decimal(0) for amount in amounts), Decimal(0))
