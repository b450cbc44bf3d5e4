"""Copies of evaluator and budget that come and go hand their partitions over with their state."""

import signal
from pathlib import Path
from random import Random

from tests.support.copies import check_books, open_copies, repeated
from tests.support.kafka_server import KafkaServer

from understudies.events import INVOCATIONS, VERDICTS


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
