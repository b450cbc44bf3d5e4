"""Agents at work: calls through the router and events by the SDK, and what each agent saw of them."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import aiohttp
from tests.support.datasets import INTENTS, TASK
from tests.support.sample_events import make_invocation

from understudies.client import Understudies
from understudies.client.errors import PublishError
from understudies.events import Invocation, new_id

BOUNDED: Final = "bounded"
"""A task with a daily budget, which is counted in Redis."""
SDK_TASK: Final = "sdk"
ROUTED: Final = (TASK, BOUNDED, "plain-1", "plain-2")
TIMEOUT_S: Final = 180


def answer_intent(text: str) -> str:
    """What the teacher answers: the intent whose words the text begins with."""
    return next((name for name, forms in INTENTS.items() if text.startswith(forms)), "none of them")


@dataclass(frozen=True)
class AnsweredCall:
    """One call that an agent has an answer to."""

    id: str
    task: str
    served_by: str
    text: str
    at: float


@dataclass
class History:
    """What agents saw, whatever happened meanwhile."""

    answered: dict[str, AnsweredCall] = field(default_factory=dict)
    unanswered: int = 0
    """Calls whose connection failed: they may be recorded or not."""
    refused: list[str] = field(default_factory=list)
    """Answers other than 200."""
    published: dict[str, Invocation] = field(default_factory=dict)
    """Events that the SDK was told have arrived."""
    repeated: int = 0
    """Events that the SDK sent again, as it was not told."""
    router_kills: int = 0


class Agents:
    """Agents that call at a steady pace while `running`, and try again where nobody answers."""

    def __init__(self, url: Callable[[], str], bootstrap: str, *, per_second: float = 40.0) -> None:
        self.history = History()
        self._url = url
        self._bootstrap = bootstrap
        self._per_second = per_second
        self._numbers = itertools.count(1)
        self._progress = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[History]:
        """Let them work while the block runs, and wait for what has begun."""
        self._stopping.clear()
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            Understudies(bootstrap=self._bootstrap, redact=None) as sdk,
            asyncio.TaskGroup() as group,
        ):
            gap = len(ROUTED) / self._per_second
            for task in ROUTED:
                group.create_task(self._repeat(lambda task=task: self._call(session, task), gap))  # type: ignore[misc]
            group.create_task(self._repeat(lambda: self._publish(sdk), 4 * gap))
            try:
                yield self.history
            finally:
                self._stopping.set()

    async def wait_more(self, count: int, *, published: int = 0) -> None:
        """Wait until so many more calls were answered and events published."""
        answers = len(self.history.answered) + count
        events = len(self.history.published) + published
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.history.answered) < answers or len(self.history.published) < events:
                self._progress.clear()
                await self._progress.wait()

    async def _repeat(self, act: Callable[[], Awaitable[None]], gap: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopping.is_set():
            await act()
            self._progress.set()
            due = max(due + gap, loop.time())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), due - loop.time())

    async def _call(self, session: aiohttp.ClientSession, task: str) -> None:
        number = next(self._numbers)
        forms = INTENTS[list(INTENTS)[number % len(INTENTS)]]
        text = f"{forms[number % len(forms)]} {number}"
        body = {
            "model": "gpt-4o",
            "temperature": 0,
            "messages": [{"role": "system", "content": "Name the intent."}, {"role": "user", "content": text}],
        }
        try:
            async with session.post(
                f"{self._url()}/chat/completions", json=body, headers={"x-understudies-task": task}
            ) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            self.history.unanswered += 1
            return
        if response.status != 200:
            self.history.refused.append(f"{response.status} {(await response.text())[:200]}")
            return
        id_ = response.headers["x-understudies-invocation"]
        served_by = response.headers["x-understudies-served-by"]
        self.history.answered[id_] = AnsweredCall(id_, task, served_by, text, time.time())

    async def _publish(self, sdk: Understudies) -> None:
        number = next(self._numbers)
        now = datetime.now(UTC)
        call = make_invocation(
            f"by the SDK {number}", task=SDK_TASK, at=now, id=new_id(now), cost_usd=Decimal(number) / 10**9
        )
        while True:
            try:
                await sdk.publish(call)
            except PublishError:
                self.history.repeated += 1
                if self._stopping.is_set():
                    self.history.unanswered += 1
                    return
                continue
            self.history.published[call.id] = call
            return
