"""Faults to inject into a deployment at work, each with its end: what comes after it must be as if it had not been."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from tests.support.deployment import Deployment
from tests.support.poison import POISON, count_dead_letters, publish_poison, wait_dead_letters

from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, TOPICS, VERDICTS
from understudies.testing.stack import SERVICES

WORKERS: Final = tuple(name for name in SERVICES if name != "router")


class Pace:
    """How long a fault lasts and where it begins: in answers that agents get meanwhile."""

    def __init__(self, deployment: Deployment, draw: Random, *, least: int = 10, most: int = 20) -> None:
        self.draw = draw
        self._agents = deployment.agents
        self._range = least, most

    async def wait(self, times: int = 1, *, published: int = 0) -> None:
        """Let the agents get some more answers."""
        await self._agents.wait_more(times * self.draw.randint(*self._range), published=published)


Fault = Callable[[Deployment, Pace], Awaitable[None]]


def kill(name: str) -> Fault:
    """Kill a service in the middle of its work, and start it again later."""

    async def inject(deployment: Deployment, pace: Pace) -> None:
        await pace.wait()
        await deployment.kill(name)
        if name == "router":
            await deployment.stack.start_services("router")
            await deployment.wait_student()
        else:
            await pace.wait()
            await deployment.stack.start_services(name)
        await pace.wait()

    return inject


async def kill_all(deployment: Deployment, pace: Pace) -> None:
    """Kill all services at once, as a machine that loses power does."""
    await pace.wait()
    for name in SERVICES:
        await deployment.kill(name)
    await deployment.stack.start_services()
    await deployment.wait_student()
    await pace.wait()


async def rebalance(deployment: Deployment, pace: Pace) -> None:
    """Let second replicas of all services join, stand by, and leave again."""
    await pace.wait()
    async with deployment.replicas(*SERVICES) as others:
        await asyncio.gather(*(others[name].wait_ready("stands by") for name in WORKERS))
        await deployment.wait_routers_agree()
        await pace.wait(2)
    await pace.wait()


async def take_over(deployment: Deployment, pace: Pace) -> None:
    """Kill a service for whose folder another process waits."""
    name = pace.draw.choice(["budget", "evaluator"])
    standby = deployment.stack.make_process(name, "--standby")
    await standby.start()
    await standby.wait_ready("stands by")
    await pace.wait()
    await deployment.kill(name)
    await standby.wait_ready()
    deployment.stack.processes[name] = standby
    await pace.wait()


async def broker_killed(deployment: Deployment, pace: Pace) -> None:
    """Kill the broker, and start it again on what it had written."""
    await pace.wait()
    await asyncio.to_thread(deployment.kafka.kill)
    await pace.wait()
    await asyncio.to_thread(deployment.kafka.start)
    await pace.wait(published=1)


async def broker_silent(deployment: Deployment, pace: Pace) -> None:
    """Let the broker answer nothing for a while."""
    await pace.wait()
    deployment.kafka.pause()
    await pace.wait(2)
    deployment.kafka.resume()
    await pace.wait(published=1)


async def store_away(deployment: Deployment, pace: Pace) -> None:
    """Kill the store, and later let it be silent for longer than it is waited for."""
    await pace.wait()
    await asyncio.to_thread(deployment.clickhouse.kill)
    await pace.wait()
    await asyncio.to_thread(deployment.clickhouse.start)
    await pace.wait()
    deployment.clickhouse.pause()
    await pace.wait()
    deployment.clickhouse.resume()


async def redis_lost(deployment: Deployment, pace: Pace) -> None:
    """Let Redis forget everything, and end."""
    await pace.wait()
    await deployment.redis.flush()
    await pace.wait()
    deployment.redis.kill()
    await pace.wait()
    await deployment.redis.start()
    await pace.wait()


async def disks_full(deployment: Deployment, pace: Pace) -> None:
    """Fill the disk of the spool while the broker is away, then that of the store, which is started anew afterwards.

    Without that, ClickHouse may keep a part whose merge met the full disk and whose marks are empty (error 246); as it
    starts, it takes the parts that were merged instead.
    """
    spool, store = deployment.disks["spool"], deployment.disks["store"]
    await pace.wait()
    spool.fill()
    await asyncio.to_thread(deployment.kafka.kill)
    await pace.wait(2)
    await asyncio.to_thread(deployment.kafka.start)
    spool.clear()
    store.fill()
    await pace.wait(2)
    await asyncio.to_thread(deployment.clickhouse.kill)
    store.clear()
    await asyncio.to_thread(deployment.clickhouse.start)
    await pace.wait()


async def clocks_jump(deployment: Deployment, pace: Pace) -> None:
    """Let the services' clocks jump forwards, backwards and to the right time again."""
    await pace.wait()
    for hours in (3.0, -2.0, 0.0):
        deployment.shift_clocks(hours)
        await pace.wait(published=1)


_MOST_DELIVERED_AGAIN: Final = 5_000
"""Records of a topic: more keep the services so busy in long runs that agents wait for minutes."""


async def delivered_again(deployment: Deployment, pace: Pace) -> None:
    """Deliver the latest events again: calls, verdicts and alarms in any order, promotions, all of them, in theirs."""
    for topic in (INVOCATIONS, VERDICTS, DRIFT):
        # Each once: what was delivered again before would double with every round.
        records = list({record.value: record for record in await deployment.read_records(topic)}.values())
        latest = records[-_MOST_DELIVERED_AGAIN:]
        await deployment.publish_records(topic, pace.draw.sample(latest, len(latest)))
    await deployment.publish_records(PROMOTIONS, await deployment.read_records(PROMOTIONS))
    await pace.wait()


async def poisoned(deployment: Deployment, pace: Pace) -> None:
    """Publish what nobody can read on every topic; it is set aside by each service that reads the topic."""
    before = await count_dead_letters(deployment.kafka.bootstrap)
    for topic in TOPICS:
        await publish_poison(deployment.kafka.bootstrap, topic)
    await pace.wait(2)
    # Observer and budget read all four topics.
    await wait_dead_letters(deployment.kafka.bootstrap, before + 2 * len(POISON) * len(TOPICS))


async def backlog(deployment: Deployment, pace: Pace) -> None:
    """Stop all who read calls, let agents go on, and start them again."""
    stopped = ("evaluator", "budget", "observer")
    for name in stopped:
        assert await deployment.stack.processes[name].terminate() == 0
    await pace.wait(6)
    await deployment.stack.start_services(*stopped)


async def router_restarted(deployment: Deployment, pace: Pace) -> None:
    """Stop the router cleanly, as a deployment does, and start it again."""
    await pace.wait()
    assert await deployment.stack.processes["router"].terminate() == 0
    await deployment.stack.start_services("router")
    await deployment.wait_student()
    await pace.wait()


async def leader_killed(deployment: Deployment, pace: Pace) -> None:
    """Kill the broker that leads a partition of the calls: the others take over, and it comes back behind them."""
    cluster, partition = deployment.cluster, pace.draw.randrange(INVOCATIONS.partitions)
    await pace.wait()
    leader = await cluster.find_leader(INVOCATIONS.name, partition)
    await asyncio.to_thread(cluster.brokers[leader].kill)
    # Published while it is away.
    await pace.wait(2, published=2)
    assert await cluster.find_leader(INVOCATIONS.name, partition) != leader
    await asyncio.to_thread(cluster.brokers[leader].start)
    await cluster.wait_in_sync(INVOCATIONS.name, partition)
    await pace.wait(published=1)


async def leader_silent(deployment: Deployment, pace: Pace) -> None:
    """Let the leader answer nothing until another one leads: it wakes up and still believes to be the leader."""
    cluster, partition = deployment.cluster, pace.draw.randrange(INVOCATIONS.partitions)
    await pace.wait()
    leader = await cluster.find_leader(INVOCATIONS.name, partition)
    cluster.brokers[leader].pause()
    try:
        await pace.wait(2, published=2)
        assert await cluster.find_leader(INVOCATIONS.name, partition) != leader
    finally:
        cluster.brokers[leader].resume()
    await cluster.wait_in_sync(INVOCATIONS.name, partition)
    await pace.wait(published=1)


async def majority_lost(deployment: Deployment, pace: Pace) -> None:
    """Kill two brokers of three: what is written has to wait, as one replica alone may not acknowledge it."""
    cluster = deployment.cluster
    await pace.wait()
    killed = pace.draw.sample(list(cluster.brokers), 2)
    for number in killed:
        await asyncio.to_thread(cluster.brokers[number].kill)
    await pace.wait(2)
    await asyncio.gather(*(asyncio.to_thread(cluster.brokers[number].start) for number in killed))
    for partition in range(INVOCATIONS.partitions):
        await cluster.wait_in_sync(INVOCATIONS.name, partition)
    await pace.wait(published=1)


CLUSTER_FAULTS: Final[dict[str, Fault]] = {
    "leader_killed": leader_killed,
    "leader_silent": leader_silent,
    "majority_lost": majority_lost,
}
"""Those of a deployment with three brokers."""

FAULTS: Final[dict[str, Fault]] = {
    **{f"{name}_killed": kill(name) for name in SERVICES},
    "all_killed": kill_all,
    "rebalance": rebalance,
    "standby_takes_over": take_over,
    "broker_killed": broker_killed,
    "broker_silent": broker_silent,
    "store_away": store_away,
    "redis_lost": redis_lost,
    "disks_full": disks_full,
    "clocks_jump": clocks_jump,
    "delivered_again": delivered_again,
    "poisoned": poisoned,
    "backlog": backlog,
    "router_restarted": router_restarted,
}


async def run_fault(deployment: Deployment, name: str, draw: Random, *, least: int = 10, most: int = 20) -> None:
    """Inject a fault while agents are at work, then compare what they saw with what is held."""
    async with deployment.agents.running():
        await {**FAULTS, **CLUSTER_FAULTS}[name](deployment, Pace(deployment, draw, least=least, most=most))
    await deployment.verify()
