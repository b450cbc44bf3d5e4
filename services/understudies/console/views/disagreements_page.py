"""The page of a task's disagreements: the request, both answers, the judge's word, and what people think."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Final

from understudies.backtest.report.formatting import format_count
from understudies.console.page import (
    DISAGREEMENTS_PATH,
    MARKS_PATH,
    address,
    render_page,
    render_section,
    render_time,
    render_trail,
    student_link,
    task_link,
)
from understudies.console.reads.disagreements import MAX_SEARCH_CHARACTERS, Disagreement, DisagreementPage, Search
from understudies.events import Message
from understudies.judges.answer_text import answer_text

_MAX_EXCERPT: Final = 160
_MAX_TURNS: Final = 20
_MAX_CHARACTERS: Final = 8000
_PHASES: Final = {
    "validation": "held-out example",
    "shadow": "in shadow",
    "audit": "audit of a served answer",
    "succession": "by the teacher's successor",
}
_FILTERS: Final = {
    "": "All",
    "unmarked": "Not marked yet",
    "right": "Student right",
    "wrong": "Student wrong",
    "agreements": "Agreements to check",
}
_NOTE: Final = "Newest first. A mark is a note beside the evidence: no gate counts it."
_AGREEMENTS_NOTE: Final = (
    "Agreements by a judge that errs, in random order. Mark each as it comes: the student is wrong where its answer is "
    "not as good as the teacher’s. GET /marks gives all marks of a task, for “understudies judge”."
)
_MARK_WORDS: Final = {"right": "the student is right", "wrong": "the student is wrong"}


def render_disagreements(
    task: str,
    page: DisagreementPage,
    search: Search,
    marks: Mapping[str, int],
    *,
    may_mark: bool,
    name: str = "",
    whole: bool = True,
) -> str:
    """Return a page of disagreements; `name` fills the form's name of whoever marks, as a proxy told it."""
    items = "".join(
        _render_one(number, task, one, search, name if may_mark else None) for number, one in enumerate(page.rows, 1)
    )
    found = items or '<p class="wait">No disagreement was found.</p>'
    return render_page(
        f"Disagreements of {task} · Understudies",
        f"Where students disagreed with the teacher: {task}",
        _describe_marks(marks),
        _render_search(task, search) + found + _render_next(task, page, search),
        _AGREEMENTS_NOTE if search.mark == "agreements" else _NOTE,
        trail=render_trail(("/", "All tasks"), (task_link(task), task)),
        whole=whole,
    )


def _describe_marks(marks: Mapping[str, int]) -> str:
    right, wrong = marks.get("right", 0), marks.get("wrong", 0)
    if not right and not wrong:
        return "None is marked by a person yet."
    return f"People marked the student right in {format_count(right)} and wrong in {format_count(wrong)} of them."


def _render_search(task: str, search: Search) -> str:
    options = "".join(
        f'<option value="{value}"{" selected" if value == search.mark else ""}>{text}</option>'
        for value, text in _FILTERS.items()
    )
    student = f'<input type="hidden" name="student" value="{escape(search.student)}">' if search.student else ""
    return (
        f'<form class="search" method="get" action="{DISAGREEMENTS_PATH}" role="search">'
        f'<input type="hidden" name="task" value="{escape(task)}">{student}'
        f'<label>Text in the request, an answer or the judge’s word <input type="search" name="text" '
        f'maxlength="{MAX_SEARCH_CHARACTERS}" value="{escape(search.text)}"></label>'
        f'<label>Marked <select name="mark">{options}</select></label><button>Search</button></form>'
    )


def _render_one(number: int, task: str, one: Disagreement, search: Search, name: str | None) -> str:
    student = f'<a href="{escape(student_link(task, one.student))}">{escape(one.student)}</a>'
    confidence = "" if one.confidence is None else f", confidence {one.confidence:.3f}"
    tenant = "" if one.tenant in (None, "default") else f", tenant {escape(one.tenant or '')}"
    about = f'<p class="last">{student}, {_PHASES.get(one.phase, escape(one.phase))}{confidence}{tenant}</p>'
    answers = (
        '<div class="answers">'
        f"<div><h3>Teacher</h3>{_render_text(one.teacher_answer, f'Teacher’s answer {number}')}</div>"
        f"<div><h3>Student</h3>{_render_text(one.student_answer, f'Student’s answer {number}')}</div></div>"
    )
    why = f"<b>{escape(one.judge)}</b>: {escape(one.why or 'the answers differ')}"
    form = "" if name is None else _render_form(task, one, search, name, number)
    return render_section(
        f"d{number}",
        f"{one.at:%Y-%m-%d %H:%M:%S} UTC",
        f'{about}{_render_request(one, number)}{answers}<p class="wait">{why}</p>{_render_marked(one)}{form}',
    )


def _render_text(text: str | None, label: str) -> str:
    if not text:
        return '<p class="empty">Not stored.</p>'
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(shown)}</pre>'


def _render_request(one: Disagreement, number: int) -> str:
    if one.conversation is None:
        return '<p class="last">The request is not stored any more.</p>'
    turns = one.conversation[-_MAX_TURNS:]
    left_out = len(one.conversation) - len(turns)
    head = f'<p class="last">{format_count(left_out)} earlier messages are left out.</p>' if left_out else ""
    shown = "".join(
        _render_turn(turn, f"{turn.role} {place} of request {number}") for place, turn in enumerate(turns, 1)
    )
    asked = next((turn for turn in reversed(turns) if turn.role == "user"), turns[-1]) if turns else None
    text = " ".join(answer_text(asked, _MAX_CHARACTERS).split()) if asked else ""
    excerpt = f": {escape(text[:_MAX_EXCERPT])}{'…' if len(text) > _MAX_EXCERPT else ''}" if text else ""
    return f'<details><summary><b>Request</b>{excerpt}</summary>{head}<div class="turns">{shown}</div></details>'


def _render_turn(turn: Message, label: str) -> str:
    return f"<div><h3>{escape(turn.role)}</h3>{_render_text(answer_text(turn, _MAX_CHARACTERS), label)}</div>"


def _render_marked(one: Disagreement) -> str:
    if one.marked is None:
        return ""
    marked = one.marked
    note = f": {marked.note}" if marked.note else ""
    text = escape(f"{marked.by} says {_MARK_WORDS[marked.mark]}{note}")
    return f'<p class="caution">{render_time(marked.at)} {text}</p>'


def _render_form(task: str, one: Disagreement, search: Search, name: str, number: int) -> str:
    back = _page_address(task, search, search.before)
    return (
        f'<form class="mark" method="post" action="{MARKS_PATH}" aria-label="Mark disagreement {number}">'
        f'<input type="hidden" name="task" value="{escape(task)}">'
        f'<input type="hidden" name="verdict" value="{escape(one.id)}">'
        f'<input type="hidden" name="back" value="{escape(back)}">'
        '<label>Your name <input name="by" required maxlength="200" autocomplete="name" '
        f'value="{escape(name)}"></label>'
        '<label>Note <input name="note" maxlength="2000" autocomplete="off"></label>'
        '<button name="mark" value="right">Student is right</button>'
        '<button name="mark" value="wrong">Student is wrong</button>'
        f"{_render_take_back(one)}</form>"
    )


def _render_take_back(one: Disagreement) -> str:
    return '<button name="mark" value="">Take the mark back</button>' if one.marked else ""


def _render_next(task: str, page: DisagreementPage, search: Search) -> str:
    first = f'<a href="{escape(_page_address(task, search, None))}">Newest</a>' if search.before else ""
    older = f'<a href="{escape(_page_address(task, search, page.next_before))}">Older</a>' if page.next_before else ""
    return f'<nav class="pages" aria-label="More disagreements">{first}{older}</nav>' if first or older else ""


def _page_address(task: str, search: Search, before: tuple[datetime, str] | None) -> str:
    where = "" if before is None else f"{before[0].isoformat()}|{before[1]}"
    return address(
        DISAGREEMENTS_PATH, task=task, text=search.text, student=search.student, mark=search.mark, before=where
    )
