from decimal import Decimal
from pathlib import Path

import pytest

from understudies.runtime import ConfigurationError
from understudies.runtime.rules import Rules, TaskRules, read_rules


def written(folder: Path, text: str) -> Path:
    path = folder / "understudies.toml"
    path.write_text(text)
    return path


def test_a_task_follows_its_own_rules_and_the_others_the_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [defaults]
        min_agreement = 0.9
        [tasks.triage]
        critical = true
        judge = "json[tags]"
        weekly_budget_usd = "12.50"
        """,
    )
    rules = read_rules(path)
    assert rules.of("triage") == TaskRules(
        min_agreement=0.9, critical=True, judge="json[tags]", weekly_budget_usd=Decimal("12.5")
    )
    assert rules.of("another") == TaskRules(min_agreement=0.9)


def test_tasks_can_be_marked_critical_without_losing_their_rules() -> None:
    rules = Rules(tasks={"a": TaskRules(judge="label")}).with_critical(frozenset({"a", "b"}))
    assert rules.of("a") == TaskRules(judge="label", critical=True)
    assert rules.of("b").critical
    assert not rules.of("c").critical


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[tasks.triage]\njudge = "nobody"', "tasks.triage.judge: .*no judge is named 'nobody'; choose one of exact"),
        ("[tasks.triage]\nmin_agreement = 1.5", "tasks.triage.min_agreement"),
        (
            "[tasks.triage]\nmin_agreemnt = 0.9",
            "tasks.triage.min_agreemnt: unknown setting, did you mean 'min_agreement'",
        ),
        ("[tasks", "cannot read the rules"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read_rules(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the rules in .*nowhere\.toml"):
        read_rules(tmp_path / "nowhere.toml")
