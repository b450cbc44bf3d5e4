"""An erasure removes a tenant's or a request's calls and what was made of them, tells whom they taught, and is kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.sample_events import START, event_ids, make_invocation, make_promotion, make_verdict_on
from tests.support.stores import STORES

from understudies.datasets.dataset import Example, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.erasure.erasure import Eraser
from understudies.erasure.request import ErasureReport, ErasureRequest, describe_problems
from understudies.events import Event, Invocation, Promotion, encode, topic_of
from understudies.observer.erasures import RepeatedErasures
from understudies.observer.totals import refresh_tenant_totals, refresh_totals
from understudies.runtime.clock import VirtualClock
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.store import Store

NOW = START + timedelta(days=2)
SERVING, ENDED = "artifacts/" + "a" * 64, "artifacts/" + "b" * 64


@dataclass
class Installation:
    """A store with calls of two tenants, students that learned from them, and cached answers."""

    store: Store
    files: ObjectStore
    online: MemoryOnlineState = field(default_factory=MemoryOnlineState)
    published: list[Promotion] = field(default_factory=list)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOW))

    async def insert(self, *events: Event) -> None:
        for event in events:
            await self.store.insert(topic_of(event).name, [encode(event)])

    def write_dataset(self, *calls: Invocation) -> str:
        """The reference of a dataset of these calls."""
        examples = [
            Example(
                id=call.id,
                at=call.at,
                fingerprint=call.fingerprint,
                split="train",
                teacher=call.model,
                request=call.request,
                answer=call.response.message,
            )
            for call in calls
            if call.response is not None
        ]
        return write_dataset(self.files, calls[0].task, examples)[0]

    async def erase(self, **request: Any) -> ErasureReport:
        eraser = Eraser(
            store=self.store,
            files=self.files,
            online=self.online,
            publish=self._publish,
            clock=self.clock,
            new_id=event_ids,
        )
        return await eraser.run(ErasureRequest(by="ada", why="contract ended", **request))

    async def _publish(self, event: Promotion) -> None:
        self.published.append(event)

    async def texts(self) -> set[str]:
        """What the calls in the store ask."""
        rows = await self.store.query("SELECT request FROM invocations FINAL")
        return {row["request"].split('"content":"')[1].split('"')[0] for row in rows}

    async def rows(self, table: str) -> int:
        return int((await self.store.query(f"SELECT count() AS n FROM {table} FINAL"))[0]["n"])


@pytest.fixture(params=sorted(STORES))
async def installation(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Installation]:
    async with STORES[request.param]() as store:
        scene = Installation(store, ObjectStore(f"file://{tmp_path}"))
        secret = make_invocation("secret", tenant="acme")
        shared = [make_invocation("shared", tenant=tenant) for tenant in ("acme", "other")]
        other, letter = make_invocation("open", tenant="other"), make_invocation("a letter", task="letters")
        verdicts = [make_verdict_on(call) for call in (secret, *shared, other)]
        await scene.insert(secret, *shared, other, letter, *verdicts)
        mark = b'{"task": "triage", "verdict": "%s", "at": "2025-03-03T09:00:00Z", "mark": "student", "note": "b"}'
        await store.insert("marks", [mark % verdict.id.encode() for verdict in (verdicts[0], verdicts[3])])
        tainted, clean = scene.write_dataset(secret, other), scene.write_dataset(other)
        scene.files.write(f"{SERVING}/manifest.json", b"{}")
        scene.files.write(f"{ENDED}/manifest.json", b"{}")
        await scene.insert(
            make_promotion("rejected", version=1, minutes=1, dataset=tainted, artifact=ENDED),
            make_promotion("promoted", version=2, minutes=2, dataset=tainted, artifact=SERVING),
            make_promotion("trained", version=3, minutes=3, dataset=clean, artifact="artifacts/" + "c" * 64),
            make_promotion("promoted", task="letters", minutes=3, dataset=scene.write_dataset(letter)),
        )
        await scene.online.put("cached", b"answer", 1000)
        yield scene


async def test_without_a_word_to_execute_nothing_changes(installation: Installation) -> None:
    report = await installation.erase(tenant="acme")
    assert (report.id, report.calls, report.verdicts, report.marks) == (None, 2, 2, 1)
    assert report.tasks == {"triage": 2}
    assert await installation.rows("invocations") == 5
    assert await installation.rows("erasures") == 0
    assert installation.published == []
    assert await installation.online.get("cached") == b"answer"
    assert all(installation.files.exists(one) for one in (*report.datasets, *report.artifacts))


async def test_a_tenants_calls_go_with_all_that_was_made_of_them(installation: Installation) -> None:
    report = await installation.erase(tenant="acme", execute=True)
    assert [(one.name, one.stage) for one in report.students] == [("triage@1", "rejected"), ("triage@2", "promoted")]
    assert await installation.texts() == {"shared", "open", "a letter"}
    assert [await installation.rows(table) for table in ("verdicts", "marks", "promotions")] == [2, 1, 4]
    assert len(report.datasets) == 1
    assert not installation.files.exists(report.datasets[0])
    assert report.artifacts == (ENDED,)
    assert not installation.files.exists(ENDED)
    assert installation.files.exists(f"{SERVING}/manifest.json")
    assert await installation.online.get("cached") is None


async def test_totals_count_what_is_left(installation: Installation) -> None:
    await refresh_totals(installation.store)
    await refresh_tenant_totals(installation.store)
    await installation.erase(tenant="acme", execute=True)
    await refresh_totals(installation.store)
    await refresh_tenant_totals(installation.store)
    hours = await installation.store.query("SELECT tenant, counted FROM invocation_hours FINAL")
    assert {row["tenant"]: row["counted"] for row in hours} == {"other": 2, "default": 1}
    (days,) = await installation.store.query("SELECT sum(counted) AS n FROM verdict_days FINAL")
    assert days["n"] == 2


async def test_new_students_are_asked_for_by_whom_and_why(installation: Installation) -> None:
    report = await installation.erase(tenant="acme", execute=True)
    [event] = installation.published
    assert event.steering is not None
    assert (event.task, event.steering.action, event.steering.by) == ("triage", "retrain", "ada")
    assert event.reason == f"erasure {report.id} (contract ended): triage@2 learned from what was erased"
    [row] = await installation.store.query("SELECT * FROM erasures FINAL")
    assert (row["id"], row["tenant"], row["by"], row["why"]) == (report.id, "acme", "ada", "contract ended")
    assert ErasureReport.model_validate_json(row["report"]) == report


async def test_once_a_successor_serves_a_second_run_removes_the_artifact(installation: Installation) -> None:
    await installation.erase(tenant="acme", execute=True)
    retired = make_promotion("retired", version=2, minutes=90, artifact=SERVING)
    await installation.insert(retired)
    installation.clock.set(NOW + timedelta(hours=1))
    again = await installation.erase(tenant="acme", execute=True)
    assert (again.calls, again.artifacts, again.retrained) == (0, (SERVING,), ())
    assert not installation.files.exists(SERVING)


async def test_a_requests_calls_go_whoever_made_them_and_no_others(installation: Installation) -> None:
    [asked] = {call.fingerprint for call in (make_invocation("shared"),)}
    report = await installation.erase(fingerprint=asked, execute=True)
    assert (report.calls, report.students, report.datasets) == (2, (), ())
    assert await installation.texts() == {"secret", "open", "a letter"}
    of_one = await installation.erase(fingerprint=make_invocation("secret").fingerprint, tenant="other")
    assert of_one.calls == 0


async def test_what_comes_again_is_erased_again_and_what_comes_later_stays(installation: Installation) -> None:
    await installation.erase(tenant="acme", execute=True)
    old, new = (
        make_invocation("from a spool", tenant="acme"),
        make_invocation("new", tenant="acme", at=NOW + timedelta(1)),
    )
    await installation.insert(old, new, make_verdict_on(old))
    erasures = RepeatedErasures(installation.store)
    await erasures.repeat_due(NOW)
    assert await installation.texts() == {"shared", "open", "a letter", "new"}
    assert await installation.rows("verdicts") == 2
    await installation.insert(old)
    await erasures.repeat_due(NOW + timedelta(minutes=59))
    assert "from a spool" in await installation.texts()
    await erasures.repeat_due(NOW + timedelta(minutes=61))
    assert "from a spool" not in await installation.texts()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "name a tenant, a fingerprint, or both"),
        ({"fingerprint": "abc"}, "fingerprint: a fingerprint has 64 hexadecimal digits"),
        ({"fingerprint": "' OR 1 = 1 --"}, "fingerprint: a fingerprint has 64 hexadecimal digits"),
        ({"tenant": "acme", "by": " "}, "by: String should have at least 1 character"),
    ],
)
def test_a_request_names_what_goes_and_who_asks(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        ErasureRequest.model_validate({"by": "ada", "why": "contract ended", **given})
    assert describe_problems(error.value).startswith(told)
    assert "OR 1" not in describe_problems(error.value)


async def test_what_was_written_near_an_erased_call_goes_with_it(installation: Installation) -> None:
    near = make_invocation("like the secret", origin="synthetic")
    of_others = make_invocation("like a letter", task="letters", origin="synthetic")
    await installation.insert(near, of_others)
    report = await installation.erase(tenant="acme")
    assert report.calls == 3
    await installation.erase(tenant="acme", execute=True)
    texts = await installation.texts()
    assert "like the secret" not in texts
    assert {"open", "a letter", "like a letter"} <= texts
