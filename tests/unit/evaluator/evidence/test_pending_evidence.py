"""Verdicts that wait come back from a snapshot as they were, also from one that spells every default out."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.sample_events import START

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence

BARE = Observation(1.0, 0.9, START)
FULL = Observation(
    0.0,
    0.5,
    START + timedelta(microseconds=7),
    answer_class="refund",
    served_from=0.4,
    answer="label:other",
    groups=("tenant=acme", "desk=global"),
    head="a head",
    copies="a group",
)


def pending() -> PendingEvidence:
    """Two verdicts of one episode, and one alone."""
    waiting = PendingEvidence()
    waiting.add(Input("a" * 64, "text:1", episode="e", reading="reading:1"), FULL)
    waiting.add(Input("b" * 64, "text:2", ("text:1",), episode="e"), BARE)
    waiting.add(Input("c" * 64), BARE)
    return waiting


def test_what_waits_is_the_same_after_a_restart() -> None:
    state = json.loads(json.dumps(pending().state()))
    restored = PendingEvidence.from_state(state)
    assert restored.state() == state
    [first, second] = restored.pop_due(START + timedelta(days=1), timedelta())
    assert [observation for _, observation in first.members] == [FULL, BARE]
    assert [observation for _, observation in second.members] == [BARE]
    assert first.members[0][0] == Input("a" * 64, "text:1", episode="e", reading="reading:1")
    assert first.episodes == {"e"}


def test_what_is_as_by_default_is_not_written_and_was_read_where_it_is() -> None:
    [_, alone] = pending().state()
    [call] = alone["calls"]
    assert call == {"score": 1.0, "confidence": 0.9, "at": "2025-03-03T09:00:00Z", "fingerprint": "c" * 64}
    spelt = dict.fromkeys(("answer_class", "served_from", "head", "copies", "text", "reading", "episode"))
    older = [{"earlier": [], "calls": [{**call, **spelt, "answer": "", "groups": []}]}]
    restored = PendingEvidence.from_state(older)
    assert restored.contains(Input("c" * 64))
    assert restored.state() == [alone]


def test_a_snapshot_is_written_again_as_it_was_until_it_is_needed() -> None:
    state = pending().state()
    restored = PendingEvidence.from_state(state)
    assert (restored.state(), len(restored)) == (state, 2)
    assert restored.state()[0] is state[0]
    restored.add(Input("d" * 64), BARE)
    assert (len(restored), len(restored.state())) == (3, 3)
    assert len(state) == 2


@pytest.mark.parametrize("state", [{}, [{"earlier": []}], [{"earlier": [], "calls": [{"score": "high"}]}]])
def test_what_does_not_fit_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match="pending evidence"):
        PendingEvidence.from_state(state)
