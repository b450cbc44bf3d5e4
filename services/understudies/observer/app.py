"""The observer: what happened?"""

from collections.abc import Sequence
from datetime import datetime

from understudies.datasets.object_store import ObjectStore
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, NewId, Promotion
from understudies.observer.dataset_builder import DatasetBuilder
from understudies.observer.queries import fetch_latest_promotions
from understudies.observer.settings import ObserverSettings
from understudies.observer.sink import StoreSink
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import Clock
from understudies.runtime.store import Store


class ObserverApp:
    """Consumes everything into the store; publishes `collected` for every student that is authorised."""

    name = "observer"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 20_000

    def __init__(
        self, settings: ObserverSettings, *, bus: Bus, clock: Clock, store: Store, files: ObjectStore, new_id: NewId
    ) -> None:
        self._clock = clock
        self._store = store
        self._sink = StoreSink(store, bus)
        self._dataset_builder = DatasetBuilder(settings, bus=bus, store=store, files=files, new_id=new_id)

    async def start(self) -> None:
        """Bring the tables up to date, and find what was authorised and not collected."""
        await self._store.migrate()
        await self._dataset_builder.load_pending()

    async def handle(self, records: Sequence[Record]) -> None:
        """Store first, so that what is collected includes this batch; it is collected while others are stored."""
        await self._sink.insert(records)
        decoded, _ = decode_records([record for record in records if record.topic == PROMOTIONS.name])
        for _, story in decoded:
            if isinstance(story, Promotion) and story.stage == "authorised":
                self._dataset_builder.enqueue(story)

    async def fetch_latest_promotions(self) -> list[Promotion]:
        """The latest stage of every student, in order: what a broker that forgot everything must be told again."""
        return await fetch_latest_promotions(self._store)

    async def tick(self, now: datetime) -> None:
        """Collect what is due still."""
        self._dataset_builder.retry_due(now)

    async def stop(self) -> None:
        """Give up what is being collected; the store is closed by who opened it."""
        await self._dataset_builder.stop()


def create_app(
    settings: ObserverSettings, *, bus: Bus, clock: Clock, store: Store, files: ObjectStore, new_id: NewId
) -> ObserverApp:
    """The observer, composed."""
    return ObserverApp(settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id)
