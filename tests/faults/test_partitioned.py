"""Copies of evaluator and budget that come and go hand their partitions over with their state."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
from tests.support.copies import SERVICES, check_books, open_copies, repeated
from tests.support.deployment import Deployment, open_deployment
from tests.support.faults import run_fault
from tests.support.kafka_server import KafkaServer

from understudies.events import INVOCATIONS, VERDICTS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with open_deployment(tmp_path_factory.mktemp("deployment"), partitioned=True) as deployment:
        yield deployment


async def test_no_verdict_is_lost_or_counted_twice_while_copies_come_and_go(tmp_path: Path) -> None:
    rng = Random(15)
    async with KafkaServer() as kafka, open_copies(tmp_path, kafka.bootstrap, tasks=12, copies=2) as copies:
        async with copies.traffic(100, rng):
            for service in ("evaluator", "budget"):
                killed, ended = copies.processes[service]
                await copies.start(service)
                await killed.kill()
                await copies.start(service)
                assert ended.is_running, ended.output
                ended.signal(signal.SIGTERM)
                assert await ended.wait_ended() == 0, ended.output
        repeated(await copies.wait_verdicts())
        await copies.wait_handled("budget", INVOCATIONS)
        await copies.wait_handled("budget", VERDICTS)
        await copies.stop()
        check_books(copies)


async def test_processes_that_cannot_share_the_work_are_told_why(tmp_path: Path) -> None:
    async with KafkaServer() as kafka, open_copies(tmp_path, kafka.bootstrap, tasks=2, copies=1) as copies:
        await copies.publish_calls(5, Random(16))
        other = copies.make_copy("budget", data=tmp_path / "other")
        await other.start()
        await other.wait_ready("gets no work: the others in group 'understudies-budget' share another data folder")
        alone = copies.make_copy("budget", data=tmp_path / "alone", partitioned=False)
        await alone.start()
        assert await alone.wait_ended() == 2
        assert "budget does not begin without state: that is by partition" in alone.output
        whole = copies.make_copy("budget", partitioned=False)
        await whole.start()
        assert await whole.wait_ended() == 2
        assert "pass --partitioned" in whole.output
        await copies.wait_handled("budget", INVOCATIONS)
        await copies.stop()
        # The group gives it all partitions now: it must not begin without their state.
        assert await other.wait_ended() == 2
        assert "pass --in-place-of" in other.output
        assert not (tmp_path / "other" / "snapshots").exists()
        await copies.start("budget")
        await copies.publish_calls(5, Random(17))
        await copies.wait_handled("budget", INVOCATIONS)
        await copies.stop()
        assert sum(book["ledger"]["calls"] for book in copies.books().values()) == len(copies.published)


@pytest.mark.parametrize("name", ["evaluator_killed", "budget_killed", "clocks_jump", "broker_killed"])
async def test_a_deployment_that_shares_the_work_keeps_what_it_saw(shared_deployment: Deployment, name: str) -> None:
    others = [shared_deployment.stack.make_process(service) for service in SERVICES]
    for other in others:
        await other.start()
        await other.wait_ready()
    await run_fault(shared_deployment, name, Random(name))
    for other in others:
        assert await other.terminate() == 0, other.output
    await shared_deployment.verify()
