"""Decide who may read the status: holders of a key, and without one whoever is on this machine."""

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from understudies.router.endpoints.errors import HttpError
from understudies.runtime.addresses import hostname_of, is_loopback

_CHALLENGE: Final = {"www-authenticate": 'Basic realm="Understudies", charset="UTF-8"'}


def _no_tenant(key: str) -> str | None:
    """Return None: there are no tenants."""
    return None


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy in front that lets people in: the header in which it names them, and its own addresses."""

    header: str
    networks: Sequence[IPv4Network | IPv6Network]

    def find_name(self, scope: Scope) -> str | None:
        """Return whom the proxy let in; None if the request did not come from it, or names nobody."""
        client = scope.get("client")
        if client is None or not self._is_proxy(str(client[0])):
            return None
        name = self.header.lower().encode("latin-1")
        return _read_headers(scope, (name,)).get(name, "").strip() or None

    def _is_proxy(self, address: str) -> bool:
        try:
            known = ip_address(address)
        except ValueError:
            return False
        return any(known in network for network in self.networks if network.version == known.version)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever reads: a tenant, who sees its own alone, or somebody who sees everything; `name` as a proxy told it."""

    tenant: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class StatusAccess:
    """Access to the status page of a router that listens on `host`.

    `local_token` is written to the data folder at each start, for whoever may read that. Without a key and a proxy the
    page is open on a loopback address, and only under a loopback name: a page of another site, whose name was made to
    lead here, cannot read it. `find_tenant` returns the tenant that a key belongs to. With a `steering_key`,
    whoever changes something needs that; it opens the page as well.
    """

    host: str
    local_token: str
    key: str | None = None
    steering_key: str | None = None
    proxy: TrustedProxy | None = None
    find_tenant: Callable[[str], str | None] = _no_tenant

    def check(self, scope: Scope) -> None:
        """Raise HttpError unless a request reads, and may read, the status."""
        self._check_allowed(scope)
        _require_method(scope, "GET", "HEAD")

    def viewer(self, scope: Scope) -> Viewer:
        """Return who reads the console, tenants included; raises HttpError for anybody else, and for other methods."""
        tenant = self.find_tenant(_read_token(_read_headers(scope, (b"authorization",)).get(b"authorization", "")))
        if tenant is None:
            self._check_allowed(scope)
        _require_method(scope, "GET", "HEAD")
        name = self.proxy.find_name(scope) if self.proxy else None
        return Viewer(tenant, name or "")

    def check_change(self, scope: Scope) -> None:
        """Raise HttpError unless a request changes something, may do so, and comes from no other site.

        A browser sends its password, and reaches this machine, for a page of any site; it says from which in `Origin`.
        """
        self._check_allowed(scope)
        if self.steering_key is not None and not self._has_token(scope, self.steering_key):
            raise HttpError(
                401,
                "this needs the key of UNDERSTUDIES_STATUS_STEERING_KEY, as a bearer token, or as a password; the key "
                "of the status only reads",
                code="steering_closed",
                headers=_CHALLENGE,
            )
        _require_method(scope, "POST")
        headers = _read_headers(scope, (b"host", b"origin", b"sec-fetch-site"))
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", "none")
        foreign = origin is not None and _netloc(origin) != headers.get(b"host", "")
        if foreign or site not in ("same-origin", "none"):
            raise HttpError(403, "the request comes from a page of another site", code="foreign_origin")

    def _check_allowed(self, scope: Scope) -> None:
        if not self.allows(scope):
            # With a key, a browser asks for it as a password.
            challenge = _CHALLENGE if self.key else {}
            raise HttpError(
                401 if self.key else 403,
                "the status needs a key: set UNDERSTUDIES_STATUS_KEY and send it as a bearer token, or as a password",
                code="status_closed",
                headers=challenge,
            )

    def allows(self, scope: Scope) -> bool:
        """Return whether a request may read the status: with a token as bearer, or as the password of a browser."""
        if self._has_token(scope, *filter(None, (self.key, self.steering_key))):
            return True
        headers = _read_headers(scope, (b"host",))
        if self.proxy is not None:
            return self.proxy.find_name(scope) is not None
        return self.key is None and is_loopback(self.host) and is_loopback(hostname_of(headers.get(b"host", "")))

    def _has_token(self, scope: Scope, *keys: str) -> bool:
        """Return whether a request has the local token or one of the keys."""
        token = _read_token(_read_headers(scope, (b"authorization",)).get(b"authorization", ""))
        return bool(token) and any(_equal(token, known) for known in (self.local_token, *keys))


def _require_method(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        message = f"method {scope['method']} is not allowed at {scope['path']!r}; use {methods[0]}"
        raise HttpError(405, message, code="method_not_allowed", headers={"allow": ", ".join(methods)})


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _read_token(authorization: str) -> str:
    """Return the bearer token, or the password of Basic authentication; empty if there is neither."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _equal(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode(), known.encode())


def _read_headers(scope: Scope, names: Sequence[bytes]) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"] if name in names}
