"""Authentication: from a request's headers to a tenant, or to why not."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from understudies.router.access.tenant import ANYBODY, Tenant
from understudies.runtime.plain import plain
from understudies.runtime.rules import Rules
from understudies.runtime.rules.keys import PREFIX, digest_of

TEACHER_KEY: Final = "x-understudies-teacher-key"
"""Header in which a tenant that may do so brings the teacher's key."""

_CARRIERS: Final = ("authorization", "x-api-key", "api-key")

CREDENTIALS: Final = frozenset({*_CARRIERS, TEACHER_KEY})
"""Headers that hold keys: never logged, recorded or passed on as they came, but as `Admitted.credentials` says."""

_BEARER: Final = "bearer "
_PREFIX_BYTES: Final = 8
_NOBODY: Final = bytes(32)


@plain
class Admitted:
    """A caller who may go on, and the headers with a key that a teacher without one of its own is to be sent."""

    tenant: Tenant
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Denied:
    """A caller who may not: HTTP status, a code for programs, and why, without any key."""

    status: int
    code: str
    message: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the status asks for."""
        return {"www-authenticate": 'Bearer realm="understudies"'} if self.status == 401 else {}


_MISSING = Denied(401, "missing_api_key", "this router needs a key: Authorization: Bearer KEY, x-api-key or api-key")
_WRONG = Denied(401, "invalid_api_key", "the key is not known here")
_NO_OWN_KEY = Denied(403, "teacher_key_not_allowed", f"this tenant may not bring a teacher's key in {TEACHER_KEY}")


class Access:
    """Knows the tenants by their keys' hashes.

    A presented key is hashed once. Its digest is looked up by its first bytes and compared whole in constant time.
    What the lookup's time could tell is the beginning of the digest of a key that the caller knows already: nobody can
    choose a key by its digest, so it brings nobody nearer to another's.
    """

    def __init__(self, keys: Iterable[tuple[bytes, Tenant]], *, require_key: bool, anybody: Tenant = ANYBODY) -> None:
        self._by_prefix: dict[bytes, tuple[tuple[bytes, Tenant], ...]] = {}
        for digest, tenant in keys:
            prefix = digest[:_PREFIX_BYTES]
            self._by_prefix[prefix] = (*self._by_prefix.get(prefix, ()), (digest, tenant))
        self._require_key = require_key
        self._anybody = anybody

    @classmethod
    def of(cls, rules: Rules) -> Self:
        """Who may call by these rules; `[tenants.default]` says what holds for callers without a key."""
        tenants = {name: Tenant.of(name, tenant) for name, tenant in rules.tenants.items()}
        keys = [
            (bytes.fromhex(key.partition(":")[2]), tenants[name])
            for name, tenant in rules.tenants.items()
            for key in tenant.keys
        ]
        return cls(keys, require_key=rules.require_key, anybody=tenants.get(ANYBODY.name, ANYBODY))

    def authenticate(self, headers: Mapping[str, str]) -> Admitted | Denied:
        """Who calls, by headers with names in lower case.

        A key of this router is never passed on. Where none is required, callers without one are `anybody`, and
        whatever key they bring is meant for the teacher.
        """
        presented = _presented(headers)
        if self._by_prefix:
            for key in presented:
                tenant = self._owner(key)
                if tenant is not None:
                    return self._admitted(tenant, headers)
        if self._require_key:
            return _WRONG if presented else _MISSING
        for key in presented:
            if key.startswith(PREFIX):
                return _WRONG
        return Admitted(self._anybody, {name: headers[name] for name in _CARRIERS if name in headers})

    def _owner(self, key: str) -> Tenant | None:
        digest = digest_of(key)
        owner: Tenant | None = None
        for known, tenant in self._by_prefix.get(digest[:_PREFIX_BYTES], ((_NOBODY, ANYBODY),)):
            if hmac.compare_digest(known, digest):
                owner = tenant
        return owner

    def _admitted(self, tenant: Tenant, headers: Mapping[str, str]) -> Admitted | Denied:
        brought = headers.get(TEACHER_KEY)
        if not brought:
            return Admitted(tenant)
        if not tenant.own_teacher_key:
            return _NO_OWN_KEY
        return Admitted(tenant, _as_presented(headers, brought))


def _presented(headers: Mapping[str, str]) -> list[str]:
    """The keys in the headers."""
    bearer = headers.get("authorization", "")
    keys = [bearer[len(_BEARER) :]] if bearer[: len(_BEARER)].lower() == _BEARER else []
    keys += [headers[name] for name in ("x-api-key", "api-key") if name in headers]
    return [key.strip() for key in keys if key and not key.isspace()]


def _as_presented(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """A teacher's key in the header in which the caller's own came, for that is how its API carries keys."""
    if headers.get("x-api-key") and "authorization" not in headers:
        return {"x-api-key": key}
    return {"authorization": f"Bearer {key}"}
