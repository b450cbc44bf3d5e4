"""Define the rules of a judge that needs more than a name: a database, tests, or a model with a rubric."""

import json
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from understudies.judges.base import parse_judge_name
from understudies.judges.human_marks import OPTIONS as MARKS
from understudies.judges.materials import JudgeUnavailableError, keep_material
from understudies.judges.registry import parse_judge
from understudies.judges.sql import check_sql_settings

_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "sql": ("dialect", "database"),
    "code": ("tests", "cpu_s"),
    "llm": ("endpoint", "model", "rubric", "max_tokens"),
}
_REQUIRED: Final = {"sql": ("database",), "code": ("tests",), "llm": ("endpoint", "model", "rubric")}


class JudgeRules(BaseModel):
    """One judge by name: `judge = "sql[NAME]"`, `"code[NAME]"` or `"llm[NAME]"` in a task's rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sql", "code", "llm"] = Field(description="what compares the answers")
    dialect: str | None = Field(default=None, description="sql: the dialect of the answers, as sqlglot names it")
    database: str | None = Field(
        default=None, description="sql: script for SQLite that makes a sample database, on which queries are compared"
    )
    tests: str | None = Field(
        default=None, description="code: Python that runs after the answer's and raises where a test fails"
    )
    cpu_s: int = Field(default=5, ge=1, le=60, description="code: longest processor time of answer and tests")
    endpoint: str | None = Field(default=None, description="llm: NAME of UNDERSTUDIES_ENDPOINTS__NAME__BASE_URL")
    model: str | None = Field(default=None, description="llm: the model to ask at that endpoint")
    rubric: str | None = Field(default=None, description="llm: when two answers agree, in words")
    max_tokens: int = Field(default=16, ge=1, le=4096, description="llm: longest reply, reasoning included")

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if foreign := self.model_fields_set - {"kind", *_FIELDS[self.kind]}:
            raise ValueError(f"{', '.join(sorted(foreign))}: no setting of a judge of kind {self.kind!r}")
        if missing := [name for name in _REQUIRED[self.kind] if not getattr(self, name)]:
            raise ValueError(f"a judge of kind {self.kind!r} needs {' and '.join(missing)}")
        try:
            check_sql_settings(self.dialect or "", self.database or "")
        except JudgeUnavailableError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def spec(self) -> str:
        """All that decides a verdict, in one text."""
        return json.dumps({name: getattr(self, name) for name in _FIELDS[self.kind]}, sort_keys=True)


def check_judge_name(name: str) -> str:
    """Return the name of a judge as it is written everywhere; one that names a table may lack its digest.

    Raises ValueError if there is no such judge.
    """
    kind, options = parse_judge_name(name)
    if kind in _FIELDS and options.get("") and not options.get("spec"):
        if marks := options.keys() & MARKS:
            raise ValueError(f"{', '.join(sorted(marks))}: belong to one version of its table; copy the whole name")
        return name
    judge = parse_judge(name)
    if kind == "sql":
        try:
            check_sql_settings(next(iter(options.get("dialect", ())), "") or "sqlite", "")
        except JudgeUnavailableError as error:
            raise ValueError(str(error)) from error
    return judge.name


def resolve_judge_name(name: str, tables: dict[str, JudgeRules]) -> str:
    """Return a judge's name with the digest of the table that it names, which is kept for this process.

    Raises ValueError for a missing table, one of another kind, and one that is not as it was when people's marks of its
    agreements were counted.
    """
    kind, options = parse_judge_name(name)
    table = next(iter(options.get("", ())), "") if kind in _FIELDS else ""
    if not table:
        return name
    rules = tables.get(table)
    if rules is None or rules.kind != kind:
        raise ValueError(f"{name!r} needs a table [judges.{table}] with kind = {kind!r}")
    digest = keep_material(rules.spec)
    given = next(iter(options.get("spec", ())), digest)
    if given != digest:
        raise ValueError(
            f"[judges.{table}] has changed since {name!r} was measured; measure it again with `understudies judge`, "
            f"or write {kind}[{table}]"
        )
    if options.get("spec"):
        return parse_judge(name).name
    return parse_judge(f"{kind}[{table};spec:{digest}]").name
