"""`understudies rules`: what the rules say."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from understudies.cli.process import report_errors
from understudies.cli.toml_format import header, value
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.teacher import TeacherSpec
from understudies.runtime.rules.tenant import TenantRules

rules = typer.Typer(help="Rules per task, teacher and tenant: understudies.toml.", no_args_is_help=True)

EPILOG = """
Examples:

  understudies rules check understudies.toml
"""
_BUILT_IN_COMMENT = "  # built in"
_UNSET_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "judge": "by the shape of the answers",
    "weekly_budget_usd": "none",
    "daily_budget_usd": "no limit",
    "teacher": "whoever has the model that is asked for",
    "model": "none",
    "students": "all",
    "hold_back_tokens": "as long as the student may take",
    "episode_target": "none",
    "episode_steps": "none",
    "cache_ttl_s": "no cache",
    "tasks": "all",
    "when_online_away": "student_only",
}


@rules.callback()
def _rules() -> None:
    """Rules per task, teacher and tenant: understudies.toml."""


@rules.command(epilog=EPILOG)
def check(
    file: Annotated[Path, typer.Argument(help="The rules, such as understudies.toml.", show_default=False)],
) -> None:
    """Check the rules, and print what holds and where it is set; ends with 2 where they are wrong."""
    with report_errors():
        found = read_rules(file)
    for line in _format_rules(found, os.environ):
        typer.echo(line)


def _format_rules(found: Rules, environ: Mapping[str, str]) -> Iterator[str]:
    yield "[defaults]  # every task that has no table below"
    yield from _format_task(found.defaults, TaskRules(), "")
    for name, task in found.tasks.items():
        base = found.unqualified_name(name)
        by_base = base is not None and base in found.tasks
        yield from ("", header("tasks", name) + ("" if base is None else "  # of one tenant alone"))
        where = header("tasks", str(base)) if by_base else "[defaults]"
        yield from _format_task(task, found.tasks[str(base)] if by_base else found.defaults, where)
    for name, teacher in found.teachers.items():
        yield from ("", header("teachers", name))
        yield from _format_teacher(teacher, environ)
    for name, tenant in found.tenants.items():
        yield from ("", header("tenants", name))
        yield from _format_tenant(tenant)
    yield from ("", "[router]")
    yield from _format_router(found.router, found.require_key)


def _format_task(task: TaskRules, defaults: TaskRules, where: str) -> Iterator[str]:
    for name in TaskRules.model_fields:
        found = getattr(task, name)
        if found is None:
            yield f"# {name}: {_UNSET_DESCRIPTIONS[name]}"
        elif name not in task.model_fields_set:
            yield f"{name} = {value(found)}{_BUILT_IN_COMMENT}"
        else:
            inherited = name in defaults.model_fields_set and found == getattr(defaults, name)
            yield f"{name} = {value(found)}{f'  # from {where}' if inherited else ''}"
    if task.agreement_per_call > task.min_agreement:
        yield f"# each call of an episode is held to {task.agreement_per_call:.4f}"


def _format_teacher(teacher: TeacherSpec, environ: Mapping[str, str]) -> Iterator[str]:
    yield f"base_url = {value(teacher.base_url)}"
    yield f"models = {value(teacher.models)}"
    yield f"apis = {value(teacher.apis)}"
    if teacher.api_key_env is None:
        yield "# key: none needed" if teacher.auth == "none" else "# key: the caller's"
    else:
        missing = "" if environ.get(teacher.api_key_env) else "  # is not set here"
        yield f"api_key_env = {value(teacher.api_key_env)}{missing}"
    others = [one.teacher if one.model is None else f"{one.teacher} as {one.model}" for one in teacher.fallback]
    yield f"# where it fails: {', then '.join(others) or 'the caller is told'}"


def _format_tenant(tenant: TenantRules) -> Iterator[str]:
    yield f"# keys: {len(tenant.keys)}"
    for name in TenantRules.model_fields:
        found = getattr(tenant, name)
        if name != "keys":
            yield f"# {name}: {_UNSET_DESCRIPTIONS[name]}" if found is None else f"{name} = {value(found)}"


def _format_router(router: RouterRules, require_key: bool) -> Iterator[str]:
    yield f"require_key = {value(require_key)}{_BUILT_IN_COMMENT if router.require_key is None else ''}"
    for name in RouterRules.model_fields:
        found = getattr(router, name)
        if name != "require_key":
            absent = _UNSET_DESCRIPTIONS.get(name, "as the environment says")
            yield f"# {name}: {absent}" if found is None else f"{name} = {value(found)}"
