"""Budgets by task and tenant: reserved before a call, settled after it."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from understudies.router.money.amounts import dollars, nanos
from understudies.router.money.book import Book
from understudies.router.money.day import day_of, reset_after
from understudies.router.money.grant import FREE, Grant, Refusal
from understudies.router.money.limits import Bound, Limits
from understudies.router.money.teller import Teller
from understudies.runtime.online import MAX_NANOS, Hold, Online, OnlineAway, Purse

_SLACK: Final = timedelta(hours=1)
_REMEMBERED: Final = 10_000
_LONGEST: Final = 200


class Budgets:
    """The budgets of all replicas that share an online state.

    What is settled and held together never exceeds a limit, but for what calls cost beyond their estimates and what
    is charged. Everything that a process spends is added up here, and its totals are told to the online state again
    and again: nothing is counted twice or lost, whatever is sent twice, or forgotten by a server that restarts, as
    long as the process lives. Calls without a budget cost nothing here, and ask nothing of the online state.

    `lease_s` has to be longer than the longest call: after it, the hold of a process that is gone is lifted. Not for
    a process that forks after this was made.
    """

    def __init__(
        self, online: Online, limits: Limits | None = None, *, lease_s: float = 2000.0, pause_s: float = 0.5
    ) -> None:
        self._online = online
        self._limits = limits or Limits()
        self.lease_s = lease_s
        """How long a hold lasts that nobody ends; may be set at any time."""
        self._source = os.urandom(8).hex()
        self._numbers = itertools.count()
        self._bounds: dict[tuple[str, str], tuple[Bound, ...]] = {}
        self._book = Book()
        self._teller = Teller(online, self._book, self._source, pause_s=pause_s)
        self._unsettled: dict[str, Grant] = {}

    @property
    def limits(self) -> Limits:
        """The budgets in force; others may be set at any time, and hold for the day from what was counted so far."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._bounds.clear()

    def bounded(self, tenant: str, task: str) -> bool:
        """Whether a call has a budget at all."""
        return bool(self._bounds_of(tenant, task))

    @property
    def in_flight(self) -> int:
        """Grants that are not settled yet."""
        return len(self._unsettled)

    @property
    def untold(self) -> int:
        """Budgets whose spending the online state has yet to hear of."""
        return len(self._teller)

    @property
    def remembered(self) -> int:
        """Budgets of which this process keeps an account."""
        return len(self._book)

    async def reserve(self, tenant: str, task: str, estimate_usd: Decimal, now: datetime) -> Grant | Refusal:
        """Leave to spend about so much, which has to be settled; one round trip where there is a budget."""
        bounds = self._bounds_of(tenant, task)
        if not bounds:
            return FREE
        keys = self._opened(bounds, now)
        entries = [self._book[key] for key in keys]
        hold = Hold(f"{self._source}{next(self._numbers):x}", min(nanos(estimate_usd), MAX_NANOS))
        # Not the whole total: what calls have cost is told when their holds end, or it would count beside them.
        purses = [Purse(key, b.nanos, entry.told) for key, b, entry in zip(keys, bounds, entries, strict=True)]
        if self._online.away:
            return self._by_what_is_known(Grant(keys, hold), bounds, now)
        try:
            reserved = await self._online.reserve(
                self._source, hold, purses, lease_s=self.lease_s, keep_s=entries[0].keep_s
            )
        except OnlineAway:
            self._teller.tell(keys, hold)
            return self._by_what_is_known(Grant(keys, hold), bounds, now)
        except BaseException:
            self._teller.tell(keys, hold)
            raise
        self._teller.hurry()
        for purse, entry, standing in zip(purses, entries, reserved.standings, strict=True):
            entry.hear(purse.total, standing)
        if reserved.granted:
            return self._begun(Grant(keys, hold, held=True))
        return _refusal(bounds, [s.spent + s.held for s in reserved.standings], hold.nanos, now)

    def settle(self, grant: Grant, actual_usd: Decimal) -> None:
        """Count what a call has cost, all that was paid for it, and end its hold; it is told in the background.

        There is nothing to wait for, and so nothing that a caller who hangs up could cancel. Raises ValueError for a
        negative amount.
        """
        spent = nanos(actual_usd)
        if self._unsettled.pop(grant.hold.name, None) is None:
            return
        for key in grant.purses:
            entry = self._book[key]
            entry.end(grant.hold.nanos)
            entry.total += spent
        self._teller.tell(grant.purses, grant.hold if grant.held else None)

    def charge(self, tenant: str, task: str, actual_usd: Decimal, now: datetime) -> None:
        """Count what was spent without leave, as by an audit, or by the student once a budget is spent."""
        bounds = self._bounds_of(tenant, task)
        if not bounds or not (spent := nanos(actual_usd)):
            return
        keys = self._opened(bounds, now)
        for key in keys:
            self._book[key].total += spent
        self._teller.tell(keys)

    async def told(self) -> None:
        """Return when the online state has heard of everything that was spent."""
        await self._teller.told()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Tell what was spent, within a time-out; the online state is closed by its owner, later."""
        await self._teller.close(timeout_s)

    def _bounds_of(self, tenant: str, task: str) -> tuple[Bound, ...]:
        bounds = self._bounds.get((tenant, task))
        if bounds is None:
            if len(self._bounds) >= _REMEMBERED:
                self._bounds.clear()
            bounds = self._bounds[tenant, task] = self._limits.bounds(tenant, task)
        return bounds

    def _opened(self, bounds: Sequence[Bound], now: datetime) -> tuple[str, ...]:
        """The keys of a moment's purses, which are open in the book then."""
        day = day_of(now)
        keys = tuple(_key(day, bound) for bound in bounds)
        for key in keys:
            if key not in self._book:
                keep_s = (reset_after(now) - now + _SLACK).total_seconds() + self.lease_s
                self._book.open(key, day, keep_s)
        return keys

    def _begun(self, grant: Grant) -> Grant:
        self._unsettled[grant.hold.name] = grant
        for key in grant.purses:
            self._book[key].begin(grant.hold.nanos)
        return grant

    def _by_what_is_known(self, grant: Grant, bounds: Sequence[Bound], now: datetime) -> Grant | Refusal:
        """What becomes of a call while the online state is away."""
        used = [self._book[key].used for key in grant.purses]
        when = self._limits.when_unknown
        if when == "allow":
            if not any(_short(bound, spent, grant.hold.nanos) for bound, spent in zip(bounds, used, strict=True)):
                return self._begun(grant)
            return replace(_refusal(bounds, used, grant.hold.nanos, now), unknown=True)
        return replace(_refusal(bounds, used, grant.hold.nanos, now), action=when, unknown=True)


def _short(bound: Bound, used: int, nanos_: int) -> bool:
    return used >= bound.nanos or used + nanos_ > bound.nanos


def _refusal(bounds: Sequence[Bound], used: Sequence[int], nanos_: int, now: datetime) -> Refusal:
    """A refusal by the budget that is spent; by the strictest, where several are."""
    pairs = list(zip(bounds, used, strict=True))
    spent = [(bound, much) for bound, much in pairs if _short(bound, much, nanos_)] or pairs
    bound, much = min(spent, key=lambda pair: pair[0].over_budget != "refuse")
    return Refusal(bound.over_budget, bound.scope, bound.name, dollars(bound.nanos), dollars(much), reset_after(now))


def _key(day: str, bound: Bound) -> str:
    """The key of a purse; a long name, which anybody may have sent, is replaced by its hash."""
    name = bound.name
    if len(name) > _LONGEST:
        name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{day}:{bound.scope}:{name}"
