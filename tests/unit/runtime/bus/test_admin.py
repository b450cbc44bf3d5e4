"""The topics that a broker is asked for."""

from typing import Any

import pytest
from aiokafka.errors import KafkaError

from understudies.events import TOPICS
from understudies.runtime.bus import admin as admin_module
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings


class Admin:
    """A broker without topics; it keeps what it is asked to create."""

    def __init__(self, **_: Any) -> None:
        self.asked: list[Any] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def list_topics(self) -> list[str]:
        return []

    async def create_topics(self, topics: list[Any]) -> Any:
        self.asked += topics
        raise KafkaError("enough")


@pytest.mark.parametrize("replicas", [-1, 1, 3])
async def test_every_topic_has_the_settings_replication_and_minus_one_is_the_brokers(
    monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    admin = Admin()
    monkeypatch.setattr(admin_module, "AIOKafkaAdminClient", lambda **_: admin)
    with pytest.raises(RetryLater, match="enough"):
        await admin_module.ensure_topics(BusSettings(bootstrap="broker:9092", replication_factor=replicas))
    assert [topic.replication_factor for topic in admin.asked] == [replicas] * (len(TOPICS) + 1)
