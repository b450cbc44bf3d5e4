"""Open the data folder of a stopped `understudies up`: its store, and budget and evaluator from their snapshots."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from understudies.budget.app import BudgetApp
from understudies.budget.app import create_app as create_budget
from understudies.budget.settings import BudgetSettings
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.app import EvaluatorApp
from understudies.evaluator.app import create_app as create_evaluator
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import encode, new_id, topic_of
from understudies.observer.replay import replay_since
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import BusSettings, settings_from
from understudies.runtime.snapshots import Snapshot, SnapshotStore
from understudies.runtime.store import Store
from understudies.status.reader import StatusReader
from understudies.students.artifact import read_artifact
from understudies.students.student_cache import StudentCache

_NO_BUS: Final = BusSettings(bootstrap="nowhere:0")
"""The services are read, never run: nothing connects."""
_EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
_CLOCK_TOLERANCE: Final = timedelta(seconds=1)


@asynccontextmanager
async def open_saved_status(
    folder: Path, rules: RulesSource, *, store_url: str | None = None
) -> AsyncIterator[StatusReader]:
    """Yield a reader of the tasks as they were when the process that used the folder stopped.

    The caller holds the lock of the folder. Raises StopService if a snapshot is of another version.
    """
    store = await Store.open(store_url or f"chdb://{(folder / 'store').resolve()}")
    try:
        await store.migrate()
        files = ObjectStore(f"file://{(folder / 'artifacts').resolve()}")
        settings = settings_from(BudgetSettings)
        budget = create_budget(settings, bus=KafkaBus(_NO_BUS, "budget"), rules=rules, new_id=new_id)
        evaluator = create_evaluator(
            settings_from(EvaluatorSettings),
            bus=KafkaBus(_NO_BUS, "evaluator"),
            object_store=files,
            students=StudentCache(files),
            rules=rules,
            new_id=new_id,
        )
        snapshots = SnapshotStore(folder / "snapshots")
        await _restore(evaluator, snapshots)
        snapshot = await _restore(budget, snapshots)
        if snapshot is None or snapshot.since is not None:
            await _replay(store, budget, snapshot.since if snapshot else None)
        failures = await asyncio.to_thread(_find_unreadable, budget, files)
        yield StatusReader(
            store=store,
            budget=budget,
            evaluation=evaluator.evaluation,
            rules=rules,
            settings=settings,
            not_loaded=lambda: failures,
            files=files,
            source=f"data folder {folder}, of a process that has stopped",
        )
    finally:
        await store.close()


async def _restore(service: BudgetApp | EvaluatorApp, snapshots: SnapshotStore) -> Snapshot | None:
    """Restore a service from its snapshot, and return that."""
    snapshot = snapshots.load(service.name)
    if snapshot is None:
        return None
    try:
        await service.restore(snapshot.state)
    except (ValueError, KeyError, TypeError) as error:
        raise StopService(
            f"the snapshot of {service.name} does not fit this version ({error}): "
            "use the version that wrote it to read the folder"
        ) from error
    return snapshot


async def _replay(store: Store, budget: BudgetApp, since: datetime | None) -> None:
    """Fold what was stored after the snapshot, as after a kill; without a snapshot, everything, as a start would."""
    begin = _EARLIEST if since is None else since - _CLOCK_TOLERANCE
    async for events in replay_since(store, begin, budget.topics):
        await budget.handle([Record(topic_of(event).name, 0, -1, None, encode(event)) for event in events])


def _find_unreadable(budget: BudgetApp, files: ObjectStore) -> dict[str, str]:
    """Return why the students in force cannot be read, by name."""
    failures: dict[str, str] = {}
    for state in budget.tasks.values():
        student = state.serving
        if student is None:
            continue
        try:
            read_artifact(files, student.promotion.artifact or "")
        except (ArtifactError, RetryLater) as error:
            failures[student.name] = str(error)
    return failures
