"""The page of the rules and settings in force; secrets are not among them."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from pydantic import BaseModel, SecretStr

from understudies.console.page import SETTINGS_PATH, render_page, render_section, render_table
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules

_HIDDEN = frozenset({"keys", "api_key", "api_keys", "key", "headers", "credentials"})


def render_settings(rules: Rules, settings: Sequence[tuple[str, BaseModel]]) -> str:
    """Return the page of what is in force: what differs from its default is said to."""
    sections = [render_section("rules", "Rules", _render_rules(rules))]
    sections += [
        render_section(f"s{number}", title, _render_model(title, model))
        for number, (title, model) in enumerate(settings, 1)
    ]
    return render_page(
        "Settings in force · Understudies",
        "Settings in force",
        "Rules come from the file of --rules, settings from the environment. Keys and other secrets are never shown.",
        "".join(sections),
        "Rules that change are followed without a restart; settings are read at the start.",
        here=SETTINGS_PATH,
    )


def _render_rules(rules: Rules) -> str:
    tables = [_render_model("Rules of every task", rules.defaults)]
    tables += [
        f"<h3>Task {escape(name)}</h3>{_render_changed(f'Rules of {name}', rules.for_task(name), rules.defaults)}"
        for name in sorted(rules.tasks)
    ]
    tables.append(f"<h3>Router</h3>{_render_model('Rules of the router', rules.router)}")
    for kind, named in (("Teacher", rules.teachers), ("Tenant", rules.tenants)):
        tables += [
            f"<h3>{kind} {escape(name)}</h3>{_render_model(f'Rules of {kind.lower()} {name}', model)}"
            for name, model in sorted(named.items())
        ]
    return "".join(tables)


def _render_changed(label: str, rules: TaskRules, defaults: TaskRules) -> str:
    rows = [row for row, other in zip(_rows(rules), _rows(defaults), strict=True) if row[1] != other[1]]
    return render_table(label, ("Rule", "In force", ""), rows) if rows else '<p class="empty">As every task.</p>'


def _render_model(label: str, model: BaseModel) -> str:
    return render_table(label, ("Setting", "In force", ""), _rows(model))


def _rows(model: BaseModel, prefix: str = "") -> Iterator[list[str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _rows(value, f"{prefix}{name}.")
            continue
        changed = "" if value == field.get_default(call_default_factory=True, validated_data={}) else "changed"
        yield [escape(f"{prefix}{name}"), escape(_show(name, value)), changed]


def _show(name: str, value: Any) -> str:
    """Return a value as text; of what may hold a secret only whether it is set."""
    if name in _HIDDEN or isinstance(value, SecretStr):
        return "set, not shown" if value else "unset"
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_show("", one) for one in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_show(str(key), one)}" for key, one in value.items()) or "none"
    return str(value)
