"""The same thing once a minute."""

from understudies.runtime.throttle import Throttle


def test_it_is_true_at_once_and_then_once_in_a_while() -> None:
    moments = iter([0.0, 59.9, 60.0, 61.0, 300.0])
    seldom = Throttle(60, timer=lambda: next(moments))
    assert [seldom() for _ in range(5)] == [True, False, True, False, True]
