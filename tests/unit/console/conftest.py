"""The console on a store that is filled once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.console_data import NOW, ConsoleData, open_console_data

from understudies.runtime.clock import VirtualClock


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleData]:
    """Closed with the module: a process has one embedded engine, and other tests open theirs elsewhere."""
    opened = open_console_data(tmp_path_factory.mktemp("console"))
    with asyncio.Runner() as runner:
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def data(filled: ConsoleData) -> ConsoleData:
    """The same data in every test, without the marks of the one before and with a clock of its own."""
    await filled.source.store.command("TRUNCATE TABLE marks")
    return replace(filled, source=replace(filled.source, clock=VirtualClock(NOW)))
