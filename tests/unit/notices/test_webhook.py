"""Posting notices: the body, the signature, and what becomes of them."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from tests.support.webhook_server import webhook_server

from understudies.notices.notice import Notice
from understudies.notices.webhook import Webhook, encode_body, sign, signing_key

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOTICE = Notice(
    id="event-1",
    at=NOW,
    kind="demoted",
    task="triage",
    student="triage@1",
    text="triage@1 was demoted",
    reason="<@U1> & others",
)


def test_the_body_is_what_slack_shows_and_programs_read() -> None:
    body = json.loads(encode_body(NOTICE))
    assert body["text"] == ":arrow_down: *triage*: triage@1 was demoted: &lt;@U1&gt; &amp; others"
    assert body["notice"] == {
        "id": "event-1",
        "at": "2026-01-05T12:00:00Z",
        "kind": "demoted",
        "task": "triage",
        "student": "triage@1",
        "text": "triage@1 was demoted",
        "reason": "<@U1> & others",
    }


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's libraries: secret, id, time, body and their signature.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign(signing_key(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert "webhook-signature" not in sign(None, "id", at, b"")


@pytest.mark.parametrize("secret", ["open sesame", "whsec_not base64"])
def test_any_text_is_a_secret(secret: str) -> None:
    assert signing_key(secret) == secret.encode()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "delivered"), (204, "delivered"), (302, "refused"), (404, "refused"), (429, "retry"), (500, "retry")],
)
async def test_what_becomes_of_a_notice_is_told_by_the_answer(status: int, outcome: str) -> None:
    async with webhook_server() as hook:
        hook.statuses = [status]
        webhook = Webhook(hook.url, "key", 5.0)
        assert (await webhook.post(NOTICE, NOW))[0] == outcome
        await webhook.close()
    ((headers, body),) = hook.requests
    assert body == encode_body(NOTICE)
    signed = f"event-1.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"key", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["content-type"] == "application/json"


async def test_nobody_there_is_tried_again_and_the_url_is_not_told() -> None:
    async with webhook_server() as hook:
        url = hook.url
    webhook = Webhook(url, None, 5.0)
    outcome, why = await webhook.post(NOTICE, NOW)
    await webhook.close()
    assert outcome == "retry"
    assert "secret-part" not in why
