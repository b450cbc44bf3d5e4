"""Authenticate a request by its headers: find its tenant, or say why there is none."""

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
    """A caller: its name on every event, and what it may do. It holds no key."""

    name: str = "default"
    daily_budget_usd: Decimal | None = None
    over_budget: OverBudgetRule = "student_only"
    own_teacher_key: bool = False
    _tasks: re.Pattern[str] | None = field(default=None, repr=False)
    _owns: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_rules(cls, name: str, rules: TenantRules) -> Self:
        """The tenant of a table of the rules."""
        tasks = rules.tasks
        return cls(
            name,
            rules.daily_budget_usd,
            rules.over_budget,
            rules.own_teacher_key,
            None if tasks is None else re.compile("|".join(translate(glob) for glob in tasks) or r"(?!)"),
            rules.owns if rules.own_tasks else None,
        )

    @property
    def is_restricted(self) -> bool:
        """Whether it may call certain tasks alone, and so nothing that has no task."""
        return self._tasks is not None

    def can_call(self, task: str) -> bool:
        """Whether it may call a task."""
        return self._tasks is None or self._tasks.fullmatch(task) is not None

    def display_name(self, task: str) -> str:
        """How it calls a task."""
        owner, base = owner_and_base(task) if self._owns is not None else (None, task)
        return base if owner == self.name else task

    def qualified_name(self, called: str) -> str:
        """The task that it calls by a name: its own, or one that all share."""
        called = self.display_name(called)
        return own_task(self.name, called) if self._owns is not None and self._owns(called) else called


ANONYMOUS = Tenant()
"""Whoever calls where no key is asked for."""

TEACHER_KEY: Final = "x-understudies-teacher-key"
"""Header in which a tenant that may do so brings the teacher's key."""

_KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key")

CREDENTIALS: Final = frozenset({*_KEY_HEADERS, TEACHER_KEY})
"""Headers that hold keys: never logged, recorded or passed on as they came, but as `Principal.credentials` says."""

_BEARER: Final = "bearer "
_PREFIX_BYTES: Final = 8
_UNKNOWN_DIGEST: Final = bytes(32)


@fast_dataclass
class Principal:
    """A caller who may go on, and the headers with a key that a teacher without one of its own is to be sent."""

    tenant: Tenant
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class AuthError:
    """A caller who may not: HTTP status, a code for programs, and why, without any key."""

    status: int
    code: str
    message: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the status asks for."""
        return {"www-authenticate": 'Bearer realm="understudies"'} if self.status == 401 else {}


_MISSING = AuthError(401, "missing_api_key", "this router needs a key: Authorization: Bearer KEY, x-api-key or api-key")
_WRONG = AuthError(401, "invalid_api_key", "the key is not known here")
_NO_OWN_KEY = AuthError(403, "teacher_key_not_allowed", f"this tenant may not bring a teacher's key in {TEACHER_KEY}")


class Authenticator:
    """Knows the tenants by their keys' hashes.

    A presented key is hashed once. Its digest is looked up by its first bytes and compared whole in constant time.
    What the lookup's time could tell is the beginning of the digest of a key that the caller knows already: nobody can
    choose a key by its digest, so it brings nobody nearer to another's.
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
        """Who may call by these rules; `[tenants.default]` says what holds for callers without a key."""
        tenants = {name: Tenant.from_rules(name, tenant) for name, tenant in rules.tenants.items()}
        keys = [
            (bytes.fromhex(key.partition(":")[2]), tenants[name])
            for name, tenant in rules.tenants.items()
            for key in tenant.keys
        ]
        return cls(keys, require_key=rules.require_key, anonymous=tenants.get(ANONYMOUS.name, ANONYMOUS))

    def authenticate(self, headers: Mapping[str, str]) -> Principal | AuthError:
        """Who calls, by headers with names in lower case.

        A key of this router is never passed on. Where none is required, callers without one are `anonymous`, and
        whatever key they bring is meant for the teacher.
        """
        presented = _presented_keys(headers)
        if self._by_prefix:
            for key in presented:
                tenant = self._owner(key)
                if tenant is not None:
                    return self._principal(tenant, headers)
        if self._require_key:
            return _WRONG if presented else _MISSING
        for key in presented:
            if key.startswith(KEY_PREFIX):
                return _WRONG
        return Principal(self._anonymous, {name: headers[name] for name in _KEY_HEADERS if name in headers})

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
    """The keys in the headers."""
    bearer = headers.get("authorization", "")
    keys = [bearer[len(_BEARER) :]] if bearer[: len(_BEARER)].lower() == _BEARER else []
    keys += [headers[name] for name in ("x-api-key", "api-key") if name in headers]
    return [key.strip() for key in keys if key and not key.isspace()]


def _teacher_key_header(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """A teacher's key in the header in which the caller's own came, for that is how its API carries keys."""
    if headers.get("x-api-key") and "authorization" not in headers:
        return {"x-api-key": key}
    return {"authorization": f"Bearer {key}"}
