"""The frame of every page: its head, its navigation, and the parts that pages share."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from understudies.backtest.report.formatting import MISSING_VALUE
from understudies.status.standing import Phase

TASK_PATH: Final = "/task"
STUDENT_PATH: Final = "/student"
DISAGREEMENTS_PATH: Final = "/disagreements"
MARKS_PATH: Final = "/marks"
SETTINGS_PATH: Final = "/settings"
SERVICES_PATH: Final = "/services"
STYLE_PATH: Final = "/console.css"
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    # With "no-referrer" a browser would not say from which site a form comes.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_TONES: Final[dict[Phase, str]] = {
    "recording": "",
    "trial": "warn",
    "serving": "good",
    "drifted": "bad",
    "kept with the teacher": "",
    "critical": "",
    "paused": "warn",
}
_PAGES: Final = (("/", "Tasks"), (SETTINGS_PATH, "Settings"), (SERVICES_PATH, "Services"))


@cache
def read_style() -> bytes:
    """Return the style of the backtest's report, which the console shares, and what it has beyond that."""
    report = (files("understudies.backtest") / "templates" / "report.css").read_bytes()
    return report + (files("understudies.console") / "static" / "console.css").read_bytes()


def render_page(
    title: str, headline: str, lead: str, body: str, footer: str, *, here: str = "", trail: str = "", whole: bool = True
) -> str:
    """Return a page; `body` and `trail` are HTML, all else is text.

    `here` is the page's address in the navigation; `whole` whether who reads may see the pages of the whole
    installation.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE_PATH}">
<title>{escape(title)}</title>
</head>
<body>
<header class="masthead"><p class="mark">Understudies <span>Console</span></p>
<nav aria-label="Pages">{_render_pages(here, whole)}</nav></header>
<main>
<header class="top">
{trail}
<h1>{escape(headline)}</h1>
{_render_lead(lead)}
</header>
{body}
<footer>{escape(footer)}</footer>
</main>
</body>
</html>
"""


def _render_pages(here: str, whole: bool) -> str:
    current = {here: ' aria-current="page"'}
    shown = _PAGES if whole else _PAGES[:1]
    return "".join(f'<a href="{path}"{current.get(path, "")}>{name}</a>' for path, name in shown)


def render_trail(*steps: tuple[str, str]) -> str:
    """Return the way to a page: address and name of each page above it."""
    links = "".join(f'<li><a href="{escape(path)}">{escape(name)}</a></li>' for path, name in steps)
    return f'<nav class="trail" aria-label="Way to this page"><ol>{links}</ol></nav>'


def render_section(name: str, title: str, body: str, more: str = "") -> str:
    """Return a section with its title; `body` and `more`, which stands beside the title, are HTML."""
    return (
        f'<section class="task" aria-labelledby="{name}"><header><h2 id="{name}">{escape(title)}</h2>{more}</header>'
        f"{body}</section>"
    )


def render_table(label: str, head: Iterable[str], rows: Iterable[Iterable[str]], style: str = "rows") -> str:
    """Return a table that scrolls within its place; the cells are HTML, the first of a row names it."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f"<tr>{''.join(_render_cell(place, cell) for place, cell in enumerate(cells))}</tr>" for cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="{style}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _render_cell(place: int, cell: str) -> str:
    return f'<th scope="row">{cell}</th>' if place == 0 else f"<td>{cell}</td>"


def render_chip(phase: Phase) -> str:
    """Return a phase as a label in its colour."""
    return f'<span class="chip {_TONES[phase]}">{escape(phase)}</span>'


def render_facts(facts: Iterable[tuple[str, str, str]], style: str = "grid") -> str:
    """Return name, figure and remark of each fact as a description list."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(figure)}{_render_remark(remark)}</dd></div>"
        for name, figure, remark in facts
        if figure != MISSING_VALUE
    )
    return f'<dl class="{style}">{items}</dl>'


def render_elsewhere(text: str) -> str:
    """Return a section that says where to see what a page lacks; nothing without a text."""
    return render_section("elsewhere", "Not on this page", f'<p class="wait">{escape(text)}</p>') if text else ""


def address(path: str, **parameters: str) -> str:
    """Return the address of a page with its parameters, without those that are empty."""
    given = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def task_link(task: str) -> str:
    """Return the address of a task's page."""
    return address(TASK_PATH, name=task)


def student_link(task: str, student: str) -> str:
    """Return the address of a student's page."""
    return address(STUDENT_PATH, task=task, name=student)


def render_time(moment: datetime) -> str:
    """Return a time that people and programs can read."""
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M} UTC</time>'


def _render_lead(lead: str) -> str:
    return f'<p class="lead">{escape(lead)}</p>' if lead else ""


def _render_remark(remark: str) -> str:
    return f" <small>{escape(remark)}</small>" if remark else ""
