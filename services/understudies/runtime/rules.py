"""What holds for each task: `understudies.toml`, table `tasks.<name>`."""

import tomllib
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from understudies.judges import judge_named
from understudies.runtime.errors import ConfigurationError


class TaskRules(BaseModel):
    """The rules of one task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    critical: bool = Field(default=False, description="never served by a student")
    min_agreement: float = Field(default=0.95, gt=0.5, lt=1, description="p0: agreement promised on served calls")
    judge: str | None = Field(default=None, description="judge by name; chosen from the answers' shape where absent")
    weekly_budget_usd: Decimal | None = Field(default=None, gt=0, description="target of optimize_for_budget")

    @field_validator("judge")
    @classmethod
    def _known(cls, judge: str | None) -> str | None:
        return judge and judge_named(judge).name


class Rules(BaseModel):
    """The rules of all tasks; a task that is not named follows the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    defaults: TaskRules = TaskRules()
    tasks: dict[str, TaskRules] = Field(default_factory=dict)

    def of(self, task: str) -> TaskRules:
        return self.tasks.get(task, self.defaults)

    def with_critical(self, names: frozenset[str]) -> "Rules":
        """The same rules with the named tasks critical."""
        marked = {name: self.of(name).model_copy(update={"critical": True}) for name in names}
        return self.model_copy(update={"tasks": {**self.tasks, **marked}})


def read_rules(path: Path) -> Rules:
    """The rules in a TOML file; raises ConfigurationError that names the file and the field."""
    try:
        return Rules.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"cannot read the rules in {str(path)!r}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {where}: {first['msg']}; see README, section Rules") from error
