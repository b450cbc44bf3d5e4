import json

import pytest
from tests.support.capturing_bus import CapturingBus
from tests.support.event_samples import SAMPLES
from tests.support.sample_events import make_promotion

from understudies.events import Verdict, encode, topic_of
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.errors import RetryLater

EVENTS = list(SAMPLES.values())


async def test_what_it_takes_is_published_once_in_order() -> None:
    bus = CapturingBus()
    outbox = Outbox(bus.bus)
    outbox.add(EVENTS[:2])
    outbox.add(EVENTS[2:])
    await outbox.flush()
    await outbox.flush()
    assert (bus.published, len(outbox)) == (EVENTS, 0)


async def test_what_was_not_taken_stays() -> None:
    bus = CapturingBus()
    outbox = Outbox(bus.bus)
    outbox.add(EVENTS)
    bus.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await outbox.flush()
    assert len(outbox) == len(EVENTS)
    await outbox.flush()
    assert bus.published == EVENTS


async def test_what_was_said_last_is_known_after_a_restart_but_for_verdicts() -> None:
    outbox, restored = Outbox(CapturingBus().bus), Outbox(CapturingBus().bus)
    outbox.add(EVENTS)
    assert outbox.recently_published() == []
    await outbox.flush()
    restored.restore_state(json.loads(json.dumps(outbox.state())))
    assert (
        restored.recently_published()
        == outbox.recently_published()
        == [event for event in EVENTS if not isinstance(event, Verdict)]
    )


async def test_only_the_last_is_kept_of_what_was_said() -> None:
    outbox = Outbox(CapturingBus().bus)
    stories = [make_promotion(minutes=minute) for minute in range(150)]
    outbox.add(stories)
    await outbox.flush()
    assert outbox.recently_published() == stories[50:]


async def test_a_snapshot_of_an_older_version_has_what_was_waiting() -> None:
    bus = CapturingBus()
    restored = Outbox(bus.bus)
    restored.restore_state([[topic_of(event).name, encode(event).decode()] for event in EVENTS])
    await restored.flush()
    assert bus.published == EVENTS


async def test_every_kind_of_event_survives_a_restart() -> None:
    outbox = Outbox(CapturingBus().bus)
    outbox.add(EVENTS)
    bus = CapturingBus()
    restored = Outbox(bus.bus)
    restored.restore_state(json.loads(json.dumps(outbox.state())))
    await restored.flush()
    assert bus.published == EVENTS
