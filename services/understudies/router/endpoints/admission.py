"""Admit requests by the rules: authenticate their callers, and resolve the tasks that they may call."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from starlette.types import Scope

from understudies.events import owner_and_base
from understudies.router.endpoints.auth import Authenticator, AuthError, Principal, Tenant
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_context import RequestContext, headers_by_name
from understudies.router.endpoints.stored_state import stored_reference
from understudies.router.endpoints.task_limit import OVERFLOW_TASK, TaskLimit
from understudies.router.http1.disconnect import client_connection
from understudies.router.settings import RouterSettings
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource

_STATELESS: Final = frozenset(
    f"/v1/{name}"
    for name in (
        "chat/completions",
        "responses",
        "messages",
        "messages/count_tokens",
        "completions",
        "embeddings",
        "moderations",
        "rerank",
        "audio/speech",
        "audio/transcriptions",
        "audio/translations",
        "images/generations",
        "images/edits",
        "images/variations",
    )
)

_MAX_TASK_NAME: Final = 200


class _RequestLimits(NamedTuple):
    """The limits of a request by the rules, else by the settings."""

    max_body_bytes: int
    timeout_s: float


class Admission:
    """Admit callers by the rules in force; `has_student` tells tasks that students serve."""

    def __init__(
        self,
        rules: RulesSource,
        settings: RouterSettings,
        has_student: Callable[[str], bool] = lambda task: False,
    ) -> None:
        self._rules = rules
        self._settings = settings
        self._has_student = has_student
        self._task_limit = TaskLimit(settings.max_tasks, self._is_known)
        self._authenticator = rules.derive(Authenticator.from_rules)
        self._owners = rules.derive(_owners)
        self._limits = rules.derive(
            lambda new: _RequestLimits(
                new.router.max_body_bytes or settings.max_body_bytes,
                new.router.request_timeout_s or settings.request_timeout_s,
            )
        )

    def admit(self, scope: Scope, received_at: float = 0.0) -> RequestContext:
        """Return the context of a request; raises HttpError if its caller is not admitted."""
        headers = headers_by_name(scope)
        found = self._authenticator.value.authenticate(headers)
        if isinstance(found, AuthError):
            raise HttpError(found.status, found.message, code=found.code, headers=found.headers)
        query = scope.get("query_string", b"").decode("latin-1")
        client = client_connection(scope)
        return RequestContext(found, scope["method"], scope["path"], query, client, received_at, headers)

    def find_tenant(self, headers: Mapping[str, str]) -> Tenant | None:
        """Return the tenant whose key is in the headers (names in lower case), or None without such a key."""
        return self._authenticator.value.find_tenant(headers)

    @property
    def max_body_bytes(self) -> int:
        """The size limit of a request body, in bytes."""
        return self._limits.value.max_body_bytes

    @property
    def timeout_s(self) -> float:
        """The longest total time for a request, in seconds."""
        return self._limits.value.timeout_s

    def check_task_allowed(self, tenant: Tenant, task: str) -> None:
        """Raise HttpError if the tenant may not call the task."""
        if not tenant.can_call(task):
            raise HttpError(403, f"tenant {tenant.name!r} may not call the task {task!r}", code="task_not_allowed")

    def resolve_task(self, tenant: Tenant, called: str) -> str:
        """Return the qualified name of the task that a tenant calls by a name, or `too-many-tasks`.

        Raises HttpError if the tenant may not call it, and BadRequest if the qualified name is too long.
        """
        task = self._qualify(tenant, called)
        return task if self._task_limit.admits(task, tenant.name) else tenant.qualified_name(OVERFLOW_TASK)

    def _is_known(self, task: str) -> bool:
        rules, critical = self._rules.current(), self._settings.critical_tasks
        names = (task, rules.unqualified_name(task))
        return any(name in rules.tasks or name in critical for name in names) or self._has_student(task)

    def _qualify(self, tenant: Tenant, called: str) -> str:
        if not self._rules.current().tenants:
            self.check_task_allowed(tenant, called)
            return called
        shown = tenant.display_name(called)
        self.check_task_allowed(tenant, shown)
        if self._is_foreign(tenant, shown):
            owner, _ = owner_and_base(shown)
            raise HttpError(
                403,
                f"{shown!r} would be a task of tenant {owner!r} alone; a shared task of this name needs a table "
                f'[tasks."{shown}"] in the rules',
                code="task_not_allowed",
            )
        task = tenant.qualified_name(shown)
        if len(task) > _MAX_TASK_NAME:
            raise BadRequest(
                f"the task's name is too long: with its owner's it has more than {_MAX_TASK_NAME} characters"
            )
        return task

    def is_visible(self, tenant: Tenant, task: str) -> bool:
        """Return whether a tenant may call a task by the name under which it sees the task."""
        shown = tenant.display_name(task)
        foreign = self._is_foreign(tenant, shown)
        return not foreign and tenant.can_call(shown) and tenant.qualified_name(shown) == task

    def _is_foreign(self, tenant: Tenant, shown: str) -> bool:
        """Return whether a name is that of another tenant's own task, or may have been one.

        A student of a tenant that was removed from the rules is still in force: no other tenant may call it unless a
        table of the rules has its task's name.
        """
        rules = self._rules.current()
        owner, _ = owner_and_base(shown)
        if owner is None or not rules.tenants:
            return False
        return owner in self._owners.value or (owner != tenant.name and shown not in rules.tasks)

    def check_stored_state(self, principal: Principal, body: Mapping[str, Any]) -> None:
        """Raise HttpError if a body names what the teacher stored, where tenants share its account.

        The teacher answers whoever has its key, so the id of an answer to one tenant would give it to another.
        """
        named = stored_reference(body) if self._shares_account(principal) else None
        if named is None:
            return
        raise HttpError(
            403,
            f"{named} names what the teacher stored, and it stores the data of all tenants together: send the whole "
            "conversation, or let the tenant bring a key of its own (own_teacher_key)",
            code="shared_account",
        )

    def _shares_account(self, principal: Principal) -> bool:
        """Return whether a call may be answered with a key that other tenants' calls are answered with."""
        rules = self._rules.current()
        if not rules.tenants or (len(rules.tenants) < 2 and rules.require_key):
            return False
        specs = rules.teachers.values()
        has_own_key = any(spec.has_own_key or spec.auth == "none" for spec in specs)
        return not principal.credentials or has_own_key or (not specs and self._settings.teacher_api_key is not None)

    def check_passthrough_allowed(self, tenant: Tenant, method: str, path: str) -> None:
        """Raise HttpError if the tenant may not send a request that belongs to no task.

        Such a request is neither recorded nor counted. It is refused for a tenant that is restricted to certain tasks,
        and where a daily budget applies, which it would bypass. Where tenants are configured, none may reach what they
        would share through the teacher's key, such as each other's files.
        """
        rules = self._rules.current()
        if tenant.is_restricted:
            why = f"tenant {tenant.name!r} may call only certain tasks"
        elif tenant.daily_budget_usd or rules.defaults.daily_budget_usd:
            why = "there is a daily budget"
        elif rules.tenants and not _is_stateless(method, path):
            why = "the teacher stores its data for all tenants together"
        else:
            return
        raise HttpError(403, f"{why}, and this request would pass through uncounted", code="not_counted")

    def check_budget_bypass(self, task: str | None, why: str) -> None:
        """Raise HttpError if a body that only the teacher can read would bypass the budget of its task."""
        if task is not None and self._rules.for_task(task).daily_budget_usd:
            raise HttpError(400, f"{why}; what cannot be read cannot be counted, and the task has a budget")

    def teacher_model(self, task: str, named: str) -> str:
        """Return the teacher's model for a call whose model names its task; raises BadRequest if none is set."""
        model = self._rules.for_task(task).model or self._settings.teacher_model
        if model is None:
            raise BadRequest(
                f"model {named!r} names a task, and no teacher's model is set: set `model` under [tasks.{task}] or "
                "UNDERSTUDIES_ROUTER_TEACHER_MODEL, or name the teacher's model, and the task in X-Understudies-Task",
                "model",
            )
        return model


def _owners(rules: Rules) -> frozenset[str]:
    """Return the names of the tenants that have tasks of their own."""
    return frozenset(name for name, tenant in rules.tenants.items() if tenant.own_tasks)


def _is_stateless(method: str, path: str) -> bool:
    """Return whether a request stores nothing at the teacher and reads nothing that others stored there."""
    if method in ("GET", "HEAD"):
        return path == "/v1/models" or path.startswith("/v1/models/")
    return method == "POST" and path in _STATELESS
