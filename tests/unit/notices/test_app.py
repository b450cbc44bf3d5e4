"""The notices service: each change is told once, and tried until it is taken."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.budget_harness import at_hour, drift_event, promotion_stage
from tests.support.capturing_bus import to_records
from tests.support.webhook_server import WebhookServer, webhook_server

from understudies.events import Event
from understudies.notices.app import NoticesApp, create_app
from understudies.notices.settings import NoticeSettings
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.settings import settings_from


class Notified:
    """The service with a clock and what was spent."""

    def __init__(self, url: str | None, rules: Rules | None = None, **settings: Any) -> None:
        self.clock = VirtualClock(at_hour(0))
        self.rules = rules or Rules()
        self.settings = NoticeSettings(url=SecretStr(url) if url else None, **settings)
        self.spent: dict[tuple[str, str], Decimal] = {}
        self.spending_read = 0
        self.app = self._create()

    def _create(self) -> NoticesApp:
        return create_app(self.settings, clock=self.clock, rules=lambda: self.rules, spending=self._spending)

    async def _spending(self, now: datetime) -> Mapping[tuple[str, str], Decimal]:
        self.spending_read += 1
        return self.spent

    async def handle(self, *events: Event) -> None:
        await self.app.handle(to_records(*events))

    async def tick(self, hour: float) -> None:
        self.clock.set(at_hour(hour))
        await self.app.tick(at_hour(hour))

    async def restart(self) -> None:
        """As after a stop: from the snapshot."""
        state = self.app.state()
        await self.app.stop()
        self.app = self._create()
        await self.app.restore(state)
        await self.app.start()


async def opened(hook: WebhookServer | None, rules: Rules | None = None, **settings: Any) -> Notified:
    found = Notified(hook.url if hook else None, rules, **settings)
    await found.app.start()
    return found


async def test_each_change_is_posted_once_and_in_order() -> None:
    async with webhook_server() as hook:
        service = await opened(hook)
        promoted = promotion_stage("promoted", share=0.25, reason="canary")
        await service.handle(promotion_stage("authorised"), promoted)
        await service.handle(promoted, promotion_stage("promoted", share=0.25, reason="more audits"), drift_event())
        await service.tick(0.1)
        await service.restart()
        await service.handle(promoted, promotion_stage("demoted", hour=0.1, reason="drift"))
        await service.tick(0.2)
        await service.app.stop()
    assert hook.texts == [
        ":arrow_up: *triage*: triage@1 serves 25% of the eligible calls: canary",
        ":warning: *triage*: agreement of triage@1 fell to 70.0% after 40 audited verdicts; the teacher answers",
        ":arrow_down: *triage*: triage@1 was demoted: drift",
    ]


async def test_what_the_webhook_does_not_take_is_tried_again_later_and_after_a_restart() -> None:
    async with webhook_server() as hook:
        hook.statuses = [503, 429]
        service = await opened(hook)
        await service.handle(promotion_stage("rejected", reason="a"), promotion_stage("demoted", 2, reason="b"))
        await service.tick(0)
        await service.tick(2 / 3600)
        assert len(hook.requests) == 1
        await service.restart()
        await service.tick(6 / 3600)
        await service.tick(20 / 3600)
        assert len(hook.requests) == 2
        await service.tick(1)
        await service.app.stop()
    ids = [headers["webhook-id"] for headers, _ in hook.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert hook.texts[2:] == [
        ":x: *triage*: triage@1 was rejected: a",
        ":arrow_down: *triage*: triage@2 was demoted: b",
    ]


async def test_what_is_refused_or_too_old_is_dropped_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with webhook_server() as hook:
        service = await opened(hook, retry_hours=1)
        hook.statuses = [404]
        await service.handle(promotion_stage("rejected", reason="a"))
        await service.tick(0)
        hook.statuses = [500] * 20
        await service.handle(promotion_stage("demoted", reason="b"))
        await service.tick(0.1)
        await service.tick(2)
        await service.tick(3)
        await service.app.stop()
    assert len(hook.requests) == 3
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "the webhook refused a notice (status 404): check UNDERSTUDIES_NOTICES_URL",
        "the webhook refused a notice (status 500): check UNDERSTUDIES_NOTICES_URL",
    ]
    assert "secret-part" not in caplog.text


async def test_without_a_webhook_notices_are_logged_and_nothing_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service = await opened(None)
    await service.handle(promotion_stage("promoted", share=1.0, reason="ramp"))
    await service.tick(0)
    # A reason may name classes of answers, which no log line does.
    assert [record.getMessage() for record in caplog.records] == [
        "notice: triage: triage@1 serves 100% of the eligible calls"
    ]
    assert service.app.state()["pending"] == []


async def test_what_is_read_from_the_beginning_of_a_topic_is_no_news() -> None:
    async with webhook_server() as hook:
        service = await opened(hook)
        service.clock.set(at_hour(30))
        await service.handle(promotion_stage("promoted", share=0.25, hour=1))
        await service.handle(promotion_stage("promoted", share=0.5, hour=29, reason="ramp"))
        await service.tick(30)
        await service.app.stop()
    assert hook.texts == [":arrow_up: *triage*: triage@1 serves 50% of the eligible calls: ramp"]


async def test_a_budget_that_is_nearly_spent_is_told_once_a_day() -> None:
    rules = Rules(defaults=TaskRules(daily_budget_usd=Decimal(10)), tasks={"free": TaskRules(daily_budget_usd=None)})
    async with webhook_server() as hook:
        service = await opened(hook, rules)
        service.spent = {("triage", "a"): Decimal(5), ("triage", "b"): Decimal("2.9"), ("other", "a"): Decimal(1)}
        await service.tick(0)
        service.spent["triage", "b"] = Decimal(3)
        await service.tick(0.01)
        assert hook.texts == []
        await service.tick(0.02)
        await service.tick(0.5)
        await service.restart()
        await service.tick(1)
        assert len(hook.texts) == 1
        await service.tick(24.5)
        await service.app.stop()
    assert set(hook.texts) == {
        ":moneybag: *triage*: the budget of triage is nearly spent: $8.00 of $10.00 since midnight, UTC"
    }
    assert len(hook.texts) == 2


async def test_without_budgets_nothing_is_summed() -> None:
    service = await opened(None)
    for hour in (0, 1):
        await service.tick(hour)
    assert service.spending_read == 0


def test_a_wrong_url_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_NOTICES_URL", "hooks.slack.example/secret-part")
    with pytest.raises(ConfigurationError, match=r"UNDERSTUDIES_NOTICES_URL: .*http or https URL") as caught:
        settings_from(NoticeSettings)
    assert "secret-part" not in str(caught.value)
