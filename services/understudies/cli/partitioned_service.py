"""Run a service for some of the partitions of its topics, beside other processes that have the others."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.process import print_line, stop_on_signal
from understudies.cli.single_service import Description, open_admin
from understudies.runtime.clock import SystemClock
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import BusSettings, settings_from

if TYPE_CHECKING:
    from understudies.datasets.object_store import ObjectStore
    from understudies.runtime.bus.bus import Bus
    from understudies.runtime.bus.task_partition import TaskPartition
    from understudies.runtime.service import Partitionable, Service

PartitionFactory = Callable[["Bus"], "Partitionable"]
"""Creates the service of one partition."""

_TICK_SECONDS = 1.0


async def run_partitioned_service(
    name: str,
    settings: BusSettings,
    *,
    data: Path,
    artifacts: str,
    rules: RulesSource,
    in_place_of: str | None,
    open_factory: "Callable[[ObjectStore, contextlib.AsyncExitStack], PartitionFactory]",
    describe: "Callable[[Callable[[], Mapping[int, Service]], int], Description]",
) -> None:
    """Run the partitions that the group gives this process until SIGTERM or Ctrl-C."""
    from understudies.datasets.object_store import ObjectStore
    from understudies.runtime.bus.kafka_bus import KafkaBus
    from understudies.runtime.bus.task_partition import PARTITIONED_TOPICS
    from understudies.runtime.partitioned.folder import PartitionFolder
    from understudies.runtime.partitioned.group import PartitionGroup, count_partitions, group_name
    from understudies.runtime.partitioned.runner import PartitionedRunner
    from understudies.runtime.process import freeze_startup_objects
    from understudies.runtime.settings import TelemetrySettings
    from understudies.runtime.telemetry import Telemetry

    # Before anything is asked of a broker.
    group_name(settings, name)
    stopping = stop_on_signal()
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(rules.watch())
        telemetry = Telemetry(settings_from(TelemetrySettings), name)
        opened.callback(telemetry.shutdown)
        create = open_factory(ObjectStore(artifacts), opened)

        async def create_whole() -> "Partitionable":
            return create(KafkaBus(settings, name))

        async def create_partition(
            partition: "TaskPartition", require_owned: Callable[[], None]
        ) -> "tuple[Service, Bus]":
            bus = KafkaBus(settings, name, tracer=telemetry.tracer, partition=partition, require_owned=require_owned)
            return create(bus), bus

        folder = PartitionFolder(data, name, await count_partitions(settings, PARTITIONED_TOPICS))
        group = PartitionGroup(settings, name, PARTITIONED_TOPICS, folder.count, in_place_of)
        runner = PartitionedRunner(
            name,
            group,
            folder,
            create_partition,
            create_whole,
            generation=settings.snapshot_generation,
            topic_ids_decide=not settings.generation,
            clock=SystemClock(),
            tick_s=_TICK_SECONDS,
        )
        described = describe(
            lambda: {number: one.service for number, one in runner.runners.items()},
            folder.count,
        )
        await open_admin(runner, described, opened)
        folder_id = await folder.open(stopping)
        if folder_id is not None:
            await runner.join(folder_id)
            freeze_startup_objects()
            print_line(
                f"{name} runs: broker {settings.bootstrap}, group {group.name} with {folder.count} partitions to "
                f"share, their state in {data}, artifacts in {artifacts}"
            )
            await runner.run(stopping)
    print_line("stopped")
