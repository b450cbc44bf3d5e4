"""Define the complete content of `understudies.toml`."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from understudies.events import owner_and_base
from understudies.events.base import TASK_NAME_RULE, is_task_name
from understudies.events.task_names import OWNER_PATTERN
from understudies.runtime.rules.judge import JudgeRules, resolve_judge_name
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.teacher import TeacherTable
from understudies.runtime.rules.tenant import TenantRules


class TaskRulesLookup(Protocol):
    """Lookup of task rules that services accept: fixed rules, or a source of rules that change."""

    def for_task(self, task: str) -> TaskRules:
        """Return the current rules of a task."""
        ...

    def retirements(self) -> Mapping[str, date | None]:
        """Return the declared days from which models no longer answer; None for those that are never retired."""
        ...

    def successor_of(self, model: str) -> str | None:
        """Return the model that is named to succeed a teacher's; None if none is."""
        ...


class Rules(BaseModel):
    """Rules of all tasks, teachers, tenants and of the router; a task that is not named follows the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judges: dict[str, JudgeRules] = Field(default_factory=dict)
    defaults: TaskRules = TaskRules()
    tenants: dict[str, TenantRules] = Field(default_factory=dict)
    tasks: dict[str, TaskRules] = Field(default_factory=dict)
    teachers: TeacherTable = Field(default_factory=dict)
    router: RouterRules = RouterRules()

    def for_task(self, task: str) -> TaskRules:
        """Return the rules of a task, in constant time; a tenant's own task without a table has those of its base."""
        rules = self.tasks.get(task)
        if rules is not None:
            return rules
        if not self.tenants or ":" not in task:
            return self.defaults
        base = self.unqualified_name(task)
        return self.defaults if base is None else self.tasks.get(base, self.defaults)

    def retirements(self) -> Mapping[str, date | None]:
        """Return the declared days from which models no longer answer; None for those that are never retired."""
        declared = (entry for spec in self.teachers.values() for entry in spec.retires.items())
        return {model: on if isinstance(on, date) else None for model, on in declared}

    def successor_of(self, model: str) -> str | None:
        """Return the model that is named to succeed a teacher's; None if none is."""
        for spec in self.teachers.values():
            if (successor := spec.successors.get(model)) is not None:
                return successor
        return None

    def unqualified_name(self, task: str) -> str | None:
        """Return the name that a tenant gives a task of its own; None for a shared task."""
        return _unqualified_name(task, self.tenants)

    def with_critical(self, names: frozenset[str]) -> "Rules":
        """Return the same rules with the named tasks critical, and also the tenants' own tasks of these names."""
        owned = {name for name in self.tasks if self.unqualified_name(name) in names}
        marked = {name: self.for_task(name).model_copy(update={"critical": True}) for name in names | owned}
        return self.model_copy(update={"tasks": {**self.tasks, **marked}})

    @property
    def require_key(self) -> bool:
        """True if a call needs a tenant's key."""
        return bool(self.tenants) if self.router.require_key is None else self.router.require_key

    def describe_sharing(self) -> str | None:
        """Return which tenants share tasks, and so students, though nothing says that they are to; None if none do."""
        sharing = [name for name, tenant in self.tenants.items() if not tenant.states_sharing]
        others = len(self.tenants) - 1 + (not self.require_key and "default" not in self.tenants)
        if not sharing or others < 1:
            return None
        return (
            f"tenants {', '.join(sharing)} share their tasks: a student that learned from one answers the others; "
            "own_tasks = true under [tenants.NAME] keeps a tenant's apart, own_tasks = false says that they share them"
        )

    @field_validator("defaults")
    @classmethod
    def _resolve_judge(cls, defaults: TaskRules, info: ValidationInfo) -> TaskRules:
        return _with_resolved_judge(defaults, info)

    @field_validator("tasks")
    @classmethod
    def _inherit_rules(cls, tasks: dict[str, TaskRules], info: ValidationInfo) -> dict[str, TaskRules]:
        tasks = {name: _with_resolved_judge(rules, info) for name, rules in tasks.items()}
        defaults = info.data.get("defaults")
        if defaults is None:
            return tasks
        own = {name: defaults.model_copy(update=_explicit_fields(rules)) for name, rules in tasks.items()}
        bases = {name: _unqualified_name(name, info.data.get("tenants", {})) for name in tasks}
        return {
            name: own[base].model_copy(update=_explicit_fields(rules)) if (base := bases[name]) in own else own[name]
            for name, rules in tasks.items()
        }

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        if conflicts := list(self._find_conflicts()):
            raise ValueError("; ".join(conflicts))
        return self

    def _find_conflicts(self) -> Iterator[str]:
        yield from _find_task_conflicts("defaults", self.defaults, self.teachers)
        for name, rules in self.tasks.items():
            if not is_task_name(name):
                yield f"tasks.{name}: invalid task name, no call can have it: {TASK_NAME_RULE}"
            yield from _find_task_conflicts(f"tasks.{name}", rules, self.teachers)
        if self.router.require_key and not self.tenants:
            yield "router.require_key: no call would be accepted; add a [tenants.NAME] with `understudies keys new`"
        yield from _find_duplicate_keys(self.tenants)
        for name, tenant in self.tenants.items():
            if tenant.own_tasks and not OWNER_PATTERN.fullmatch(name):
                yield f"tenants.{name}.own_tasks: require a tenant name of at most 64 letters, digits, _, . and -"


def _unqualified_name(task: str, tenants: Mapping[str, TenantRules]) -> str | None:
    if not tenants or ":" not in task:
        return None
    owner, base = owner_and_base(task)
    tenant = None if owner is None else tenants.get(owner)
    return base if tenant is not None and tenant.owns(base) else None


def _with_resolved_judge(rules: TaskRules, info: ValidationInfo) -> TaskRules:
    """Return the rules with the digest of the judge's table in its name; unchanged if the tables are wrong."""
    tables = info.data.get("judges")
    if rules.judge is None or tables is None:
        return rules
    return rules.model_copy(update={"judge": resolve_judge_name(rules.judge, tables)})


def _explicit_fields(rules: TaskRules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.model_fields_set}


def _find_task_conflicts(where: str, rules: TaskRules, teachers: Collection[str]) -> Iterator[str]:
    if rules.teacher is not None and rules.teacher not in teachers:
        defined = f"defined teachers: {', '.join(sorted(teachers))}" if teachers else "no teacher is defined"
        yield f"{where}.teacher: no table [teachers.{rules.teacher}]; {defined}"
    if rules.episode_target is not None and rules.episode_steps is None:
        yield f"{where}.episode_steps: is missing; an episode_target needs the number of calls that share it"


def _find_duplicate_keys(tenants: Mapping[str, TenantRules]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for name, tenant in tenants.items():
        for key in tenant.keys:
            if owner.setdefault(key, name) != name:
                yield f"tenants.{name}.keys: contains a key of tenant {owner[key]!r}; a key belongs to one tenant"
