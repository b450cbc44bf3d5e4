"""An observer at work, on an embedded broker and a throw-away store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.brokers import open_embedded
from tests.support.stores import open_migrated_store

from understudies.datasets.dataset import Dataset, read_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import PROMOTIONS, Event, Promotion, SeededIds
from understudies.observer.app import ObserverApp, create_app
from understudies.observer.settings import ObserverSettings
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import SystemClock
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store


@dataclass
class ObserverHarness:
    """An observer, and what it published."""

    app: ObserverApp
    bus: Bus
    store: Store
    in_flight: InFlightTracker
    files: ObjectStore
    settings: BusSettings
    promotions: list[Promotion] = field(default_factory=list)

    async def publish_and_wait(self, *events: Event) -> None:
        """Publish events and wait until they are handled, and what follows from them."""
        await self.bus.publish(*events)
        await self.in_flight.wait_until_idle()

    async def count(self, table: str) -> int:
        (row,) = await self.store.query(f"SELECT count() AS n FROM {table} FINAL")
        return int(row["n"])

    def last_collected(self) -> Promotion:
        """The last `last_collected`."""
        return [story for story in self.promotions if story.stage == "collected"][-1]

    def read_last_dataset(self) -> Dataset:
        story = self.last_collected()
        assert story.dataset is not None
        return read_dataset(self.files, story.dataset, story.task)


@asynccontextmanager
async def run_observer(folder: Path, *, max_examples: int = 1000) -> AsyncIterator[ObserverHarness]:
    """A started observer with a witness of the promotions."""
    async with open_embedded() as settings, open_migrated_store() as store:
        flow = InFlightTracker()
        bus, witness = KafkaBus(settings, "observer", flow), KafkaBus(settings, "witness", flow)
        files = ObjectStore(f"file://{folder}")
        app = create_app(
            ObserverSettings(max_examples=max_examples),
            bus=bus,
            clock=SystemClock(),
            store=store,
            files=files,
            new_id=SeededIds("observer"),
        )
        scene = ObserverHarness(app, bus, store, flow, files, settings)

        async def see(records: Sequence[Record]) -> None:
            scene.promotions += [
                event for event in await witness.decode_events(records) if isinstance(event, Promotion)
            ]

        await app.start()
        bus.consume(app.topics, app.handle, max_records=app.max_records)
        witness.consume([PROMOTIONS], see)
        await bus.start()
        await witness.start()
        yield scene
        await bus.stop()
        await witness.stop()
        await app.stop()
