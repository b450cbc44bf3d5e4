"""Parse `understudies.toml`, and describe its errors."""

import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules

_NAMED_TABLES: Final = frozenset({"tasks", "teachers", "tenants", "judges"})
_MEANINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "budget": ("daily_budget_usd", "weekly_budget_usd"),
    "agreement": ("min_agreement",),
    "accuracy": ("min_agreement",),
    "threshold": ("min_agreement",),
    "cache": ("cache_ttl_s",),
    "url": ("base_url",),
    "key": ("keys", "api_key_env"),
    "price": ("price_usd", "price_per_mtok"),
    "timeout": ("timeouts", "request_timeout_s"),
    "retry": ("retries",),
}
"""Settings to suggest, by a word in the unknown name that a user wrote."""

_MIN_SIMILARITY: Final = 0.75
"""Least similarity of spelling to suggest a setting; 0.6, the library's default, takes `budget` for `judge`."""

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "[tasks.NAME]": TaskRules,
    "[tenants.NAME]": TenantRules,
    "[router]": RouterRules,
}
_NOT_A_TABLE_ERRORS: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})


def read_rules(path: Path) -> Rules:
    """Read the rules from a TOML file; raises ConfigurationError, which names the file and every invalid field."""
    try:
        return parse_rules(path.read_bytes(), path)
    except OSError as error:
        raise ConfigurationError(f"cannot read the rules in {str(path)!r}: {error}") from error


def parse_rules(content: bytes, path: Path) -> Rules:
    """Parse the rules from the content of a file; raises ConfigurationError."""
    try:
        tables = tomllib.loads(content.decode("utf-8"))
        _reject_secrets(tables, path)
        return Rules.model_validate(tables)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"cannot read the rules in {str(path)!r}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            _format_error(one["loc"], one["type"], one["msg"]) for one in error.errors(include_input=False)
        )
        raise ConfigurationError(f"{path}: {wrong}; see docs/rules.md") from None


def _reject_secrets(tables: dict[str, Any], path: Path) -> None:
    teachers = tables.get("teachers")
    for name, table in teachers.items() if isinstance(teachers, dict) else ():
        if isinstance(table, dict) and "api_key" in table:
            raise ConfigurationError(
                f"{path}: teachers.{name}.api_key: keys do not belong in this file; set the key in the environment, "
                "and name the variable in api_key_env"
            )


def _format_error(location: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part) for part in location)
    text = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        text = f"unknown setting, {_suggest_settings(location)}"
    elif kind == "missing":
        text = "is missing"
    elif kind in _NOT_A_TABLE_ERRORS and len(location) == 2 and location[0] in _NAMED_TABLES:
        text = f"is not a table; its settings belong under [{location[0]}.NAME]"
    return f"{where}: {text}" if where else text


def _suggest_settings(location: tuple[int | str, ...]) -> str:
    siblings, name = _sibling_settings(location), str(location[-1])
    tables = {"": siblings}
    if len(location) == 1:
        tables |= {f" under {table}": [*rules.model_fields] for table, rules in _TABLES.items()}
    for find in (_find_like_spelling, _find_like_meaning):
        for where, settings in tables.items():
            if found := find(name, settings):
                return f"did you mean {' or '.join(repr(one) for one in found)}{where}?"
    return f"valid here: {', '.join(siblings)}" if siblings else "remove it"


def _find_like_spelling(name: str, known: Collection[str]) -> list[str]:
    return get_close_matches(name, known, n=1, cutoff=_MIN_SIMILARITY)


def _find_like_meaning(name: str, known: Collection[str]) -> list[str]:
    meanings = [one for word in name.split("_") for one in _MEANINGS.get(word, ())]
    return [one for one in meanings if one in known]


def _sibling_settings(location: tuple[int | str, ...]) -> list[str]:
    """Return the settings of the table that contains a location."""
    table: Any = Rules
    for part in location[:-1]:
        if _is_model(table):
            field = table.model_fields.get(str(part))
            table = field and field.annotation
        else:
            table = next(iter(reversed([one for one in get_args(table) if _is_model(one)])), None)
    return list(table.model_fields) if _is_model(table) else []


def _is_model(table: Any) -> bool:
    return isinstance(table, type) and issubclass(table, BaseModel)
