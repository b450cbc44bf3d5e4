"""Faults under load, one after another on one deployment: after each, what agents saw is what the product holds.

Every test injects one fault while agents are at work and then compares the whole history so far, event by event.
`make faults` does the same for hours, at random points (bench/faults.py).
"""

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from tests.support.deployment import Deployment, open_deployment
from tests.support.faults import FAULTS, run_fault

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with open_deployment(tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


async def test_without_a_fault_everything_is_recorded_once(deployment: Deployment) -> None:
    async with deployment.agents.running():
        await deployment.agents.wait_more(40, published=3)
    held = await deployment.verify()
    assert {row["phase"] for row in held.verdicts} >= {"audit"}


@pytest.mark.parametrize("name", list(FAULTS))
async def test_after_a_fault_nothing_is_lost_or_doubled(deployment: Deployment, name: str) -> None:
    await run_fault(deployment, name, Random(name))


async def test_a_clean_stop_of_everything_leaves_nothing_behind(deployment: Deployment) -> None:
    async with deployment.agents.running():
        await deployment.agents.wait_more(10)
    await deployment.verify()
    codes = await deployment.stack.stop()
    assert set(codes.values()) == {0}
    assert "Traceback" not in "".join(process.output for process in deployment.stack.processes.values())
