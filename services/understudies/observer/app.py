"""The observer: what happened?"""

from collections.abc import Sequence
from datetime import datetime

from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, NewId, Promotion
from understudies.observer.collect import collect
from understudies.observer.reads import in_force, stages_of
from understudies.observer.settings import ObserverSettings
from understudies.observer.sink import Sink
from understudies.runtime import Bus, Clock, Record, Store, decode
from understudies.students import Files


class ObserverApp:
    """Consumes everything into the store; publishes `collected` for every student that is authorised."""

    name = "observer"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 20_000

    def __init__(
        self, settings: ObserverSettings, *, bus: Bus, clock: Clock, store: Store, files: Files, new_id: NewId
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._store = store
        self._files = files
        self._new_id = new_id
        self._sink = Sink(store, bus)

    async def start(self) -> None:
        """Bring the tables up to date."""
        await self._store.migrate()

    async def handle(self, records: Sequence[Record]) -> None:
        """Store first, so that what is collected includes this batch."""
        await self._sink.insert(records)
        decoded, _ = decode([record for record in records if record.topic == PROMOTIONS.name])
        for _, story in decoded:
            if isinstance(story, Promotion) and await self._is_due(story):
                await self._bus.publish(await collect(story, self._store, self._files, self._new_id, self._settings))

    async def _is_due(self, story: Promotion) -> bool:
        return story.stage == "authorised" and await stages_of(self._store, story.task, story.student) == {"authorised"}

    async def in_force(self) -> list[Promotion]:
        """The latest stage of every student, in order: what a broker that forgot everything must be told again."""
        return await in_force(self._store)

    async def tick(self, now: datetime) -> None:
        """Nothing here waits for a span of time."""

    async def stop(self) -> None:
        """The store is closed by who opened it."""


def create_app(
    settings: ObserverSettings, *, bus: Bus, clock: Clock, store: Store, files: Files, new_id: NewId
) -> ObserverApp:
    """The observer, composed."""
    return ObserverApp(settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id)
