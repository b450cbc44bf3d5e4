import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.datasets import START, TASK, intents

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, SeededIds
from understudies.runtime.clock import VirtualClock
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.trainer.app import TrainerApp, create_app
from understudies.trainer.lease import TrainedElsewhere, TrainingLease
from understudies.trainer.settings import TrainerSettings


async def test_one_holds_a_student_and_others_hold_other_ones() -> None:
    online = MemoryOnlineState()
    one, other = TrainingLease(online, "one"), TrainingLease(online, "other")
    async with one.hold("triage@1"):
        async with other.hold("triage@2"):
            pass
        with pytest.raises(TrainedElsewhere, match="triage@1 is trained by another trainer, 'one'"):
            async with other.hold("triage@1"):
                pass
        # Tried again after an error, as with a full disk.
        async with one.hold("triage@1"):
            pass


async def test_a_lease_outlives_its_time_while_it_is_held_and_not_afterwards() -> None:
    online = MemoryOnlineState()
    one, other = TrainingLease(online, "one", ttl_s=0.2), TrainingLease(online, "other", ttl_s=0.2)
    async with one.hold("triage@1"):
        until = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < until:
            with pytest.raises(TrainedElsewhere):
                async with other.hold("triage@1"):
                    pass
            await asyncio.sleep(0)


async def test_what_a_crashed_trainer_held_is_free_after_its_time() -> None:
    now = 0.0
    online = MemoryOnlineState(timer=lambda: now)
    one, other = TrainingLease(online, "one"), TrainingLease(online, "other")
    async with one.hold("triage@1"):
        pass
    with pytest.raises(TrainedElsewhere):
        async with other.hold("triage@1"):
            pass
    now = 121.0
    async with other.hold("triage@1"):
        pass


def trainer(
    files: ObjectStore, recorder: CapturingBus, online: MemoryOnlineState, seed: int, **rest: Any
) -> TrainerApp:
    return create_app(
        TrainerSettings(encoder=False),
        bus=recorder.bus,
        clock=VirtualClock(START),
        object_store=files,
        new_id=SeededIds(seed),
        online=online,
        **rest,
    )


async def test_a_second_trainer_waits_for_the_outcome_of_the_first(tmp_path: Path) -> None:
    files, online = ObjectStore(f"file://{tmp_path}"), MemoryOnlineState()
    uri = write_dataset(files, TASK, intents(300).examples)[0]
    collected = Promotion(id="c", at=START, task=TASK, student=f"{TASK}@1", stage="collected", dataset=uri)
    first, second = CapturingBus(), CapturingBus()
    one, other = trainer(files, first, online, 1), trainer(files, second, online, 2)
    training = asyncio.create_task(one.handle(to_records(collected)))
    # Deferred, and so tried again at each tick, from the first's lease on.
    await asyncio.sleep(0)
    await other.handle(to_records(collected))
    assert second.published == []
    await training
    [outcome] = first.published
    assert isinstance(outcome, Promotion)
    assert outcome.stage == "trained"
    await other.handle(to_records(outcome))
    await other.tick(START)
    assert second.published == []
