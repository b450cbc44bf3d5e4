"""A deployment on three brokers that lose one another: what was acknowledged stays, and the others go on."""

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from tests.support.deployment import Deployment, open_deployment
from tests.support.faults import CLUSTER_FAULTS, run_fault
from tests.support.kafka_cluster import KafkaCluster

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with open_deployment(tmp_path_factory.mktemp("deployment"), KafkaCluster()) as deployment:
        yield deployment


@pytest.mark.parametrize("name", list(CLUSTER_FAULTS))
async def test_after_brokers_are_lost_nothing_is_lost_or_doubled(deployment: Deployment, name: str) -> None:
    await run_fault(deployment, name, Random(name))
