"""What a client recorded to its corpus or to the bus, for tests."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.support.tansu_broker import TansuBroker, read_events

from understudies.client import Understudies
from understudies.events import INVOCATIONS, Invocation


def corpus_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a corpus."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@contextmanager
def local(path: Path, **options: Any) -> Iterator[Understudies]:
    """A client that records to a file, closed at the end."""
    with Understudies(corpus=path, **options) as client:
        yield client


@asynccontextmanager
async def on_the_bus(tansu: TansuBroker, **options: Any) -> AsyncIterator[Understudies]:
    """A client that records to a broker, closed at the end."""
    async with Understudies(tansu.bootstrap, **options) as client:
        yield client


async def invocations(tansu: TansuBroker, count: int) -> list[Invocation]:
    """The first invocations on the bus, oldest first."""
    found = [event for event in await read_events(tansu.bootstrap, INVOCATIONS, count) if isinstance(event, Invocation)]
    return sorted(found, key=lambda event: event.id)
