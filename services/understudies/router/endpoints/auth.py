"""Authenticate a request by its headers: return its tenant, or the reason for refusing it."""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import translate
from typing import Final, Self

from understudies.events import own_task, owner_and_base
from understudies.runtime.fast_dataclass import fast_dataclass
from understudies.runtime.rules.api_keys import KEY_PREFIX, key_digest
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import OverBudgetRule
from understudies.runtime.rules.tenant import TenantRules


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller: the name on each of its events, and its permissions. It holds no key."""

    name: str = "default"
    daily_budget_usd: Decimal | None = None
    over_budget: OverBudgetRule = "student_only"
    own_teacher_key: bool = False
    consent: bool | None = None
    _tasks: re.Pattern[str] | None = field(default=None, repr=False)
    _owns: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_rules(cls, name: str, rules: TenantRules) -> Self:
        """Create a tenant from its table in the rules."""
        tasks = rules.tasks
        return cls(
            name,
            rules.daily_budget_usd,
            rules.over_budget,
            rules.own_teacher_key,
            rules.consent,
            None if tasks is None else re.compile("|".join(translate(glob) for glob in tasks) or r"(?!)"),
            rules.owns if rules.own_tasks else None,
        )

    @property
    def is_restricted(self) -> bool:
        """True if the tenant may call only certain tasks, and so nothing that belongs to no task."""
        return self._tasks is not None

    @property
    def template_scope(self) -> str:
        """The scope in which its unnamed tasks are discovered: its own if it has tasks of its own, else the shared."""
        return "" if self._owns is None else self.name

    def can_call(self, task: str) -> bool:
        """Return whether the tenant may call a task."""
        return self._tasks is None or self._tasks.fullmatch(task) is not None

    def display_name(self, task: str) -> str:
        """Return the name by which the tenant calls a task."""
        owner, base = owner_and_base(task) if self._owns is not None else (None, task)
        return base if owner == self.name else task

    def qualified_name(self, called: str) -> str:
        """Return the task that the tenant calls by a name: one of its own, or one that all tenants share."""
        called = self.display_name(called)
        return own_task(self.name, called) if self._owns is not None and self._owns(called) else called


ANONYMOUS = Tenant()
"""The tenant of callers without a key, where none is required."""

TEACHER_KEY: Final = "x-understudies-teacher-key"
"""Header in which a tenant sends its own key for the teacher, if the rules allow it."""

_KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key")

CREDENTIALS: Final = frozenset({*_KEY_HEADERS, TEACHER_KEY})
"""Headers that hold keys: never logged or recorded, and forwarded only as `Principal.credentials` says."""

_BEARER: Final = "bearer "
_PREFIX_BYTES: Final = 8
_UNKNOWN_DIGEST: Final = bytes(32)


@fast_dataclass
class Principal:
    """An authenticated caller, and the headers with the key to send to a teacher that has no key of its own."""

    tenant: Tenant
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class AuthError:
    """A refused caller: the HTTP status, a machine-readable code, and the reason, without any key."""

    status: int
    code: str
    message: str

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that the status requires."""
        return {"www-authenticate": 'Bearer realm="understudies"'} if self.status == 401 else {}


_MISSING = AuthError(401, "missing_api_key", "this router needs a key: Authorization: Bearer KEY, x-api-key or api-key")
_WRONG = AuthError(401, "invalid_api_key", "the key is not known here")
_NO_OWN_KEY = AuthError(403, "teacher_key_not_allowed", f"this tenant may not bring a teacher's key in {TEACHER_KEY}")


class Authenticator:
    """Find tenants by the hashes of their keys.

    A presented key is hashed once. Its digest is looked up by its first bytes and compared as a whole in constant time.
    The timing of the lookup could reveal only the beginning of the digest of a key that the caller already knows. A key
    cannot be chosen by its digest, so this does not help to find anybody else's.
    """

    def __init__(
        self, keys: Iterable[tuple[bytes, Tenant]], *, require_key: bool, anonymous: Tenant = ANONYMOUS
    ) -> None:
        self._by_prefix: dict[bytes, tuple[tuple[bytes, Tenant], ...]] = {}
        for digest, tenant in keys:
            prefix = digest[:_PREFIX_BYTES]
            self._by_prefix[prefix] = (*self._by_prefix.get(prefix, ()), (digest, tenant))
        self._require_key = require_key
        self._anonymous = anonymous

    @classmethod
    def from_rules(cls, rules: Rules) -> Self:
        """Create an authenticator from the rules; `[tenants.default]` applies to callers without a key."""
        tenants = {name: Tenant.from_rules(name, tenant) for name, tenant in rules.tenants.items()}
        keys = [
            (bytes.fromhex(key.partition(":")[2]), tenants[name])
            for name, tenant in rules.tenants.items()
            for key in tenant.keys
        ]
        return cls(keys, require_key=rules.require_key, anonymous=tenants.get(ANONYMOUS.name, ANONYMOUS))

    def authenticate(self, headers: Mapping[str, str]) -> Principal | AuthError:
        """Return the principal of a request with these headers (names in lower case), or the reason for refusing it.

        A key of this router is never forwarded. Where none is required, callers without one are `anonymous`, and any
        other key that they send is meant for the teacher.
        """
        tenant = self.find_tenant(headers)
        if tenant is not None:
            return self._principal(tenant, headers)
        presented = _presented_keys(headers)
        if self._require_key:
            return _WRONG if presented else _MISSING
        for key in presented:
            if key.startswith(KEY_PREFIX):
                return _WRONG
        return Principal(self._anonymous, {name: headers[name] for name in _KEY_HEADERS if name in headers})

    def find_tenant(self, headers: Mapping[str, str]) -> Tenant | None:
        """Return the tenant whose key is in the headers (names in lower case), or None without such a key."""
        if not self._by_prefix:
            return None
        owners = (self._owner(key) for key in _presented_keys(headers))
        return next((owner for owner in owners if owner is not None), None)

    def _owner(self, key: str) -> Tenant | None:
        digest = key_digest(key)
        owner: Tenant | None = None
        for known, tenant in self._by_prefix.get(digest[:_PREFIX_BYTES], ((_UNKNOWN_DIGEST, ANONYMOUS),)):
            if hmac.compare_digest(known, digest):
                owner = tenant
        return owner

    def _principal(self, tenant: Tenant, headers: Mapping[str, str]) -> Principal | AuthError:
        brought = headers.get(TEACHER_KEY)
        if not brought:
            return Principal(tenant)
        if not tenant.own_teacher_key:
            return _NO_OWN_KEY
        return Principal(tenant, _teacher_key_header(headers, brought))


def _presented_keys(headers: Mapping[str, str]) -> list[str]:
    """Return the keys in the headers."""
    bearer = headers.get("authorization", "")
    keys = (
        bearer[len(_BEARER) :].strip() if bearer[: len(_BEARER)].lower() == _BEARER else "",
        headers.get("x-api-key", "").strip(),
        headers.get("api-key", "").strip(),
    )
    return [key for key in keys if key]


def _teacher_key_header(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """Return a teacher's key in the header in which the caller's own key came, as the caller's API uses it."""
    if headers.get("x-api-key") and "authorization" not in headers:
        return {"x-api-key": key}
    return {"authorization": f"Bearer {key}"}
