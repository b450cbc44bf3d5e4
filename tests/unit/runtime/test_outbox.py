import json

import pytest
from tests.support.recorder import Recorder
from tests.support.samples import SAMPLES

from understudies.runtime import RetryLater
from understudies.runtime.outbox import Outbox

EVENTS = list(SAMPLES.values())


async def test_what_it_takes_is_published_once_in_order() -> None:
    bus = Recorder()
    outbox = Outbox(bus.bus)
    outbox.add(EVENTS[:2])
    outbox.add(EVENTS[2:])
    await outbox.flush()
    await outbox.flush()
    assert (bus.published, len(outbox)) == (EVENTS, 0)


async def test_what_was_not_taken_stays() -> None:
    bus = Recorder()
    outbox = Outbox(bus.bus)
    outbox.add(EVENTS)
    bus.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await outbox.flush()
    assert len(outbox) == len(EVENTS)
    await outbox.flush()
    assert bus.published == EVENTS


async def test_every_kind_of_event_survives_a_restart() -> None:
    outbox = Outbox(Recorder().bus)
    outbox.add(EVENTS)
    bus = Recorder()
    restored = Outbox(bus.bus)
    restored.restore(json.loads(json.dumps(outbox.state())))
    await restored.flush()
    assert bus.published == EVENTS
