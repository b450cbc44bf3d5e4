from tests.support.trials import audit_of, traffic

from understudies.evaluator.audits import Awaited


def test_an_audit_finds_its_call_once() -> None:
    awaited = Awaited(keep=10)
    call, other = traffic(0, 2, drawn=0.5)
    awaited.remember(call)
    awaited.remember(other)
    assert awaited.pair(audit_of(call, "x")) == call
    assert awaited.pair(audit_of(call, "x")) is None
    assert awaited.pair(audit_of(other, "x")) == other


def test_a_call_that_could_not_be_drawn_is_not_kept() -> None:
    awaited = Awaited(keep=10)
    for call in (*traffic(0, 1), *traffic(1, 1, reason="control")):
        awaited.remember(call)
        assert awaited.pair(audit_of(call, "x")) is None


def test_the_oldest_is_forgotten_first() -> None:
    awaited = Awaited(keep=2)
    calls = traffic(0, 3, drawn=0.5)
    for call in calls:
        awaited.remember(call)
    assert [awaited.pair(audit_of(call, "x")) for call in calls] == [None, *calls[1:]]


def test_an_audit_of_nothing_finds_nothing() -> None:
    [call] = traffic(0, 1, drawn=0.5)
    assert Awaited(keep=1).pair(call) is None
