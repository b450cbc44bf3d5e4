"""`understudies up` with a webhook: what changed is posted, signed, and once."""

import asyncio
from pathlib import Path

from tests.support.commands import TIMEOUT_S, up_command, wait_until
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import write_promoted_student
from tests.support.webhook_server import WebhookServer, webhook_server

PROMOTED = ":arrow_up: *triage*: triage@1 serves 100% of the eligible calls"


async def wait_for_texts(hook: WebhookServer, texts: list[str]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while hook.texts != texts:  # noqa: ASYNC110 - what another process sends
            await asyncio.sleep(0.02)


async def test_a_promotion_is_posted_once_though_the_webhook_is_away_and_the_process_restarts(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher, webhook_server() as hook:
        env = {"UNDERSTUDIES_NOTICES_URL": hook.url, "UNDERSTUDIES_NOTICES_SECRET": "whsec_AAEC"}
        hook.statuses = [503]
        async with up_command(tmp_path, teacher.url, env=env) as first:
            await first.wait_for_line("the webhook did not take a notice .status 503.; it is tried again")
            assert await first.terminate() == 0
        async with up_command(tmp_path, teacher.url, env=env) as second:
            await wait_for_texts(hook, [PROMOTED, PROMOTED])  # The first one was answered by 503.
            await second.wait_router_url()
            assert await second.terminate() == 0
        known = len(hook.requests)
        async with up_command(tmp_path, teacher.url, env=env) as third:
            await third.wait_router_url()
            await wait_until((tmp_path / "snapshots" / "notices.json").exists)
            assert await third.terminate() == 0
    assert len(hook.requests) == known
    assert {headers["webhook-id"] for headers, _ in hook.requests} == {hook.requests[0][0]["webhook-id"]}
    assert all(headers["webhook-signature"].startswith("v1,") for headers, _ in hook.requests)
    for run in (first, second, third):
        assert "Traceback" not in run.output
        assert hook.url not in run.output
