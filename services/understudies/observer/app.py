"""The observer: store events and build the datasets of authorised students."""

from collections.abc import Sequence
from datetime import datetime

from understudies.datasets.object_store import ObjectStore
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, NewId, Promotion
from understudies.observer.dataset_builder import DatasetBuilder
from understudies.observer.erasures import RepeatedErasures
from understudies.observer.queries import fetch_latest_promotions
from understudies.observer.settings import ObserverSettings
from understudies.observer.sink import StoreSink
from understudies.observer.totals.refresher import TotalsRefresher
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import Clock
from understudies.runtime.store import Store


class ObserverApp:
    """Consume all topics into the store; publish `collected` for every authorised student."""

    name = "observer"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 20_000

    def __init__(
        self,
        settings: ObserverSettings,
        *,
        bus: Bus,
        clock: Clock,
        store: Store,
        files: ObjectStore,
        new_id: NewId,
        buffer_bytes: int = 0,
    ) -> None:
        self._clock = clock
        self._bus = bus
        self.store = store
        self._sink = StoreSink(store, bus, buffer_bytes=buffer_bytes)
        self._erasures = RepeatedErasures(store)
        self._dataset_builder = DatasetBuilder(settings, bus=bus, store=store, files=files, new_id=new_id)
        self._totals = TotalsRefresher(store)

    async def start(self) -> None:
        """Migrate the tables, erase again what came again, and load the students whose datasets are not built yet."""
        await self.store.migrate()
        await self._erasures.repeat()
        await self._dataset_builder.load_pending()

    async def handle(self, records: Sequence[Record]) -> None:
        """Store the records first, so that a dataset includes this batch, then enqueue the authorised students.

        Datasets are built in the background, while further records are stored.
        """
        await self._sink.insert(records)
        decoded, _ = decode_records([record for record in records if record.topic == PROMOTIONS.name])
        authorised = [event for _, event in decoded if isinstance(event, Promotion) and event.stage == "authorised"]
        if authorised:
            await self._sink.flush()
        for event in authorised:
            self._dataset_builder.enqueue(event)

    async def fetch_latest_promotions(self) -> list[Promotion]:
        """Return the latest stage of every student, in order, to republish to a broker that lost its data."""
        return await fetch_latest_promotions(self.store)

    async def tick(self, now: datetime) -> None:
        """Erase again what came again, retry the datasets that are still due, and refresh the totals.

        But no totals beside a log that is played.
        """
        await self._erasures.repeat_due(now)
        self._dataset_builder.retry_due(now)
        if not self._bus.is_tracked:
            self._totals.refresh_due(now)

    async def stop(self) -> None:
        """Store what waits, and cancel what runs in the background; whoever opened the store closes it."""
        await self._sink.flush()
        await self._dataset_builder.stop()
        await self._totals.stop()


def create_app(
    settings: ObserverSettings,
    *,
    bus: Bus,
    clock: Clock,
    store: Store,
    files: ObjectStore,
    new_id: NewId,
    buffer_bytes: int = 0,
) -> ObserverApp:
    """Build the observer; up to `buffer_bytes` of events wait in memory to be stored in one batch."""
    return ObserverApp(
        settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id, buffer_bytes=buffer_bytes
    )
