"""A replica that spends, as a process of its own: `python -m tests.support.spending_replica '{"url": ...}'`."""

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal

from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import Budget, BudgetLimits
from understudies.router.budgets.reservation import Denial, Reservation
from understudies.runtime.online.factory import create_online_state

NOON = datetime(2026, 5, 9, 12, tzinfo=UTC)
TASKS = ("triage", "refunds")
PURSES = ("2026-05-09:task:triage", "2026-05-09:task:refunds", "2026-05-09:tenant:acme")


@dataclass(frozen=True)
class SpendingPlan:
    """What a replica does: amounts are in billionths of a dollar; `calls` is how many have to get leave, or be refused.

    `exceeds_estimates` lets calls cost more than they were estimated at, and some spend without leave.
    `runs_until_killed` goes on until it is killed.
    """

    url: str
    seed: int = 0
    clients: int = 32
    calls: int = 500
    per_task: int = 10**9
    per_tenant: int = 10**9
    exceeds_estimates: bool = False
    runs_until_killed: bool = False
    lease_s: float = 2000.0


class SpendingReplica:
    """Many clients at once, and a tally of what they spent."""

    def __init__(self, plan: SpendingPlan) -> None:
        self.plan = plan
        self.left = plan.calls
        self.spent: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.half = asyncio.Event()
        """Half of the calls are done."""
        self._random = random.Random(plan.seed)
        self._online = create_online_state(plan.url)
        limits = BudgetLimits(
            tasks={task: Budget(Decimal(plan.per_task).scaleb(-9)) for task in TASKS},
            tenants={"acme": Budget(Decimal(plan.per_tenant).scaleb(-9))},
        )
        self.budgets = BudgetLimiter(self._online, limits, lease_s=plan.lease_s, pause_s=0.05)

    async def run(self) -> None:
        """Spend, and tell all of it."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.plan.clients):
                clients.create_task(self._client())
        await self.budgets.flush()
        await self._online.close()

    async def _client(self) -> None:
        while self.left > 0:
            self.left -= not self.plan.runs_until_killed
            await self._call()
            if self.left <= self.plan.calls // 2 or self.plan.runs_until_killed:
                self.half.set()

    async def _call(self) -> None:
        task, estimate = self._random.choice(TASKS), self._random.randint(0, 2000)
        got = await self.budgets.reserve("acme", task, Decimal(estimate).scaleb(-9), NOON)
        if isinstance(got, Denial):
            self.counts["unknown" if got.usage_unknown else "refused"] += 1
            if got.usage_unknown:
                self.left += 1
                await asyncio.sleep(0.005)
            return
        cost = self._random.randint(0, estimate * 2 if self.plan.exceeds_estimates else estimate)
        calling = asyncio.create_task(self._answered(got, task, cost))
        await asyncio.sleep(0)
        if self._random.random() < 0.1:
            calling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await calling
        if self.plan.exceeds_estimates and self._random.random() < 0.1:
            self._spend(task, 77)
            self.budgets.charge("acme", task, Decimal(77).scaleb(-9), NOON)

    async def _answered(self, grant: Reservation, task: str, cost: int) -> None:
        try:
            await asyncio.sleep(self._random.random() / 500)
        finally:
            self.budgets.settle(grant, Decimal(cost).scaleb(-9))
            self._spend(task, cost)
            self.counts["granted"] += 1

    def _spend(self, task: str, nanos: int) -> None:
        self.spent[f"2026-05-09:task:{task}"] += nanos
        self.spent["2026-05-09:tenant:acme"] += nanos


class ReplicaProcess:
    """A spender from outside; killed at the end of the block, should it run still."""

    def __init__(self, plan: SpendingPlan) -> None:
        self._plan = plan
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "ReplicaProcess":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.spending_replica", json.dumps(asdict(self._plan)),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            await self.kill()

    async def half(self) -> None:
        """Wait until half of its calls are done."""
        assert self._process is not None
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"half\n"

    async def kill(self) -> None:
        """End it in the middle of its calls."""
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()

    async def done(self) -> tuple[Counter[str], Counter[str]]:
        """What it spent by purse, and how many calls got leave, were refused, or met no server."""
        assert self._process is not None
        out, _ = await self._process.communicate()
        assert self._process.returncode == 0
        spent, counts = json.loads(out.splitlines()[-1])
        return Counter(spent), Counter(counts)


async def _main() -> None:
    spender = SpendingReplica(SpendingPlan(**json.loads(sys.argv[1])))
    running = asyncio.create_task(spender.run())
    await spender.half.wait()
    print("half", flush=True)  # noqa: T201 - its parent reads it
    await running
    print(json.dumps([spender.spent, spender.counts]), flush=True)  # noqa: T201 - its parent reads it


if __name__ == "__main__":
    asyncio.run(_main())
