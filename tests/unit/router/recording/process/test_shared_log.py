"""Memory that outlives the process that wrote to it: what was not sent is found there, whole and in order."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.recording.process.shared_log import SharedLog, read_unsent
from understudies.router.recording.process.unacked import UnackedQueue


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(["sent", "flushed"])), max_size=60))
def test_whatever_is_not_in_the_hands_of_the_kernel_is_found(steps: list[bytes | str]) -> None:
    log, queue = SharedLog(), UnackedQueue(10**6)
    queue.share(log)
    added: list[bytes] = []
    flushed = 0
    """The events that the other process receives in any case."""
    in_kernel = True
    sent = 0
    try:
        for step in steps:
            if isinstance(step, bytes):
                queue.add(step)
                added.append(step)
            elif step == "flushed":
                flushed, in_kernel = sent, True
            elif queue.take(flushed=in_kernel) is not None:
                sent, in_kernel = len(added), False
        assert read_unsent(log.descriptors, flushed) == added[flushed:]
    finally:
        log.close()


def test_events_of_any_size_fit_and_a_large_segment_is_made_small_again() -> None:
    log = SharedLog()
    try:
        large = os.urandom(9 << 20)
        log.append(0, b"small")
        log.append(1, large)
        assert read_unsent(log.descriptors, 0) == [b"small", large]
        assert read_unsent(log.descriptors, 1) == [large]
        log.rotate()
        log.append(2, b"next")
        assert read_unsent(log.descriptors, 1) == [large, b"next"]
        log.rotate()
        assert read_unsent(log.descriptors, 0) == [b"next"]
        assert sum(os.fstat(descriptor).st_size for descriptor in log.descriptors) == 2 << 20
    finally:
        log.close()


def test_without_memory_an_event_is_not_shared_and_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = SharedLog()

    def refuse(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    try:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
        log.append(0, b"before")
        log.append(1, bytes(2 << 20))
        log.append(2, b"after")
        assert read_unsent(log.descriptors, 0) == [b"before", b"after"]
        assert "cannot be shared" in caplog.text
    finally:
        log.close()
