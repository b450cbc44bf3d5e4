"""Implement `understudies rules`: check and print the rules."""

import os
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Final
from urllib.request import Request, urlopen

import typer

from understudies.cli.process import report_errors
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.teacher import TeacherSpec
from understudies.runtime.rules.tenant import TenantRules
from understudies.runtime.rules.toml_format import header, value

rules = typer.Typer(help="Rules per task, teacher and tenant: understudies.toml.", no_args_is_help=True)

EPILOG = """
Examples:

  understudies rules check understudies.toml
"""
_MODEL_LIST_S: Final = 30.0
_MODEL_LIST_BYTES: Final = 16 * 1024 * 1024
_BUILT_IN_COMMENT = "  # built in"
_UNSET_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "judge": "by the format of the answers",
    "weekly_budget_usd": "none",
    "daily_budget_usd": "no limit",
    "teacher": "chosen by the requested model",
    "model": "none",
    "students": "all",
    "hold_back_tokens": "no limit",
    "episode_target": "none",
    "episode_steps": "none",
    "cache_ttl_s": "no cache",
    "dream_daily_budget_usd": "none are written",
    "dream_hours": "the quietest eight",
    "tasks": "all",
    "consent": "not said",
    "when_online_away": "student_only",
}


@rules.callback()
def _rules() -> None:
    """Rules per task, teacher and tenant: understudies.toml."""


@rules.command(epilog=EPILOG)
def check(
    file: Annotated[Path, typer.Argument(help="The rules, such as understudies.toml.", show_default=False)],
) -> None:
    """Check the rules, and print those in force and where they are set; exit with 2 if they are invalid."""
    with report_errors():
        loaded = read_rules(file)
    for line in _format_rules(loaded, os.environ):
        typer.echo(line)


@rules.command()
def retirements(
    file: Annotated[Path, typer.Argument(help="The rules, such as understudies.toml.", show_default=False)],
) -> None:
    """Ask the teachers' /v1/models when models are retired, and print the lines for the rules."""
    with report_errors():
        loaded = read_rules(file)
        for name, teacher in loaded.teachers.items():
            typer.echo(f"{header('teachers', name)}")
            typer.echo(_describe_retirements(teacher, os.environ))


def _describe_retirements(teacher: TeacherSpec, environ: Mapping[str, str]) -> str:
    # Imported here so that `--help` responds at once.
    from understudies.datasets.teacher_lineage import read_model_list

    key = environ.get(teacher.api_key_env or "", "")
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01"} if key else {}
    request = Request(f"{teacher.base_url.rstrip('/')}/models", headers=headers)
    try:
        with urlopen(request, timeout=_MODEL_LIST_S) as response:
            found = read_model_list(response.read(_MODEL_LIST_BYTES))
    except (OSError, ValueError, HTTPException) as error:
        return f"# its list of models cannot be read: {error}"
    if not found:
        return "# its list of models states no date; the built-in table holds"
    return "retires = {" + ", ".join(f'"{model}" = {day.isoformat()}' for model, day in sorted(found.items())) + "}"


def _format_rules(loaded: Rules, environ: Mapping[str, str]) -> Iterator[str]:
    yield "[defaults]  # every task without a table below"
    yield from _format_task(loaded.defaults, TaskRules(), "")
    for name, task in loaded.tasks.items():
        base = loaded.unqualified_name(name)
        by_base = base is not None and base in loaded.tasks
        yield from ("", header("tasks", name) + ("" if base is None else "  # one tenant's own task"))
        where = header("tasks", str(base)) if by_base else "[defaults]"
        yield from _format_task(task, loaded.tasks[str(base)] if by_base else loaded.defaults, where)
    for name, judge in loaded.judges.items():
        yield from ("", header("judges", name))
        yield from (f"{field} = {value(getattr(judge, field))}" for field in sorted(judge.model_fields_set))
    for name, teacher in loaded.teachers.items():
        yield from ("", header("teachers", name))
        yield from _format_teacher(teacher, environ)
    for name, tenant in loaded.tenants.items():
        yield from ("", header("tenants", name))
        yield from _format_tenant(tenant)
    if sharing := loaded.describe_sharing():
        yield f"\n# {sharing}"
    yield from ("", "[router]")
    yield from _format_router(loaded.router, loaded.require_key)


def _format_task(task: TaskRules, defaults: TaskRules, where: str) -> Iterator[str]:
    for name in TaskRules.model_fields:
        setting = getattr(task, name)
        if setting is None:
            yield f"# {name}: {_UNSET_DESCRIPTIONS[name]}"
        elif name not in task.model_fields_set:
            yield f"{name} = {value(setting)}{_BUILT_IN_COMMENT}"
        else:
            inherited = name in defaults.model_fields_set and setting == getattr(defaults, name)
            yield f"{name} = {value(setting)}{f'  # from {where}' if inherited else ''}"
    if task.agreement_per_call > task.min_agreement:
        yield f"# agreement required of each call of an episode: {task.agreement_per_call:.4f}"


def _format_teacher(teacher: TeacherSpec, environ: Mapping[str, str]) -> Iterator[str]:
    yield f"base_url = {value(teacher.base_url)}"
    yield f"models = {value(teacher.models)}"
    yield f"apis = {value(teacher.apis)}"
    yield f"stream_usage = {value(teacher.stream_usage)}"
    if teacher.api_key_env is None:
        yield "# key: not needed" if teacher.auth == "none" else "# key: the caller's"
    else:
        missing = "" if environ.get(teacher.api_key_env) else "  # not set in this environment"
        yield f"api_key_env = {value(teacher.api_key_env)}{missing}"
    yield from (f"# {model} is succeeded by {successor}" for model, successor in teacher.successors.items())
    others = [one.teacher if one.model is None else f"{one.teacher} as {one.model}" for one in teacher.fallback]
    yield f"# if it fails: {', then '.join(others) or 'the caller gets the error'}"


def _format_tenant(tenant: TenantRules) -> Iterator[str]:
    yield f"# keys: {len(tenant.keys)}"
    for name in TenantRules.model_fields:
        setting = getattr(tenant, name)
        if name != "keys":
            yield f"# {name}: {_UNSET_DESCRIPTIONS[name]}" if setting is None else f"{name} = {value(setting)}"


def _format_router(router: RouterRules, require_key: bool) -> Iterator[str]:
    yield f"require_key = {value(require_key)}{_BUILT_IN_COMMENT if router.require_key is None else ''}"
    for name in RouterRules.model_fields:
        setting = getattr(router, name)
        if name != "require_key":
            absent = _UNSET_DESCRIPTIONS.get(name, "from the environment")
            yield f"# {name}: {absent}" if setting is None else f"{name} = {value(setting)}"
