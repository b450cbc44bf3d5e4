"""Decide who may read the status: holders of a key, and without one whoever is on this machine."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class StatusAccess:
    """Access to the status page of a router that listens on `host`.

    `local_token` is written to the data folder at each start, for whoever may read that. Without a key the page is open
    on a loopback address, and only under a loopback name: a page of another site, whose name was made to lead here,
    cannot read it.
    """

    host: str
    local_token: str
    key: str | None = None

    def allows(self, scope: Scope) -> bool:
        """Return whether a request may read the status."""
        headers = _read_headers(scope, (b"authorization", b"host"))
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        tokens = [self.local_token, *([self.key] if self.key else [])]
        if scheme.lower() == "bearer" and any(_equal(token.strip(), known) for known in tokens):
            return True
        return self.key is None and is_loopback(self.host) and is_loopback(_hostname(headers.get(b"host", "")))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _equal(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode(), known.encode())


def _read_headers(scope: Scope, names: Sequence[bytes]) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"] if name in names}
