"""An observer at work, on an embedded broker and a throw-away store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.broker import embedded
from tests.support.store import migrated

from understudies.events import PROMOTIONS, Event, Promotion, SeededIds
from understudies.observer import ObserverApp, ObserverSettings, create_app
from understudies.runtime import Bus, BusSettings, Flow, Record, Store, SystemClock
from understudies.students import Dataset, Files, read_dataset


@dataclass
class Scene:
    """An observer, and what it published."""

    app: ObserverApp
    bus: Bus
    store: Store
    flow: Flow
    files: Files
    settings: BusSettings
    stories: list[Promotion] = field(default_factory=list)

    async def play(self, *events: Event) -> None:
        """Publish events and wait until they are handled, and what follows from them."""
        await self.bus.publish(*events)
        await self.flow.drained()

    async def count(self, table: str) -> int:
        (row,) = await self.store.query(f"SELECT count() AS n FROM {table} FINAL")
        return int(row["n"])

    def collected(self) -> Promotion:
        """The last `collected`."""
        return [story for story in self.stories if story.stage == "collected"][-1]

    def dataset(self) -> Dataset:
        story = self.collected()
        assert story.dataset is not None
        return read_dataset(self.files, story.dataset, story.task)


@asynccontextmanager
async def observing(folder: Path, *, max_examples: int = 1000) -> AsyncIterator[Scene]:
    """A started observer with a witness of the promotions."""
    async with embedded() as settings, migrated() as store:
        flow = Flow()
        bus, witness = Bus(settings, "observer", flow), Bus(settings, "witness", flow)
        files = Files(f"file://{folder}")
        app = create_app(
            ObserverSettings(max_examples=max_examples),
            bus=bus,
            clock=SystemClock(),
            store=store,
            files=files,
            new_id=SeededIds("observer"),
        )
        scene = Scene(app, bus, store, flow, files, settings)

        async def see(records: Sequence[Record]) -> None:
            scene.stories += [event for event in await witness.events(records) if isinstance(event, Promotion)]

        await app.start()
        bus.consume(app.topics, app.handle, max_records=app.max_records)
        witness.consume([PROMOTIONS], see)
        await bus.start()
        await witness.start()
        yield scene
        await bus.stop()
        await witness.stop()
        await app.stop()
