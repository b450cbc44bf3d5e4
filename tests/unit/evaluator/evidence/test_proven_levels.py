"""Audits are evidence on inputs as long as those can be told apart, and on calls always."""

from datetime import UTC, datetime, timedelta

import pytest

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence import proven_levels
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.proven_levels import ProvenLevelsTracker
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.stats.coverage import Threshold
from understudies.stats.levels import AgreementLevels

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def counted(tracker: ProvenLevelsTracker, stream: str) -> int:
    """How many verdicts of a stream count."""
    _, n = tracker.levels.state()["counts"][stream]
    return int(n[-1])


def audit(tracker: ProvenLevelsTracker, numbers: range, day: int = 0) -> None:
    """One audited call on each input, and the look at the day's end."""
    for number in numbers:
        at = MONDAY + timedelta(days=day, minutes=number)
        observation = Observation(1.0, 0.9, at, answer="yes")
        tracker.add_audit(observation, 0.5, Input(f"input {number}"), unseen=True, pace=1.0)
    tracker.look(MONDAY + timedelta(days=day + 1), timedelta(0), UsedInputs(), "triage@1")


def make_tracker() -> ProvenLevelsTracker:
    return ProvenLevelsTracker(AgreementLevels([Threshold(0.5, 1.0)], p0=0.95))


def test_an_input_that_is_audited_again_counts_once() -> None:
    tracker = make_tracker()
    audit(tracker, range(20))
    audit(tracker, range(10, 30), day=1)
    assert (counted(tracker, "inputs"), counted(tracker, "calls")) == (30, 40)


def test_beyond_the_limit_no_input_counts_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proven_levels, "_MAX_AUDITED_NAMES", 20)
    tracker = make_tracker()
    audit(tracker, range(50))
    assert (counted(tracker, "inputs"), counted(tracker, "calls")) == (20, 50)
    audit(tracker, range(100), day=1)
    assert (counted(tracker, "inputs"), counted(tracker, "calls")) == (20, 150)
    restored = make_tracker()
    restored.restore_state(tracker.state())
    audit(restored, range(200), day=2)
    assert (counted(restored, "inputs"), counted(restored, "calls")) == (20, 350)
