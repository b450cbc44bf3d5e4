"""Audits that pile up."""

import asyncio
from typing import Any

import pytest
from tests.support.router_fixtures import FixedTeacher, InvocationCollector, make_call

from understudies.router.budgets.call_budget import NoBudget
from understudies.router.call import TeacherAnswer
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision
from understudies.router.serving import audits as module
from understudies.router.serving.audits import AuditQueue


class Slow(FixedTeacher):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def ask(self, call: Any, *, fresh: bool = False) -> TeacherAnswer:
        await self.may.wait()
        return await super().ask(call, fresh=fresh)


@pytest.mark.parametrize(("most", "most_bytes", "kept"), [(20, 10_000, 20), (1000, 500, 5)])
async def test_what_waits_for_a_slow_teacher_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, most: int, most_bytes: int, kept: int
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", most)
    monkeypatch.setattr(module, "_MAX_PENDING_BYTES", most_bytes)
    teacher, book = Slow(), InvocationCollector()
    audits = AuditQueue(teacher, NoBudget(), book)
    for number in range(30):
        audits.enqueue(InvocationBuilder(make_call(number, raw=b"x" * 100)), Decision("audit"), 1.0)
    assert (len(audits), audits.dropped) == (kept, 30 - kept)
    assert caplog.messages == ["1 audits dropped so far: the teacher is too slow for them"]
    teacher.may.set()
    await audits.wait_idle()
    assert len(book.events) == kept
    audits.enqueue(InvocationBuilder(make_call(99, raw=b"x" * 100)), Decision("audit"), 1.0)
    await audits.wait_idle()
    assert len(book.events) == kept + 1
