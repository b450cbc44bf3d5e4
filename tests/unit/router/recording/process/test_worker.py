"""How the process that records shares the cores with the calls."""

import os

import pytest

from understudies.router.recording.process import worker


def test_others_are_let_by_only_while_few_events_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    yielded = 0

    def yielding() -> None:
        nonlocal yielded
        yielded += 1

    monkeypatch.setattr(os, "sched_yield", yielding)
    for waiting in (0, 20, 200):
        worker.yield_core(waiting)
    assert yielded == 3
    for waiting in (500, 5000, 10_000):
        worker.yield_core(waiting)
    assert yielded == 3
