"""The console on a port, and a browser: both run once for all tests of a module."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.browsers import open_browser, read_axe
from tests.support.console_data import ConsoleData, open_console_data

from understudies.console.endpoint import create_pages, create_steering
from understudies.console.server import start_console
from understudies.events import Promotion, SeededIds, encode
from understudies.status.settings import StatusSettings


@dataclass(frozen=True)
class ServedConsole:
    """A console that answers at a URL; `decided` are the decisions that people made there."""

    url: str
    data: ConsoleData
    decided: list[Promotion]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Closed with the last test of the module: while it is open, Playwright's event loop counts as running in this
    thread, and every asynchronous test of the process would fail."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return read_axe(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def console(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    """The console in a thread of its own: the browser is driven from this one."""
    serving = _Serving(tmp_path_factory.mktemp("console"))
    serving.thread.start()
    serving.ready.wait()
    if serving.console is None:
        serving.thread.join()
        raise RuntimeError("the console could not be served") from serving.error
    yield serving.console
    serving.loop.call_soon_threadsafe(serving.stopping.set)
    serving.thread.join()


class _Serving:
    def __init__(self, folder: Path) -> None:
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve(folder)))
        self.ready = threading.Event()
        self.console: ServedConsole | None = None
        self.error: BaseException | None = None

    async def _serve(self, folder: Path) -> None:
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        decided: list[Promotion] = []
        try:
            async with open_console_data(folder) as data:

                async def publish(event: Promotion) -> None:
                    decided.append(event)
                    data.budget.task_state(event.task).fold(event)
                    await data.source.store.insert("promotions", [encode(event)])

                access = StatusSettings().create_access("127.0.0.1", "token", data.source.rules)
                steering = create_steering(data.reader, access, data.source, SeededIds(4), publish)
                server = await start_console({**create_pages(data.source, access), **steering}, "127.0.0.1", 0)
                self.console = ServedConsole(server.url, data, decided)
                self.ready.set()
                await self.stopping.wait()
                await server.stop()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ready.set()
