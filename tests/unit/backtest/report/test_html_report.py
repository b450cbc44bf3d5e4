"""The report as JSON."""

from dataclasses import replace
from decimal import Decimal

import orjson
from tests.support.sample_report import START, build_sample_report

from understudies.backtest.report.html_report import render_html
from understudies.backtest.report.json_values import to_json
from understudies.backtest.report.report import DecisionEntry, LogSummary
from understudies.importers.recorded_call import SkippedLine


def test_the_report_is_written_under_its_keys() -> None:
    report = build_sample_report()
    written = orjson.loads(report.to_json())
    assert written == orjson.loads(orjson.dumps(report.to_dict()))
    assert {"tasks", "decisions", "input", "seed", "seconds", "version", "last_fifth", "calls"} <= set(written)
    task = written["tasks"]["ticket-triage"]
    assert set(written["last_fifth"]) < set(task)
    assert set(task) >= {"outcome", "profile", "series", "risk_coverage", "chosen", "roi", "last_fifth"}
    assert set(task["series"][0]) == {
        "at",
        "calls",
        "served",
        "agreed_served",
        "audited",
        "agreement",
        "lower",
        "upper",
        "day_agreement",
        "student",
        "cost_before",
        "cost_after",
    }
    assert set(task["risk_coverage"][0]) == {"coverage", "threshold", "agreement", "n", "lower"}
    assert task["chosen"] == {"threshold": 0.71, "coverage": 0.86}
    assert set(task["roi"]) == {"authorised", "realised"}
    assert written["tasks"]["marketing-copy"]["roi"] == {"authorised": None, "realised": None}
    assert written["tasks"]["marketing-copy"]["chosen"] is None
    assert task["judge"]["name"] == "label[before:dash]"
    assert task["judge"]["reads"].startswith("the label is the first line of the answer before a dash; explanations")


def test_only_the_first_broken_lines_are_listed_and_all_are_counted() -> None:
    source = LogSummary("calls", "native", 5, [SkippedLine(k, "no") for k in range(31)], 14.0)
    written = source.to_dict()
    assert (len(written["broken"]), written["broken_total"]) == (20, 31)
    assert written["broken"][0] == {"line": 0, "reason": "no"}


def test_skipped_lines_are_counted_by_reason_and_warnings_are_listed() -> None:
    skipped = [SkippedLine(1, "the call failed: status 500"), SkippedLine(2, "the call failed: status 429", "b.jsonl")]
    source = LogSummary("calls", "native", 5, skipped, 14.0, warnings=["notes: all answers are <none>"])
    written = source.to_dict()
    assert written["broken_by_reason"] == [
        {"reason": "the call failed", "lines": 2, "first": {"line": 1, "reason": "the call failed: status 500"}}
    ]
    assert written["broken"][1] == {"file": "b.jsonl", "line": 2, "reason": "the call failed: status 429"}
    assert written["warnings"] == ["notes: all answers are <none>"]
    page = render_html(replace(build_sample_report(), input=source))
    assert "notes: all answers are &lt;none&gt;" in page
    assert "the call failed: status 500" in page


def test_a_decision_is_written_with_its_evidence() -> None:
    evidence = {"cost": Decimal("0.0000004"), "at": START, "classes": ("a", {"b": float("nan")})}
    decision = DecisionEntry(START, "triage", "promoted", "triage@1", "good", evidence)
    assert decision.to_dict() == {
        "at": "2026-01-05T00:00:00Z",
        "task": "triage",
        "student": "triage@1",
        "event": "promoted",
        "reason": "good",
        "evidence": {"cost": 0.0, "at": "2026-01-05T00:00:00Z", "classes": ["a", {"b": None}]},
    }


def test_values_without_a_json_type_become_text() -> None:
    assert to_json({1: {2}, "z": 1j}) == {"1": [2], "z": "1j"}
