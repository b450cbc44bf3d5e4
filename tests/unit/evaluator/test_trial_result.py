"""What a trial has found, as it is kept."""

import json

from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD, TrialResult
from understudies.events import ALWAYS, NOTHING_WITHHELD, Withheld


def test_state_round_trips() -> None:
    for finding in (
        TrialResult("reject"),
        TrialResult(
            "promote",
            0.5,
            1.0,
            Withheld(answers={"a": ALWAYS}, inputs=("often",), groups=("tenant=acme",)),
            0.42,
            ((0.95, 0.5), (0.99, 0.9)),
            "calendar",
        ),
    ):
        assert TrialResult.from_state(json.loads(json.dumps(finding.state()))) == finding


def test_a_finding_withholds_nothing_unless_it_says_so() -> None:
    assert TrialResult("promote", 0.5).withheld == NOTHING_WITHHELD
    assert not TrialResult("promote", 0.5).withheld


def test_no_confidence_reaches_what_serves_the_head_alone() -> None:
    assert UNREACHABLE_THRESHOLD > 1.0
