"""Write the reference of all settings and rules from their models.

`python -m understudies.cli.reference` writes docs/settings.md; with `--check` it only reports whether that is stale.
"""

import sys
import types
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from understudies.budget.settings import BudgetSettings
from understudies.evaluator.settings import EvaluatorSettings
from understudies.judge_backends.settings import JudgeSettings
from understudies.notices.settings import NoticeSettings
from understudies.observer.settings import ObserverSettings
from understudies.router.settings import RouterSettings
from understudies.runtime.rules.judge import JudgeRules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.teacher import (
    BreakerSettings,
    Fallback,
    RetrySettings,
    TeacherSpec,
    TimeoutSettings,
    TokenPrice,
)
from understudies.runtime.rules.tenant import TenantRules
from understudies.runtime.settings import AdminSettings, BusSettings, OnlineSettings, StoreSettings, TelemetrySettings
from understudies.status.settings import StatusSettings
from understudies.students.artifact import Consent
from understudies.students.endpoint.settings import Endpoint
from understudies.students.lora.settings import LoraServingSettings
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.settings import TrainerSettings
from understudies.warm_start.settings import ImportSettings

DEFAULT_PATH: Final = Path("docs/settings.md")

_INTRODUCTION: Final = """\
# Settings and rules

Written by `python -m understudies.cli.reference` from the models in the code; a test fails if this file is stale.

Settings are read from the environment when a process starts. Rules are read from `understudies.toml` (`--rules FILE`)
and take effect within a second of a change; [rules.md](rules.md) explains them, and `understudies rules check FILE`
prints those in force. Command options override the environment, and the table `[router]` of the rules overrides both.
Only settings marked *required* must be set. Lists in the environment are JSON: `[0.05, 0.25, 1.0]`.
"""

SETTINGS: Final[Sequence[tuple[str, str, type[BaseSettings]]]] = (
    ("Router", "The router, in `understudies router` and `understudies up`.", RouterSettings),
    ("Observer", "The observer: the store and the datasets.", ObserverSettings),
    ("Evaluator", "The evaluator: gates, floors and drift. See [statistics.md](statistics.md).", EvaluatorSettings),
    ("Trainer", "The trainer: which students to train, and how.", TrainerSettings),
    ("LoRA training", "How LoRA students are trained; the trainer. See [lora.md](lora.md).", LoraTrainingSettings),
    (
        "LoRA serving",
        "The engine that serves LoRA students; router and evaluator. See [lora.md](lora.md).",
        LoraServingSettings,
    ),
    (
        "Fine-tuning",
        "Students trained by a provider's API; the trainer. See [students.md](students.md).",
        FineTuningSettings,
    ),
    (
        "Prompt optimisation",
        "Prompts that are optimised for another model; the trainer. See [students.md](students.md).",
        PromptSettings,
    ),
    ("Judges", "Judges that ask a model; the evaluator and the trainer. See [rules.md](rules.md).", JudgeSettings),
    ("Budget", "The budget service: when a student pays for itself, and its ramp.", BudgetSettings),
    ("Bus", "Kafka; all services.", BusSettings),
    ("Store", "ClickHouse; the observer, and `understudies up`.", StoreSettings),
    ("Online state", "Redis, for budgets, cache and episodes that replicas of the router share.", OnlineSettings),
    (
        "Admin",
        "The port on which a single observer, evaluator, trainer or budget tells how it stands.",
        AdminSettings,
    ),
    ("Telemetry", "Traces; all services.", TelemetrySettings),
    ("Status", "Pages and `/status` of `understudies up`, and `understudies status --url`.", StatusSettings),
    (
        "Imports",
        "`understudies import` and `up --learn`: recorded calls; set it where `understudies up` runs.",
        ImportSettings,
    ),
    ("Notices", "Webhook and log lines of `understudies up` on what changed.", NoticeSettings),
)
NESTED_SETTINGS: Final[Sequence[tuple[str, str, str, type[BaseModel]]]] = (
    (
        "Consent of the trainer",
        "UNDERSTUDIES_TRAINER_CONSENT",
        'One JSON object in the variable `UNDERSTUDIES_TRAINER_CONSENT`, such as `{"distillation": true}`; its keys:',
        Consent,
    ),
    (
        "Endpoints",
        "UNDERSTUDIES_ENDPOINTS__NAME__",
        "OpenAI-compatible endpoints for `few_shot`, `prompt_optimised` and `api_fine_tune` students and `llm` judges, "
        "and decision APIs for `decision` students; `NAME` is any name; use it in lower case in "
        "`UNDERSTUDIES_TRAINER_FEW_SHOT_ENDPOINT`, `UNDERSTUDIES_PROMPTS_ENDPOINT`, "
        "`UNDERSTUDIES_FINE_TUNING_ENDPOINT` or `UNDERSTUDIES_TRAINER_DECISION_ENDPOINT`.",
        Endpoint,
    ),
)
RULES: Final[Sequence[tuple[str, str, type[BaseModel]]]] = (
    (
        "[defaults] and [tasks.NAME]",
        'The rules of one task. Rules that a task does not set are taken from `[defaults]`; `"none"` unsets one that '
        "`[defaults]` sets.",
        TaskRules,
    ),
    (
        "[judges.NAME]",
        "A judge that needs more than a name, for `judge` of a task: `sql[NAME]`, `code[NAME]` or `llm[NAME]`.",
        JudgeRules,
    ),
    ("[tenants.NAME]", "Keys, allowed tasks and daily budget of one tenant.", TenantRules),
    ("[teachers.NAME]", "One upstream provider: its URL, models, API key and price.", TeacherSpec),
    ("[teachers.NAME] fallback", 'Each entry is a name such as `"spare"`, or a table of these.', Fallback),
    ("[teachers.NAME] timeouts", "Time-outs for the teacher.", TimeoutSettings),
    ("[teachers.NAME] retries", "Retries of a failed attempt.", RetrySettings),
    ("[teachers.NAME] breaker", "Circuit breaker of a teacher that keeps failing.", BreakerSettings),
    ("[teachers.NAME] price_per_mtok", "The model's price, in US dollars per million tokens.", TokenPrice),
    ("[router]", "The router itself; absent rules are taken from the environment.", RouterRules),
)
_NOT_IN_FILES: Final = frozenset({(TeacherSpec, "name"), (TeacherSpec, "api_key")})
"""Fields that the code sets and that a file must not contain."""

_UNITS: Final[Sequence[tuple[str, str]]] = (
    ("per_mtok", "USD per million tokens"),
    ("usd_per_1000_examples", "USD per 1,000 examples"),
    ("usd_per_million", "USD per million tokens"),
    ("_usd", "USD"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_seconds", "s"),
    ("_hours", "h"),
    ("_bytes", "bytes"),
    ("_tokens", "tokens"),
)
_UNITS_BY_NAME: Final = {
    "audits_per_day": "verdicts a day",
    "canary": "share of calls",
    "alpha": "probability",
    "judge_wait_s": "s",
    "learning_rate": "number",
    "beta": "probability",
    "class_floor": "share",
    "episode_target": "probability",
    "min_agreement": "share",
    "enough_coverage": "share of calls",
    "expected_gain": "share of calls",
    "step_evidence": "e-value",
}
_SHARE_SUFFIXES: Final = ("_rate", "_share")
_BOUNDS: Final = ((Gt, "gt", ">"), (Ge, "ge", "≥"), (Lt, "lt", "<"), (Le, "le", "≤"))


def render_reference() -> str:
    """Render the reference as Markdown."""
    return "\n".join([_INTRODUCTION, *_render_settings(), *_render_rules()]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the reference, or with `--check` return 1 if it is stale."""
    path = Path(next((argument for argument in arguments if not argument.startswith("-")), DEFAULT_PATH))
    text = render_reference()
    if "--check" not in arguments:
        path.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is stale; run `python -m understudies.cli.reference`\n")
    return 1


def _render_settings() -> Iterator[str]:
    yield "## Settings: environment variables\n"
    for title, meaning, model in SETTINGS:
        prefix = str(model.model_config.get("env_prefix", ""))
        yield f"### {title}: `{prefix}…`\n\n{meaning}\n"
        yield _render_table("variable", model, prefix)
    for title, prefix, meaning, nested in NESTED_SETTINGS:
        yield f"### {title}: `{prefix}{'…' if prefix.endswith('_') else ''}`\n\n{meaning}\n"
        yield _render_table("variable", nested, prefix if prefix.endswith("__") else "")


def _render_rules() -> Iterator[str]:
    yield "## Rules: understudies.toml\n"
    for title, meaning, model in RULES:
        yield f"### `{title}`\n\n{meaning}\n"
        yield _render_table("rule", model, None)


def _render_table(head: str, model: type[BaseModel], prefix: str | None) -> str:
    rows = [f"| {head} | default | unit and range | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if (model, name) in _NOT_IN_FILES:
            continue
        shown = name if not prefix else f"{prefix}{name.upper()}"
        cells = (f"`{shown}`", _render_default(field), _render_unit(name, field), field.description or "")
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _render_default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "unset"
    if isinstance(default, BaseModel):
        return "see below"
    return f"`{_format_value(default)}`"


def _format_value(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_format_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list | frozenset | set):
        return "[" + ", ".join(_format_value(one) for one in value) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Enum):
        return str(value.value)
    return str(value) if value != "" else '""'


def _render_unit(name: str, field: FieldInfo) -> str:
    parts = [_unit(name, field) or _type_name(field.annotation)]
    bounds = [
        f"{sign} {_format_value(getattr(limit, attribute))}"
        for kind, attribute, sign in _BOUNDS
        for limit in field.metadata
        if isinstance(limit, kind)
    ]
    bounds += ["not empty" for limit in field.metadata if isinstance(limit, MinLen)]
    return ", ".join([*parts, *bounds])


def _unit(name: str, field: FieldInfo) -> str | None:
    if name in _UNITS_BY_NAME:
        return _UNITS_BY_NAME[name]
    if not _is_number(field.annotation):
        return None
    for part, unit in _UNITS:
        if name.endswith(part) or (not part.startswith("_") and part in name):
            return unit
    return "share" if name.endswith(_SHARE_SUFFIXES) else None


def _is_number(annotation: Any) -> bool:
    found = [annotation, *_nested_types(annotation)]
    return any(one in (int, float, Decimal) for one in found)


def _nested_types(annotation: Any) -> Iterator[Any]:
    for one in get_args(annotation):
        yield one
        yield from _nested_types(one)


def _type_name(annotation: Any) -> str:
    """Return the type in words, without the None of an optional setting.

    >>> _type_name(Literal["teacher", "refuse"]), _type_name(tuple[str, ...] | None)
    ('`teacher`, `refuse`', 'list of text')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(one) for one in arguments if one is not type(None))
    if origin in (tuple, list, frozenset):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return "table"
    if origin is not None:
        return _type_name(arguments[0])
    if annotation is bool:
        return "`true` or `false`"
    if annotation in (int, float, Decimal):
        return "whole number" if annotation is int else "number"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return "path" if annotation is Path else "text"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
