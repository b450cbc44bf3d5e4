"""The whole of `understudies.toml`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from understudies.events import owner_and_base
from understudies.events.owned import OWNER
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules
from understudies.runtime.teachers import TeacherTable


class TaskRulesOf(Protocol):
    """What services take: rules as they are, or a source of rules that change."""

    def of(self, task: str) -> TaskRules:
        """The rules of a task now."""
        ...


class Rules(BaseModel):
    """The rules of all tasks, teachers, tenants and of the router; a task that is not named follows the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    defaults: TaskRules = TaskRules()
    tenants: dict[str, TenantRules] = Field(default_factory=dict)
    tasks: dict[str, TaskRules] = Field(default_factory=dict)
    teachers: TeacherTable = Field(default_factory=dict)
    router: RouterRules = RouterRules()

    def of(self, task: str) -> TaskRules:
        """The rules of a task, in constant time; a tenant's own, without a table, has those of what it is called."""
        found = self.tasks.get(task)
        if found is not None:
            return found
        base = self.base_of(task)
        return self.defaults if base is None else self.tasks.get(base, self.defaults)

    def base_of(self, task: str) -> str | None:
        """How a tenant calls a task of its own; None for a task that all share."""
        return _base_of(task, self.tenants)

    def with_critical(self, names: frozenset[str]) -> "Rules":
        """The same rules with the named tasks critical, and so what tenants have as their own of these."""
        owned = {name for name in self.tasks if self.base_of(name) in names}
        marked = {name: self.of(name).model_copy(update={"critical": True}) for name in names | owned}
        return self.model_copy(update={"tasks": {**self.tasks, **marked}})

    @property
    def require_key(self) -> bool:
        """Whether a call needs a tenant's key."""
        return bool(self.tenants) if self.router.require_key is None else self.router.require_key

    @field_validator("tasks")
    @classmethod
    def _inherited(cls, tasks: dict[str, TaskRules], info: ValidationInfo) -> dict[str, TaskRules]:
        defaults = info.data.get("defaults")
        if defaults is None:
            return tasks
        own = {name: defaults.model_copy(update=_said(rules)) for name, rules in tasks.items()}
        bases = {name: _base_of(name, info.data.get("tenants", {})) for name in tasks}
        return {
            name: own[base].model_copy(update=_said(rules)) if (base := bases[name]) in own else own[name]
            for name, rules in tasks.items()
        }

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if misfits := list(self._misfits()):
            raise ValueError("; ".join(misfits))
        return self

    def _misfits(self) -> Iterator[str]:
        yield from _misfit_task("defaults", self.defaults, self.teachers)
        for name, rules in self.tasks.items():
            yield from _misfit_task(f"tasks.{name}", rules, self.teachers)
        if self.router.require_key and not self.tenants:
            yield "router.require_key: nobody could call; add a [tenants.NAME] with `understudies keys new`"
        yield from _shared_keys(self.tenants)
        for name, tenant in self.tenants.items():
            if tenant.own_tasks and not OWNER.fullmatch(name):
                yield f"tenants.{name}.own_tasks: need a tenant's name of at most 64 letters, digits, _, . and -"


def _base_of(task: str, tenants: Mapping[str, TenantRules]) -> str | None:
    if not tenants or ":" not in task:
        return None
    owner, base = owner_and_base(task)
    tenant = None if owner is None else tenants.get(owner)
    return base if tenant is not None and tenant.owns(base) else None


def _said(rules: TaskRules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.model_fields_set}


def _misfit_task(where: str, rules: TaskRules, teachers: Collection[str]) -> Iterator[str]:
    if rules.teacher is not None and rules.teacher not in teachers:
        there = f"there are {', '.join(sorted(teachers))}" if teachers else "there is none"
        yield f"{where}.teacher: no table [teachers.{rules.teacher}]; {there}"
    if rules.episode_target is not None and rules.episode_steps is None:
        yield f"{where}.episode_steps: is missing; an episode_target is shared by so many calls"


def _shared_keys(tenants: Mapping[str, TenantRules]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for name, tenant in tenants.items():
        for key in tenant.keys:
            if owner.setdefault(key, name) != name:
                yield f"tenants.{name}.keys: holds a key of tenant {owner[key]!r}; a key has one tenant"
