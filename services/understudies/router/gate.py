"""The gate: who comes in, with what, and for which task."""

from collections.abc import Mapping

from understudies.router import headers as told
from understudies.router.access import CREDENTIALS, Access, Admitted, Denied, Tenant
from understudies.router.errors import Problem
from understudies.router.headers import BadRequest
from understudies.router.settings import RouterSettings
from understudies.runtime.reload import RulesSource


class Gate:
    """Admits callers by the rules in force."""

    def __init__(self, rules: RulesSource, settings: RouterSettings) -> None:
        self._rules = rules
        self._settings = settings
        self._access = rules.derived(Access.of)

    def admit(self, headers: Mapping[str, str]) -> Admitted:
        """Who calls; raises Problem for who may not."""
        found = self._access.value.authenticate(headers)
        if isinstance(found, Denied):
            raise Problem(found.status, found.message, code=found.code, headers=found.headers)
        return found

    @property
    def max_body_bytes(self) -> int:
        """Largest body of a request."""
        return self._rules.current().router.max_body_bytes or self._settings.max_body_bytes

    @property
    def seconds(self) -> float:
        """Longest time for a request."""
        return self._rules.current().router.request_timeout_s or self._settings.request_timeout_s

    def check_task(self, tenant: Tenant, task: str) -> None:
        """Raises Problem where the tenant may not call the task."""
        if not tenant.may_call(task):
            raise Problem(403, f"tenant {tenant.name!r} may not call the task {task!r}", code="task_not_allowed")

    def check_unrecorded(self, tenant: Tenant) -> None:
        """Raises Problem where the tenant may not ask for what belongs to no task.

        That is a tenant with certain tasks alone, and one with a budget, which such a request would go around.
        """
        what = "certain tasks alone" if tenant.restricted else "within a budget" if tenant.daily_budget_usd else None
        if what is not None:
            message = f"tenant {tenant.name!r} may call {what}, and this request is neither recorded nor counted"
            raise Problem(403, message, code="not_counted")

    def teacher_model(self, task: str, named: str) -> str:
        """The teacher's model for a call that names its task as its model; raises BadRequest where none is set."""
        model = self._rules.of(task).model or self._settings.teacher_model
        if model is None:
            raise BadRequest(
                f"model {named!r} names a task, and no teacher's model is set: set `model` under [tasks.{task}] or "
                "UNDERSTUDIES_ROUTER_TEACHER_MODEL, or name the teacher's model, and the task in X-Understudies-Task",
                "model",
            )
        return model

    def for_the_teacher(self, admitted: Admitted, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that a teacher may see: never a key of this router."""
        passed = {n: value for n, value in told.passed_on(headers).items() if n not in CREDENTIALS}
        return {**passed, **admitted.credentials}

    def for_relay(self, admitted: Admitted, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request that is passed on as it is: those of its body too."""
        about_body = {n: value for n, value in headers.items() if n.startswith("content-") or n == "accept-encoding"}
        return {**about_body, **self.for_the_teacher(admitted, headers)}
