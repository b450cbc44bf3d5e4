"""Tells the online state what was spent, behind the calls' backs, until it has heard."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from understudies.router.money.amounts import dollars
from understudies.router.money.book import Book
from understudies.runtime import Seldom
from understudies.runtime.online import Hold, Online, OnlineAway, Purse, Settlement

_AT_ONCE: Final = 256
"""Most holds that one settlement ends: Redis does nothing else meanwhile."""

_log = logging.getLogger(__name__)


class Teller:
    """Tells totals, not amounts: what waits is one number for each purse, and the holds of calls that are over.

    What was spent is told as soon as the last telling is done, so under load one telling settles many calls.
    """

    def __init__(self, online: Online, book: Book, source: str, *, pause_s: float = 0.5) -> None:
        self._online = online
        self._book = book
        self._source = source
        self._pause_s = pause_s
        self._waiting: dict[str, list[Hold]] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._may_log = Seldom()

    def __len__(self) -> int:
        """Purses that wait for something to be told."""
        return len(self._waiting)

    def tell(self, keys: Iterable[str], ended: Hold | None = None) -> None:
        """Tell the totals of purses soon, and that a hold on each of them has ended."""
        for key in keys:
            holds = self._waiting.setdefault(key, [])
            if ended is not None:
                holds.append(ended)
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._until_told())

    def hurry(self) -> None:
        """The online state has just answered: no need to pause before it is asked again."""
        self._hurried.set()

    async def told(self) -> None:
        """Return when nothing waits."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self, timeout_s: float) -> None:
        """Wait until nothing waits, within a time-out; what is not told then is logged, and lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.told()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        entries = [self._book[key] for key in self._waiting if key in self._book]
        if lost := [entry.total - entry.told for entry in entries if entry.total > entry.told]:
            _log.error(
                "the end came before the online state could be told what was spent from %d budgets, up to $%s each",
                len(lost),
                f"{dollars(max(lost)).normalize():f}",
            )

    async def _until_told(self) -> None:
        try:
            while self._waiting:
                await self._tell()
        finally:
            self._task = None

    async def _tell(self) -> None:
        taken = self._taken()
        if not taken:
            return
        purses = [Purse(key, total=self._book[key].total) for key in taken]
        settlements = [Settlement(purse, tuple(taken[purse.key])) for purse in purses]
        keep_s = max(self._book[key].keep_s for key in taken)
        try:
            await self._online.settle(self._source, settlements, keep_s=keep_s)
        except OnlineAway as error:
            self._take_back(taken)
            if self._may_log():
                _log.warning("%d budgets wait to be told what was spent: %s", len(self._waiting), error)
            await self._pause()
        except BaseException:
            self._take_back(taken)
            raise
        else:
            for purse in purses:
                entry = self._book[purse.key]
                entry.told = max(entry.told, purse.total)

    async def _pause(self) -> None:
        self._hurried.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._hurried.wait()

    def _taken(self) -> dict[str, list[Hold]]:
        """What is told next, and no longer waits."""
        taken: dict[str, list[Hold]] = {}
        room = _AT_ONCE
        for key in list(self._waiting):
            if room <= 0:
                break
            holds = self._waiting.pop(key)
            if key not in self._book:
                continue
            taken[key], rest = holds[:room], holds[room:]
            if rest:
                self._waiting[key] = rest
            room -= 1 + len(taken[key])
        return taken

    def _take_back(self, taken: dict[str, list[Hold]]) -> None:
        for key, holds in taken.items():
            self._waiting[key] = holds + self._waiting.get(key, [])
