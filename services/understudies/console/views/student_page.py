"""The page of one student: what it is made of, what became of it, and what its gates said."""

from collections.abc import Iterator
from html import escape

from understudies.backtest.report.formatting import (
    MISSING_VALUE,
    format_count,
    format_label,
    format_percent,
    format_usd,
    format_value,
)
from understudies.console.page import (
    render_facts,
    render_page,
    render_section,
    render_table,
    render_time,
    render_trail,
    task_link,
)
from understudies.console.reads.students import StudentDetails
from understudies.datasets.teacher_lineage import retirement_of
from understudies.status.wording import event_words
from understudies.students.artifact import Manifest

_PHASES = {
    "validation": "held-out examples",
    "shadow": "shadow answers",
    "audit": "audits of what it served",
    "succession": "answers of the teacher's successor",
}
_MAX_CHARACTERS = 400
_LABELS = {"n": "Validation calls"}
_CHARTED = ("risk_coverage",)
"""Fields that the page of the task draws."""


def render_student_page(details: StudentDetails) -> str:
    """Return the page of a student."""
    latest = details.stages[-1]
    kind = f"{details.manifest.kind}, " if details.manifest else ""
    reason = f": {latest.reason}" if latest.reason else ""
    body = "".join(
        (
            render_section("lineage", "Lineage", _render_lineage(details)),
            render_section("verdicts", "Verdicts", _render_verdicts(details)),
            render_section("manifest", "Manifest", _render_manifest(details)),
            render_section("decisions", "Decisions of its gates, the latest first", _render_decisions(details)),
        )
    )
    return render_page(
        f"{details.student} · Understudies",
        details.student,
        f"{kind}{event_words(latest.stage)} since {latest.at:%Y-%m-%d %H:%M} UTC{reason}.",
        body,
        "Figures in UTC and US dollars.",
        trail=render_trail(("/", "All tasks"), (task_link(details.task), details.task)),
    )


def _render_lineage(details: StudentDetails) -> str:
    rows = (
        [
            render_time(stage.at),
            escape(event_words(stage.stage)),
            _served(stage.share, stage.threshold) if stage.stage == "promoted" else "",
            escape(stage.reason),
        ]
        for stage in details.stages
    )
    table = render_table("Stages of the student", ("At", "Stage", "Serves", "Reason"), rows, "rows reasons")
    dataset = next((stage.dataset for stage in reversed(details.stages) if stage.dataset), None)
    artifact = next((stage.artifact for stage in reversed(details.stages) if stage.artifact), None)
    facts = [("Dataset", dataset or MISSING_VALUE, ""), ("Artifact", artifact or MISSING_VALUE, "")]
    return render_facts(facts, "grid wide") + table


def _served(share: float, threshold: float | None) -> str:
    sure = "" if threshold is None else f", from confidence {threshold:.3f}"
    return escape(f"{format_percent(share, 0)} of the eligible calls{sure}")


def _render_verdicts(details: StudentDetails) -> str:
    if not details.verdicts:
        return '<p class="empty">It was not compared with the teacher yet.</p>'
    rows = (
        [
            escape(_PHASES.get(found.phase, found.phase)),
            format_count(found.compared),
            format_count(found.agreed),
            format_percent(found.agreed / found.compared),
            render_time(found.last_at),
        ]
        for found in details.verdicts
    )
    return render_table("Verdicts by phase", ("Compared on", "Verdicts", "Agreed", "Share", "Last"), rows)


def _render_manifest(details: StudentDetails) -> str:
    manifest = details.manifest
    if manifest is None:
        return f'<p class="empty">{escape(details.unreadable)}</p>'
    rows = ([escape(name), escape(text)] for name, text in _manifest_rows(manifest))
    files = ([escape(name), f"<code>{escape(digest)}</code>"] for name, digest in manifest.files.items())
    return render_table("Fields of the manifest", ("Field", "Value"), rows) + render_table(
        "Files", ("File", "SHA-256"), files
    )


def _manifest_rows(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "Kind", manifest.kind
    yield "Created", f"{manifest.created:%Y-%m-%d %H:%M} UTC"
    yield "Dataset, by its digest", manifest.dataset_digest
    yield "Examples by split", ", ".join(f"{name} {format_count(n)}" for name, n in manifest.splits.items())
    yield "Teachers", ", ".join(manifest.teachers) or MISSING_VALUE
    for teacher in manifest.teachers:
        yield f"May answers of {teacher} train a model", manifest.terms.get(teacher) or "not recorded"
        retirement = retirement_of(teacher)
        if retirement is not None:
            yield f"{teacher} is retired on", f"{retirement.on.isoformat()} ({retirement.source})"
    yield "Base model", manifest.base_model or MISSING_VALUE
    yield "Licence of the base model", manifest.licence or MISSING_VALUE
    yield "Training cost", format_usd(manifest.cost_usd)
    yield "Training took", f"{manifest.seconds:,.1f} s"
    if manifest.consents:
        said = ", ".join(f"{count} {name}" for name, count in manifest.consents.items())
        yield "Owners' consent to the examples", said
    yield "Teacher's terms allow distillation", _consent(manifest.consent.distillation)
    yield "Personal data among the examples", _consent(manifest.consent.personal_data)
    for name, value in {**manifest.hyper_parameters, **manifest.metrics}.items():
        if name not in _CHARTED:
            yield _LABELS.get(name) or format_label(name), _shorten(_describe(name, value))


def _describe(name: str, value: object) -> str:
    """Return a field's value in words, also that of a list or of further fields."""
    if isinstance(value, dict):
        return ", ".join(f"{format_label(str(key))} {_describe(str(key), item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_describe(name, item) for item in value) or MISSING_VALUE
    return format_value(name, value)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _consent(declared: bool | None) -> str:
    return "not declared" if declared is None else "yes" if declared else "no"


def _render_decisions(details: StudentDetails) -> str:
    if not details.decisions:
        return '<p class="empty">Its gates have not decided yet.</p>'
    rows = (
        [
            render_time(look.at),
            escape(event_words(f"gate: {look.decision}")),
            MISSING_VALUE if look.threshold is None else f"{look.threshold:.3f}",
            format_percent(look.coverage),
            escape(look.reason),
        ]
        for look in details.decisions
    )
    head = ("At", "Decision", "From confidence", "Coverage", "Reason")
    return render_table("Decisions of its gates", head, rows, "rows reasons")
