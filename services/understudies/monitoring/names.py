"""Define every metric of tasks, students and consumers in one place; docs/metrics.md is written from it.

Money is in US dollars, agreement and shares in [0, 1], durations in seconds, times in seconds since 1970, as Prometheus
has it. Counters end in `_total` on the wire. The label `task` is a task's name, qualified by its tenant if that has
tasks of its own.
"""

from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Family = CounterMetricFamily | GaugeMetricFamily


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric: its name without the suffix of counters, its kind, unit, labels, and what it says."""

    name: str
    kind: Literal["gauge", "counter"]
    unit: str
    labels: tuple[str, ...]
    about: str

    @property
    def on_the_wire(self) -> str:
        """The name of its samples."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def family(self) -> Family:
        """Return an empty family of samples."""
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        return kind(self.name, self.about, labels=self.labels)


def _task(name: str, kind: Literal["gauge", "counter"], unit: str, about: str, *labels: str) -> MetricName:
    return MetricName(f"understudies_task_{name}", kind, unit, ("task", *labels), about)


def _student(name: str, kind: Literal["gauge", "counter"], unit: str, about: str, *labels: str) -> MetricName:
    return MetricName(f"understudies_student_{name}", kind, unit, ("task", "student", *labels), about)


# Of the budget service
PHASE: Final = _task("phase", "gauge", "1", "1 for the phase that the task is in, 0 for the others.", "phase")
EXAMPLES: Final = _task("examples", "gauge", "inputs", "Distinct inputs with an answer of the teacher.")
EXAMPLES_NEEDED: Final = _task("examples_needed", "gauge", "inputs", "Examples that the next student needs.")
CALLS: Final = _task("calls", "counter", "calls", "Calls, without audits, cached answers and imported calls.")
SERVED: Final = _task("served", "counter", "calls", "Calls that a student served.")
ESCALATED: Final = _task("escalated", "counter", "calls", "Calls that a student left to the teacher.")
TEACHER_CALLS: Final = _task("teacher_calls", "counter", "calls", "Calls that the teacher answered.")
AUDITED: Final = _task("audited", "counter", "calls", "Calls on which the teacher was asked again.")
COST: Final = _task("cost_usd", "counter", "USD", "Spent on teacher, students, training, trials and audits.", "part")
SAVED: Final = _task("saved_usd", "gauge", "USD", "Saved to date, net of training, trials and audits; may be negative.")
PRICE: Final = _task("teacher_price_usd", "gauge", "USD", "Mean price of a teacher's answer.")
SHARE: Final = _task("share", "gauge", "share", "Share of the eligible calls that the student in force may serve.")
COVERAGE: Final = _task("coverage", "gauge", "share", "Share of all calls on which the student in force is proven.")
AUDITS: Final = _student("audits", "counter", "verdicts", "Audits of served calls that were compared; no spot checks.")
AUDITS_AGREED: Final = _student("audits_agreed", "counter", "verdicts", "Those audits that agreed.")
AUDIT_AGREEMENT: Final = _student("audit_agreement", "gauge", "share", "Share of the audits that agreed.")
AUDIT_BOUND: Final = _student(
    "audit_agreement_lower", "gauge", "share", "Lower bound of that agreement at 95%, valid at every look."
)
SHADOW_VERDICTS: Final = _student(
    "shadow_verdicts", "counter", "verdicts", "Verdicts in shadow, which on a live call are evidence for the student."
)

# Of the evaluator
REQUIRED: Final = _student("agreement_required", "gauge", "share", "Agreement that is promised and to be proven.")
GATE_AGREEMENT: Final = _student(
    "gate_agreement", "gauge", "share", "Agreement on distinct inputs, at the threshold in force or tested first."
)
GATE_BOUND: Final = _student("gate_agreement_lower", "gauge", "share", "Lower bound of that agreement at 95%.")
EVIDENCE: Final = _student(
    "gate_evidence", "gauge", "e-value", "Evidence of a gate at the threshold tested next.", "gate"
)
EVIDENCE_NEEDED: Final = _student("gate_evidence_needed", "gauge", "e-value", "Evidence that passes there.")
NEXT_LOOK: Final = _student("next_look_timestamp_seconds", "gauge", "s", "When the gates are evaluated next.")
DRIFT_EVIDENCE: Final = _student(
    "drift_evidence", "gauge", "e-value", "Statistic of a drift detector; at its threshold it raises the alarm.", "tier"
)
DRIFT_THRESHOLD: Final = _student("drift_threshold", "gauge", "e-value", "Threshold of that detector now.", "tier")
CONFIDENT_SHARE: Final = _student(
    "confident_share", "gauge", "share", "Share of today's calls (UTC) on which the serving student was sure enough."
)
CONFIDENT_EXPECTED: Final = _student(
    "confident_share_expected", "gauge", "share", "That share as it was proven; a fall from it needs attention."
)
JUDGE_MISSING: Final = MetricName(
    "understudies_judge_missing_verdicts",
    "counter",
    "verdicts",
    ("judge", "cause"),
    "Comparisons on which a model that judges gave no verdict: refused, budget, unavailable or late.",
)

# Of every service
LAG: Final = MetricName(
    "understudies_consumer_lag_events",
    "gauge",
    "events",
    ("service",),
    "Events that the broker told of and the service has not handled yet.",
)
READY: Final = MetricName("understudies_service_ready", "gauge", "1", ("service",), "1 once the service runs.")

BUDGET_METRICS: Final = (
    *(PHASE, EXAMPLES, EXAMPLES_NEEDED, CALLS, SERVED, ESCALATED, TEACHER_CALLS, AUDITED, COST, SAVED, PRICE, SHARE),
    *(COVERAGE, AUDITS, AUDITS_AGREED, AUDIT_AGREEMENT, AUDIT_BOUND, SHADOW_VERDICTS),
)
EVALUATOR_METRICS: Final = (
    *(REQUIRED, GATE_AGREEMENT, GATE_BOUND, EVIDENCE, EVIDENCE_NEEDED, NEXT_LOOK, DRIFT_EVIDENCE, DRIFT_THRESHOLD),
    *(CONFIDENT_SHARE, CONFIDENT_EXPECTED, JUDGE_MISSING),
)
SERVICE_METRICS: Final = (LAG, READY)
