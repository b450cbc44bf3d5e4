"""A tenant's disagreements are looked for in windows of its own calls: pages lead through all of them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.sample_events import START, event_ids, make_invocation
from tests.support.stores import open_migrated_store

from understudies.console.reads import disagreements
from understudies.console.reads.disagreements import Search, fetch_disagreements
from understudies.events import Invocation, Verdict, encode
from understudies.runtime.store import Store

HOURS = 12


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_migrated_store() as opened:
        yield opened


def make_hour(hour: int) -> tuple[list[Invocation], list[Verdict]]:
    """Two calls of acme and one of another, of which a student disagreed on the first and the last."""
    at = START + timedelta(hours=hour)
    calls = [
        make_invocation(f"call {hour} {number}", at=at + timedelta(minutes=number), tenant=tenant)
        for number, tenant in enumerate(("acme", "acme", "other"))
    ]
    return calls, [
        Verdict(
            id=f"v-{hour:02}-{call.tenant}", at=call.at, task="triage", invocation=call.id, student="triage@1",
            phase="shadow", agreed=False, score=0.0, judge="label", confidence=0.9, fingerprint=event_ids(call.at),
        )
        for call in (calls[0], calls[2])
    ]  # fmt: skip


async def test_pages_lead_through_all_windows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disagreements, "_WINDOW_CALLS", 6)
    hours = [make_hour(hour) for hour in range(HOURS)]
    await store.insert("invocations", [encode(call) for calls, _ in hours for call in calls])
    await store.insert("verdicts", [encode(verdict) for _, verdicts in hours for verdict in verdicts])
    found, pages, before = list[str](), 0, None
    while pages == 0 or before is not None:
        page = await fetch_disagreements(store, "triage", Search(before=before), "acme")
        found += [row.id for row in page.rows]
        assert before is None or page.next_before is None or page.next_before < before
        before, pages = page.next_before, pages + 1
    assert found == [f"v-{hour:02}-acme" for hour in reversed(range(HOURS))]
    assert pages > 2


async def test_all_windows_without_a_disagreement_end(store: Store) -> None:
    calls, _ = make_hour(0)
    await store.insert("invocations", [encode(call) for call in calls])
    page = await fetch_disagreements(store, "triage", Search(), "acme")
    assert (page.rows, page.next_before) == ([], None)
    early = Search(before=(START - timedelta(days=60), "v"))
    nobody = await fetch_disagreements(store, "triage", early, "x")
    assert (nobody.rows, nobody.next_before) == ([], None)
