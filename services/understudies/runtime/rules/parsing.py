"""Reading `understudies.toml`, and saying what is wrong with it."""

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

_NAMED_TABLES: Final = frozenset({"tasks", "teachers", "tenants"})
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
"""Settings by a word in the name that a user gave them."""

_MIN_SIMILARITY: Final = 0.75
"""Similarity of spelling from which a setting is suggested; 0.6, the library's default, takes `budget` for `judge`."""

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "[tasks.NAME]": TaskRules,
    "[tenants.NAME]": TenantRules,
    "[router]": RouterRules,
}
_NOT_A_TABLE_ERRORS: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})


def read_rules(path: Path) -> Rules:
    """The rules in a TOML file; raises ConfigurationError that names the file and every field that is wrong."""
    try:
        return parse_rules(path.read_bytes(), path)
    except OSError as error:
        raise ConfigurationError(f"cannot read the rules in {str(path)!r}: {error}") from error


def parse_rules(content: bytes, path: Path) -> Rules:
    """The rules in the content of a file; raises ConfigurationError."""
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
                f"{path}: teachers.{name}.api_key: a key does not belong in this file; set it in the environment, "
                "and name the variable in api_key_env"
            )


def _format_error(place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part) for part in place)
    said = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        said = f"unknown setting, {_suggest_settings(place)}"
    elif kind == "missing":
        said = "is missing"
    elif kind in _NOT_A_TABLE_ERRORS and len(place) == 2 and place[0] in _NAMED_TABLES:
        said = f"is no table; its settings belong under [{place[0]}.NAME]"
    return f"{where}: {said}" if where else said


def _suggest_settings(place: tuple[int | str, ...]) -> str:
    known, name = _sibling_settings(place), str(place[-1])
    tables = {"": known}
    if len(place) == 1:
        tables |= {f" under {table}": [*rules.model_fields] for table, rules in _TABLES.items()}
    for find in (_find_like_spelling, _find_like_meaning):
        for where, settings in tables.items():
            if found := find(name, settings):
                return f"did you mean {' or '.join(repr(one) for one in found)}{where}?"
    return f"known here: {', '.join(known)}" if known else "remove it"


def _find_like_spelling(name: str, known: Collection[str]) -> list[str]:
    return get_close_matches(name, known, n=1, cutoff=_MIN_SIMILARITY)


def _find_like_meaning(name: str, known: Collection[str]) -> list[str]:
    meanings = [one for word in name.split("_") for one in _MEANINGS.get(word, ())]
    return [one for one in meanings if one in known]


def _sibling_settings(place: tuple[int | str, ...]) -> list[str]:
    """The settings of the table that a place is in."""
    table: Any = Rules
    for part in place[:-1]:
        if _is_model(table):
            field = table.model_fields.get(str(part))
            table = field and field.annotation
        else:
            table = next(iter(reversed([one for one in get_args(table) if _is_model(one)])), None)
    return list(table.model_fields) if _is_model(table) else []


def _is_model(table: Any) -> bool:
    return isinstance(table, type) and issubclass(table, BaseModel)
