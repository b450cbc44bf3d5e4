"""Events that their producer put into another partition than their task's, without a broker."""

from collections.abc import Sequence

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from tests.support.sample_events import make_invocation

from understudies.events import INVOCATIONS, encode
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import BusMessage, Record
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings

COUNT = 6
TASKS = [f"task-{number}" for number in range(40)]
PARTITION = TaskPartition(2, COUNT)
OWN = next(task for task in TASKS if PARTITION.owns(task))
OTHER = next(task for task in TASKS if not PARTITION.owns(task))


class Sent:
    """Keeps what is sent, or fails as it is told."""

    def __init__(self) -> None:
        self.messages: list[BusMessage] = []
        self.errors: list[BaseException] = []

    async def send(self, messages: Sequence[BusMessage]) -> Sequence[BaseException | None]:
        if messages and self.errors:
            return [self.errors.pop(0)] * len(messages)
        self.messages += messages
        return [None] * len(messages)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
async def bus(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> KafkaBus:
    bus = KafkaBus(BusSettings(bootstrap="127.0.0.1:1", group_prefix="test"), "budget", partition=PARTITION)
    monkeypatch.setattr(bus, "_publisher", sent)
    return bus


def record(offset: int, task: str, text: str = "hello") -> Record:
    return Record(INVOCATIONS.name, PARTITION.number, offset, None, encode(make_invocation(text, task=task)))


async def test_a_batch_that_is_handled_again_moves_nothing_again(bus: KafkaBus, sent: Sent) -> None:
    batch = [record(7, OTHER), record(8, OWN), record(9, OTHER)]
    for _ in range(3):
        assert [event.task for event in await bus.decode_events(batch)] == [OWN]
    assert [message.value for message in sent.messages] == [batch[0].value, batch[2].value]
    await bus.decode_events([record(10, OTHER)])
    assert len(sent.messages) == 3


async def test_what_did_not_reach_the_broker_is_moved_at_the_next_time(bus: KafkaBus, sent: Sent) -> None:
    sent.errors.append(RetryLater("away"))
    batch = [record(7, OTHER)]
    with pytest.raises(RetryLater):
        await bus.decode_events(batch)
    await bus.decode_events(batch)
    assert [message.value for message in sent.messages] == [batch[0].value]


async def test_what_no_broker_takes_goes_to_the_dead_letters_and_the_others_go_on(bus: KafkaBus, sent: Sent) -> None:
    sent.errors.append(MessageSizeTooLargeError())
    events = await bus.decode_events([record(7, OTHER), record(8, OWN)])
    assert [event.task for event in events] == [OWN]
    assert [message.topic for message in sent.messages] == [DEAD_LETTERS]
