import json
import logging

import pytest
from tests.support.trials import audit_of, traffic

from understudies.evaluator.pending_audits import PendingAudits
from understudies.events import Invocation, Route


def not_drawn(call: Invocation) -> Invocation:
    return call.model_copy(update={"route": Route(reason="promoted", audit_probability=0.5, drawn=False)})


def drawn(call: Invocation) -> Invocation:
    return call.model_copy(update={"route": Route(reason="promoted", audit_probability=0.5, drawn=True)})


def test_an_audit_finds_its_call_once() -> None:
    awaited = PendingAudits(capacity=10)
    call, other = traffic(0, 2, drawn=0.5)
    awaited.add(call)
    awaited.add(other)
    assert awaited.pop_audited(audit_of(call, "x")) == call
    assert awaited.pop_audited(audit_of(call, "x")) is None
    assert awaited.pop_audited(audit_of(other, "x")) == other


def test_a_call_that_could_not_be_drawn_is_not_kept() -> None:
    awaited = PendingAudits(capacity=10)
    for call in (*traffic(0, 1), *traffic(1, 1, reason="control")):
        awaited.add(call)
        assert awaited.pop_audited(audit_of(call, "x")) is None


def test_calls_that_were_not_drawn_do_not_push_out_one_that_was() -> None:
    awaited = PendingAudits(capacity=1)
    first, *others = traffic(0, 50)
    awaited.add(drawn(first))
    for call in others:
        awaited.add(not_drawn(call))
    assert awaited.pop_audited(audit_of(drawn(first), "x")) == drawn(first)


def test_an_audit_without_its_call_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    awaited = PendingAudits(capacity=10)
    with caplog.at_level(logging.WARNING):
        for call in traffic(0, 3):
            awaited.pop_audited(audit_of(call, "x"))
    assert awaited.unpaired == 3
    assert [record.message for record in caplog.records] == [
        "1 audits so far yield no verdict: the calls that they repeat are unknown"
    ]


def test_drawn_calls_survive_a_restart() -> None:
    before, after = PendingAudits(capacity=10), PendingAudits(capacity=2)
    calls = [drawn(call) for call in traffic(0, 3)]
    for call in calls:
        before.add(call)
    after.restore_state(json.loads(json.dumps(before.state())))
    assert [after.pop_audited(audit_of(call, "x")) for call in calls] == [None, *calls[1:]]


def test_the_oldest_is_forgotten_first() -> None:
    awaited = PendingAudits(capacity=2)
    calls = traffic(0, 3, drawn=0.5)
    for call in calls:
        awaited.add(call)
    assert [awaited.pop_audited(audit_of(call, "x")) for call in calls] == [None, *calls[1:]]


def test_an_audit_of_nothing_finds_nothing() -> None:
    [call] = traffic(0, 1, drawn=0.5)
    assert PendingAudits(capacity=1).pop_audited(call) is None
