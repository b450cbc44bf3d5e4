"""Post notices to a webhook, signed, with a body that Slack understands.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from typing import Final, Literal

import aiohttp
import orjson

from understudies.notices.notice import Notice

Delivery = Literal["delivered", "retry", "refused"]

_RETRIED_STATUSES: Final = frozenset({408, 409, 425, 429})
_EMOJI: Final = {
    "promoted": ":arrow_up:",
    "demoted": ":arrow_down:",
    "retired": ":arrow_down:",
    "rejected": ":x:",
    "drift": ":warning:",
    "budget": ":moneybag:",
}


class Webhook:
    """A URL that takes notices; create it on the event loop, and close it."""

    def __init__(self, url: str, secret: str | None, timeout_s: float) -> None:
        self._url = url
        self._key = None if secret is None else signing_key(secret)
        # The proxy of the environment is for the way out.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True)

    async def post(self, notice: Notice, now: datetime) -> tuple[Delivery, str]:
        """Post a notice; return what became of it, and why in words that never name the URL, which is a secret."""
        body = encode_body(notice)
        headers = {"content-type": "application/json", **sign(self._key, notice.id, now, body)}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return "retry", type(error).__name__
        if 200 <= status < 300:
            return "delivered", str(status)
        return ("retry" if status >= 500 or status in _RETRIED_STATUSES else "refused"), f"status {status}"

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def encode_body(notice: Notice) -> bytes:
    """Return the body: `text` for Slack and its like, and `notice` with the fields for programs."""
    task = f"*{_escape(notice.task)}*: " if notice.task else ""
    reason = f": {_escape(notice.reason)}" if notice.reason else ""
    text = f"{_EMOJI[notice.kind]} {task}{_escape(notice.text)}{reason}"
    return orjson.dumps({"text": text, "notice": notice.model_dump(mode="json")})


def sign(key: bytes | None, notice_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that name a notice, the time at which it is sent, and its signature if there is a key."""
    stamp = str(int(now.timestamp()))
    headers = {"webhook-id": notice_id, "webhook-timestamp": stamp}
    if key is not None:
        signed = f"{notice_id}.{stamp}.".encode() + body
        headers["webhook-signature"] = f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
    return headers


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: what `whsec_` and base64 stand for, else the bytes of the text.

    >>> signing_key("whsec_AAEC"), signing_key("open sesame")
    (b'\\x00\\x01\\x02', b'open sesame')
    """
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()


def _escape(text: str) -> str:
    """Escape what Slack reads as markup: names and reasons hold what callers and models wrote."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
