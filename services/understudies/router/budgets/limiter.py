"""Budgets by task and tenant: reserved before a call, settled after it."""

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
_MAX_CACHED_BOUNDS: Final = 10_000
_MAX_KEY_NAME: Final = 200


class BudgetLimiter:
    """The budgets of all replicas that share an online state.

    What is settled and held together never exceeds a limit, but for what calls cost beyond their estimates and what
    is charged. Everything that a process spends is added up here, and its totals are told to the online state again
    and again: nothing is counted twice or lost, whatever is sent twice, or forgotten by a server that restarts, as
    long as the process lives. Calls without a budget cost nothing here, and ask nothing of the online state.

    `lease_s` has to be longer than the longest call: after it, the hold of a process that is gone is lifted. Not for
    a process that forks after this was made.
    """

    def __init__(
        self, online: OnlineState, limits: BudgetLimits | None = None, *, lease_s: float = 2000.0, pause_s: float = 0.5
    ) -> None:
        self._online = online
        self._limits = limits or BudgetLimits()
        self.lease_s = lease_s
        """How long a hold lasts that nobody ends; may be set at any time."""
        self._source = os.urandom(8).hex()
        self._numbers = itertools.count()
        self._applicable: dict[tuple[str, str], tuple[ApplicableBudget, ...]] = {}
        self._usage = LocalUsage()
        self._reporter = UsageReporter(online, self._usage, self._source, pause_s=pause_s)
        self._unsettled: dict[str, Reservation] = {}

    @property
    def limits(self) -> BudgetLimits:
        """The budgets in force; others may be set at any time, and hold for the day from what was counted so far."""
        return self._limits

    @limits.setter
    def limits(self, limits: BudgetLimits) -> None:
        self._limits = limits
        self._applicable.clear()

    def has_budget(self, tenant: str, task: str) -> bool:
        """Whether a call has a budget at all."""
        return bool(self._applicable_budgets(tenant, task))

    @property
    def in_flight(self) -> int:
        """Reservations that are not settled yet."""
        return len(self._unsettled)

    @property
    def unreported(self) -> int:
        """Budgets whose spending the online state has yet to hear of."""
        return len(self._reporter)

    @property
    def tracked(self) -> int:
        """Budgets of which this process keeps an account."""
        return len(self._usage)

    async def reserve(self, tenant: str, task: str, estimate_usd: Decimal, now: datetime) -> Reservation | Denial:
        """Leave to spend about so much, which has to be settled; one round trip where there is a budget."""
        bounds = self._applicable_budgets(tenant, task)
        if not bounds:
            return UNLIMITED
        keys = self._open_usage(bounds, now)
        entries = [self._usage[key] for key in keys]
        hold = BudgetHold(f"{self._source}{next(self._numbers):x}", min(to_nanos(estimate_usd), MAX_NANOS))
        # Not the whole total: what calls have cost is told when their holds end, or it would count beside them.
        purses = [
            BudgetCounter(key, b.nanos, entry.reported) for key, b, entry in zip(keys, bounds, entries, strict=True)
        ]
        if self._online.is_unavailable:
            return self._from_local_usage(Reservation(keys, hold), bounds, now)
        try:
            reserved = await self._online.reserve(
                self._source, hold, purses, lease_s=self.lease_s, retention_s=entries[0].retention_s
            )
        except OnlineUnavailable:
            self._reporter.report(keys, hold)
            return self._from_local_usage(Reservation(keys, hold), bounds, now)
        except BaseException:
            self._reporter.report(keys, hold)
            raise
        self._reporter.wake()
        for purse, entry, standing in zip(purses, entries, reserved.counters, strict=True):
            entry.reconcile(purse.total, standing)
        if reserved.granted:
            return self._add_holds(Reservation(keys, hold, has_hold=True))
        return _deny(bounds, [s.spent + s.held for s in reserved.counters], hold.nanos, now)

    def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Count what a call has cost, all that was paid for it, and end its hold; it is told in the background.

        There is nothing to wait for, and so nothing that a caller who hangs up could cancel. Raises ValueError for a
        negative amount.
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
        """Count what was spent without leave, as by an audit, or by the student once a budget is spent."""
        bounds = self._applicable_budgets(tenant, task)
        if not bounds or not (spent := to_nanos(actual_usd)):
            return
        keys = self._open_usage(bounds, now)
        for key in keys:
            self._usage[key].spent += spent
        self._reporter.report(keys)

    async def flush(self) -> None:
        """Return when the online state has heard of everything that was spent."""
        await self._reporter.flush()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Tell what was spent, within a time-out; the online state is closed by its owner, later."""
        await self._reporter.close(timeout_s)

    def _applicable_budgets(self, tenant: str, task: str) -> tuple[ApplicableBudget, ...]:
        bounds = self._applicable.get((tenant, task))
        if bounds is None:
            if len(self._applicable) >= _MAX_CACHED_BOUNDS:
                self._applicable.clear()
            bounds = self._applicable[tenant, task] = self._limits.applicable(tenant, task)
        return bounds

    def _open_usage(self, bounds: Sequence[ApplicableBudget], now: datetime) -> tuple[str, ...]:
        """The keys of a moment's counters, which are open in the local usage then."""
        day = budget_day(now)
        keys = tuple(_budget_key(day, bound) for bound in bounds)
        for key in keys:
            if key not in self._usage:
                keep_s = (next_reset(now) - now + _RETENTION_SLACK).total_seconds() + self.lease_s
                self._usage.get_or_create(key, day, keep_s)
        return keys

    def _add_holds(self, grant: Reservation) -> Reservation:
        self._unsettled[grant.hold.name] = grant
        for key in grant.counters:
            self._usage[key].add_hold(grant.hold.nanos)
        return grant

    def _from_local_usage(
        self, grant: Reservation, bounds: Sequence[ApplicableBudget], now: datetime
    ) -> Reservation | Denial:
        """What becomes of a call while the online state is away."""
        used = [self._usage[key].used for key in grant.counters]
        when = self._limits.on_unknown_usage
        if when == "allow":
            if not any(_is_exceeded(bound, spent, grant.hold.nanos) for bound, spent in zip(bounds, used, strict=True)):
                return self._add_holds(grant)
            return replace(_deny(bounds, used, grant.hold.nanos, now), usage_unknown=True)
        return replace(_deny(bounds, used, grant.hold.nanos, now), action=when, usage_unknown=True)


def _is_exceeded(bound: ApplicableBudget, used: int, nanos_: int) -> bool:
    return used >= bound.nanos or used + nanos_ > bound.nanos


def _deny(bounds: Sequence[ApplicableBudget], used: Sequence[int], nanos_: int, now: datetime) -> Denial:
    """A refusal by the budget that is spent; by the strictest, where several are."""
    pairs = list(zip(bounds, used, strict=True))
    spent = [(bound, much) for bound, much in pairs if _is_exceeded(bound, much, nanos_)] or pairs
    bound, much = min(spent, key=lambda pair: pair[0].over_budget != "refuse")
    return Denial(
        bound.over_budget, bound.scope, bound.name, from_nanos(bound.nanos), from_nanos(much), next_reset(now)
    )


def _budget_key(day: str, bound: ApplicableBudget) -> str:
    """The key of a counter; a long name, which anybody may have sent, is replaced by its hash."""
    name = bound.name
    if len(name) > _MAX_KEY_NAME:
        name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{day}:{bound.scope}:{name}"
