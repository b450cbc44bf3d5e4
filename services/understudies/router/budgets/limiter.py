"""Enforce budgets by task and tenant: reserve before a call, settle after it."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from understudies.router.budgets.limits import ApplicableBudget, BudgetLimits
from understudies.router.budgets.reservation import UNLIMITED, Denial, Reservation
from understudies.router.budgets.units import budget_day, from_nanos, next_reset, to_nanos
from understudies.router.budgets.usage import LocalUsage, UsageReporter
from understudies.runtime.online.base import MAX_NANOS, BudgetCounter, BudgetHold, OnlineState, OnlineUnavailable

_RETENTION_SLACK: Final = timedelta(hours=1)
_MAX_CACHED_BUDGETS: Final = 10_000
_MAX_KEY_NAME: Final = 200


class BudgetLimiter:
    """The budgets of all replicas that share an online state.

    Settled and held spending together never exceed a limit, except by what calls cost beyond their estimates and by
    what is charged without a reservation. Each process accumulates its own spending and reports the totals to the
    online state repeatedly: as long as the process lives, nothing is counted twice or lost, even if a report is sent
    twice or a restarted server forgets it. Calls without a budget incur no cost here and no request to the online
    state. `lease_s` must exceed the longest call: after it, the hold of a process that ended is lifted. Not safe to use
    across a fork.
    """

    def __init__(
        self, online: OnlineState, limits: BudgetLimits | None = None, *, lease_s: float = 2000.0, pause_s: float = 0.5
    ) -> None:
        self._online = online
        self._limits = limits or BudgetLimits()
        self.lease_s = lease_s
        """Seconds after which a hold that was not settled expires; may be set at any time."""
        self._source = os.urandom(8).hex()
        self._numbers = itertools.count()
        self._applicable: dict[tuple[str, str], tuple[ApplicableBudget, ...]] = {}
        self._usage = LocalUsage()
        self._reporter = UsageReporter(online, self._usage, self._source, pause_s=pause_s)
        self._unsettled: dict[str, Reservation] = {}

    @property
    def limits(self) -> BudgetLimits:
        """The budgets in force; may be set at any time, and apply to the day's spending so far."""
        return self._limits

    @limits.setter
    def limits(self, limits: BudgetLimits) -> None:
        self._limits = limits
        self._applicable.clear()

    def has_budget(self, tenant: str, task: str) -> bool:
        """Return whether a call has a budget at all."""
        return bool(self._applicable_budgets(tenant, task))

    @property
    def in_flight(self) -> int:
        """The number of reservations that are not settled yet."""
        return len(self._unsettled)

    @property
    def unreported(self) -> int:
        """The number of budgets with spending not yet reported to the online state."""
        return len(self._reporter)

    @property
    def tracked(self) -> int:
        """The number of budgets whose usage this process tracks."""
        return len(self._usage)

    async def reserve(self, tenant: str, task: str, estimate_usd: Decimal, now: datetime) -> Reservation | Denial:
        """Reserve an estimated amount, to be settled later; takes one round trip if there is a budget."""
        budgets = self._applicable_budgets(tenant, task)
        if not budgets:
            return UNLIMITED
        keys = self._open_usage(budgets, now)
        entries = [self._usage[key] for key in keys]
        hold = BudgetHold(f"{self._source}{next(self._numbers):x}", min(to_nanos(estimate_usd), MAX_NANOS))
        # Not the whole total: the costs of finished calls are reported when their holds end, or they would count twice.
        counters = [
            BudgetCounter(key, b.nanos, entry.reported) for key, b, entry in zip(keys, budgets, entries, strict=True)
        ]
        if self._online.is_unavailable:
            return self._from_local_usage(Reservation(keys, hold), budgets, now)
        try:
            reserved = await self._online.reserve(
                self._source, hold, counters, lease_s=self.lease_s, retention_s=entries[0].retention_s
            )
        except OnlineUnavailable:
            self._reporter.report(keys, hold)
            return self._from_local_usage(Reservation(keys, hold), budgets, now)
        except BaseException:
            self._reporter.report(keys, hold)
            raise
        self._reporter.wake()
        for counter, entry, counter_state in zip(counters, entries, reserved.counters, strict=True):
            entry.reconcile(counter.total, counter_state)
        if reserved.granted:
            return self._add_holds(Reservation(keys, hold, has_hold=True))
        return _deny(budgets, [s.spent + s.held for s in reserved.counters], hold.nanos, now)

    def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Count the actual cost of a call and end its hold; the report is sent in the background.

        It does not wait, so a caller that disconnects cannot cancel it. Raises ValueError for a negative amount.
        """
        spent = to_nanos(actual_usd)
        if self._unsettled.pop(reservation.hold.name, None) is None:
            return
        for key in reservation.counters:
            entry = self._usage[key]
            entry.release_hold(reservation.hold.nanos)
            entry.spent += spent
        self._reporter.report(reservation.counters, reservation.hold if reservation.has_hold else None)

    def charge(self, tenant: str, task: str, actual_usd: Decimal, now: datetime) -> None:
        """Count spending without a reservation, as by an audit, or by the student once a budget is spent."""
        budgets = self._applicable_budgets(tenant, task)
        if not budgets or not (spent := to_nanos(actual_usd)):
            return
        keys = self._open_usage(budgets, now)
        for key in keys:
            self._usage[key].spent += spent
        self._reporter.report(keys)

    async def flush(self) -> None:
        """Wait until the online state has all the spending."""
        await self._reporter.flush()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Report the spending, within a time-out; the owner of the online state closes it later."""
        await self._reporter.close(timeout_s)

    def _applicable_budgets(self, tenant: str, task: str) -> tuple[ApplicableBudget, ...]:
        budgets = self._applicable.get((tenant, task))
        if budgets is None:
            if len(self._applicable) >= _MAX_CACHED_BUDGETS:
                self._applicable.clear()
            budgets = self._applicable[tenant, task] = self._limits.applicable(tenant, task)
        return budgets

    def _open_usage(self, budgets: Sequence[ApplicableBudget], now: datetime) -> tuple[str, ...]:
        """Return the keys of the counters at a moment, and open them in the local usage."""
        day = budget_day(now)
        keys = tuple(_budget_key(day, budget) for budget in budgets)
        for key in keys:
            if key not in self._usage:
                keep_s = (next_reset(now) - now + _RETENTION_SLACK).total_seconds() + self.lease_s
                self._usage.get_or_create(key, day, keep_s)
        return keys

    def _add_holds(self, reservation: Reservation) -> Reservation:
        self._unsettled[reservation.hold.name] = reservation
        for key in reservation.counters:
            self._usage[key].add_hold(reservation.hold.nanos)
        return reservation

    def _from_local_usage(
        self, reservation: Reservation, budgets: Sequence[ApplicableBudget], now: datetime
    ) -> Reservation | Denial:
        """Decide on a call while the online state is unavailable."""
        usages = [self._usage[key].used for key in reservation.counters]
        action = self._limits.on_unknown_usage
        if action == "allow":
            if not any(
                _is_exceeded(budget, spent, reservation.hold.nanos)
                for budget, spent in zip(budgets, usages, strict=True)
            ):
                return self._add_holds(reservation)
            return replace(_deny(budgets, usages, reservation.hold.nanos, now), usage_unknown=True)
        return replace(_deny(budgets, usages, reservation.hold.nanos, now), action=action, usage_unknown=True)


def _is_exceeded(budget: ApplicableBudget, used: int, amount: int) -> bool:
    return used >= budget.nanos or used + amount > budget.nanos


def _deny(budgets: Sequence[ApplicableBudget], usages: Sequence[int], amount: int, now: datetime) -> Denial:
    """Build the denial by the exceeded budget, the strictest if there are several."""
    pairs = list(zip(budgets, usages, strict=True))
    exceeded = [(budget, usage) for budget, usage in pairs if _is_exceeded(budget, usage, amount)] or pairs
    budget, usage = min(exceeded, key=lambda pair: pair[0].over_budget != "refuse")
    return Denial(
        budget.over_budget, budget.scope, budget.name, from_nanos(budget.nanos), from_nanos(usage), next_reset(now)
    )


def _budget_key(day: str, budget: ApplicableBudget) -> str:
    """Return the key of a counter; a long name, which callers may choose, is replaced by its hash."""
    name = budget.name
    if len(name) > _MAX_KEY_NAME:
        name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{day}:{budget.scope}:{name}"
