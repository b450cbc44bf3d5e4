"""The notices service: log what changed, and post it to a webhook until that has it."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from understudies.events import DRIFT, PROMOTIONS, Event, Promotion
from understudies.notices.notice import Notice, budget_notice, notice_of
from understudies.notices.settings import NoticeSettings
from understudies.notices.webhook import Webhook
from understudies.persistence.saved_state import IN_PLACE, SavedState
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.deduplication import SeenIds
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import Clock
from understudies.runtime.rules.rules import Rules

_log = logging.getLogger(__name__)

_MAX_AGE: Final = timedelta(hours=24)
"""Events that are older are no news: a service that starts without a snapshot reads promotions from their beginning."""
_RETRY_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600))
_MAX_PENDING: Final = 1000
_PER_TICK: Final = 10
_BUDGET_INTERVAL: Final = timedelta(minutes=1)

SpendingLookup = Callable[[datetime], Awaitable[Mapping[tuple[str, str], Decimal]]]
"""Returns what was spent since the last midnight before a time, by task and tenant."""


@dataclass(slots=True)
class PendingNotice(SavedState):
    """A notice that the webhook does not have yet."""

    notice: Notice
    attempts: int = 0
    due: datetime | None = None


class NoticesApp(SavedState):
    """Consume promotions and drift; post notices at ticks, each until the webhook has it, also after a restart."""

    name = "notices"
    topics = (PROMOTIONS, DRIFT)
    max_records = 2000

    _seen_ids: Annotated[SeenIds, IN_PLACE]
    _shares: dict[str, float]
    _pending: list[PendingNotice]
    _budgets_told: list[str]

    def __init__(
        self, settings: NoticeSettings, *, clock: Clock, rules: Callable[[], Rules], spending: SpendingLookup
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rules = rules
        self._spending = spending
        self._seen_ids = SeenIds()
        self._shares = {}
        self._pending = []
        self._budgets_told = []
        self._webhook: Webhook | None = None
        self._budgets_read_at: datetime | None = None

    async def start(self) -> None:
        """Open the webhook, if there is one."""
        url, secret = self._settings.url, self._settings.secret
        if url is not None:
            self._webhook = Webhook(
                url.get_secret_value(), secret.get_secret_value() if secret else None, self._settings.timeout_s
            )

    async def handle(self, records: Sequence[Record]) -> None:
        """Log and queue the notices of new events; what cannot be decoded is dead-lettered by others."""
        now = self._clock.now()
        events = self._seen_ids.filter_new([event for _, event in decode_records(records)[0]])
        for event in events:
            notice = notice_of(event, self._shares.get(self._student_of(event)))
            self._fold(event)
            if notice is not None and now - notice.at < _MAX_AGE:
                self._queue(notice)
        self._seen_ids.add(events)

    async def tick(self, now: datetime) -> None:
        """Check the budgets, then post what is due; whatever comes later waits its turn, so that order is kept."""
        await self._check_budgets(now)
        for _ in range(_PER_TICK):
            if self._webhook is None or not self._pending:
                return
            first = self._pending[0]
            if first.due is not None and now < first.due:
                return
            await self._post(self._webhook, first, now)

    async def stop(self) -> None:
        """Close the webhook; what waits is in the snapshot."""
        if self._webhook is not None:
            await self._webhook.close()

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.restore_state(state)

    def _fold(self, event: Event) -> None:
        if isinstance(event, Promotion) and event.steering is None:
            self._shares[event.student] = event.share if event.stage == "promoted" else 0.0

    @staticmethod
    def _student_of(event: Event) -> str:
        return event.student if isinstance(event, Promotion) else ""

    def _queue(self, notice: Notice) -> None:
        _log.info("notice: %s%s", f"{notice.task}: " if notice.task else "", notice.text)
        if self._settings.url is None:
            return
        self._pending.append(PendingNotice(notice))
        if len(self._pending) > _MAX_PENDING:
            _log.error("a notice was dropped, %d wait already: the webhook takes none", _MAX_PENDING)
            del self._pending[0]

    async def _post(self, webhook: Webhook, pending: PendingNotice, now: datetime) -> None:
        outcome, answer = await webhook.post(pending.notice, now)
        if outcome == "retry" and now - pending.notice.at < timedelta(hours=self._settings.retry_hours):
            delay = _RETRY_DELAYS[min(pending.attempts, len(_RETRY_DELAYS) - 1)]
            if not pending.attempts:
                _log.warning("the webhook did not take a notice (%s); it is tried again", answer)
            pending.attempts, pending.due = pending.attempts + 1, now + delay
            return
        self._pending.remove(pending)
        if outcome != "delivered":
            _log.error("the webhook refused a notice (%s): check UNDERSTUDIES_NOTICES_URL", answer)

    async def _check_budgets(self, now: datetime) -> None:
        rules = self._rules()
        if not _has_budgets(rules) or (self._budgets_read_at and now - self._budgets_read_at < _BUDGET_INTERVAL):
            return
        self._budgets_read_at = now
        spent: defaultdict[tuple[str, bool], Decimal] = defaultdict(Decimal)
        for (task, tenant), cost in (await self._spending(now)).items():
            spent[task, False] += cost
            spent[tenant, True] += cost
        for (name, of_tenant), amount in sorted(spent.items()):
            budget = _daily_budget(rules, name, of_tenant=of_tenant)
            if budget is None or amount < budget * Decimal(str(self._settings.budget_share)):
                continue
            notice = budget_notice(name, amount, budget, now, of_tenant=of_tenant)
            if notice.id not in self._budgets_told:
                self._budgets_told.append(notice.id)
                self._queue(notice)
        today = f"budget-{now:%Y-%m-%d}-"
        self._budgets_told = [told for told in self._budgets_told if told.startswith(today)]


def _has_budgets(rules: Rules) -> bool:
    of_tasks = (task.daily_budget_usd for task in (rules.defaults, *rules.tasks.values()))
    return any((*of_tasks, *(tenant.daily_budget_usd for tenant in rules.tenants.values())))


def _daily_budget(rules: Rules, name: str, *, of_tenant: bool) -> Decimal | None:
    if not of_tenant:
        return rules.for_task(name).daily_budget_usd
    tenant = rules.tenants.get(name)
    return tenant.daily_budget_usd if tenant else None


def create_app(
    settings: NoticeSettings, *, clock: Clock, rules: Callable[[], Rules], spending: SpendingLookup
) -> NoticesApp:
    """Build the notices service."""
    return NoticesApp(settings, clock=clock, rules=rules, spending=spending)
