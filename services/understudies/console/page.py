"""The frame of a page: head, style, title and footer; and the pieces that pages share."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from understudies.backtest.report.formatting import MISSING_VALUE
from understudies.status.standing import Phase

TASK_PATH: Final = "/task"
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
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
_OWN_STYLE: Final = """
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 14px 24px; }
.grid { margin: 18px 0 4px; }
.grid dd { font-weight: 600; overflow-wrap: anywhere; }
.wait { margin-top: 14px; max-width: 92ch; overflow-wrap: anywhere; }
.alert { margin-top: 10px; color: var(--bad); overflow-wrap: anywhere; }
.caution { margin-top: 10px; color: var(--warn); overflow-wrap: anywhere; }
.last { margin-top: 6px; color: var(--soft); overflow-wrap: anywhere; }
.told { padding: 0; margin-top: 14px; list-style: none; }
.told li { padding: 9px 0; border-top: 1px solid var(--faint); overflow-wrap: anywhere; }
.told time { color: var(--soft); font-size: 13px; margin-right: 10px; }
.told b { margin-right: 8px; }
.decide { display: grid; gap: 12px; margin-top: 16px; max-width: 48ch; }
.decide label { display: grid; gap: 4px; font-size: 14px; color: var(--soft); }
.decide input, .decide select, .decide button { font: inherit; padding: 7px 9px; max-width: 100%; }
.decide input, .decide select { color: inherit; background: transparent; border: 1px solid var(--soft); }
.decide option { color: CanvasText; background: Canvas; }
nav { margin-top: 20px; }
"""


@cache
def _style() -> str:
    """Return the style of the backtest's report, which the console shares, and what it has beyond that."""
    return (files("understudies.backtest") / "templates" / "report.css").read_text(encoding="utf-8") + _OWN_STYLE


def render_page(title: str, headline: str, lead: str, body: str, footer: str, *, nav: str = "") -> str:
    """Return a whole page; `body` and `nav` are HTML, all else is text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{_style()}</style>
</head>
<body>
<main>
<header class="top">
<p class="mark">Understudies <span>Console</span></p>
{nav}
<h1>{escape(headline)}</h1>
{_render_lead(lead)}
</header>
{body}
<footer>{escape(footer)}</footer>
</main>
</body>
</html>
"""


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


def task_link(task: str) -> str:
    """Return the address of a task's page."""
    return f"{TASK_PATH}?name={quote(task, safe='')}"


def render_time(moment: datetime) -> str:
    """Return a time that people and programs can read."""
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M} UTC</time>'


def _render_lead(lead: str) -> str:
    return f'<p class="lead">{escape(lead)}</p>' if lead else ""


def _render_remark(remark: str) -> str:
    return f" <small>{escape(remark)}</small>" if remark else ""
