"""Judges that need a table of their own."""

from pathlib import Path
from typing import Any

import pytest

from understudies.judges.materials import read_material
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.parsing import parse_rules
from understudies.runtime.rules.rules import Rules

TONE = """
[judges.tone]
kind = "llm"
endpoint = "checker"
model = "small"
rubric = "They promise the same."
"""


def parse(text: str) -> Rules:
    return parse_rules(text.encode(), Path("understudies.toml"))


def test_a_name_gets_the_digest_of_its_table_in_defaults_and_tasks() -> None:
    rules = parse(
        TONE
        + """
[defaults]
judge = "llm[tone]"
[tasks.letters]
critical = true
[tasks.notes]
judge = "label"
"""
    )
    name = rules.defaults.judge
    assert name is not None
    assert name.startswith("llm[tone;spec:")
    assert rules.for_task("letters").judge == name
    assert rules.for_task("notes").judge == "label"
    assert "They promise the same." in read_material(name.removesuffix("]").rpartition(":")[2])


def test_marks_hold_for_the_table_that_was_measured() -> None:
    name = parse(TONE + '[defaults]\njudge = "llm[tone]"\n').defaults.judge
    assert name is not None
    measured = f"{name[:-1]};false:1;of:400]"
    assert parse(f'{TONE}[defaults]\njudge = "{measured}"\n').defaults.judge == measured
    other = TONE.replace("the same", "about the same")
    with pytest.raises(ConfigurationError, match=r"\[judges.tone\] has changed since .* was measured"):
        parse(f'{other}[defaults]\njudge = "{measured}"\n')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[defaults]\njudge = "llm[tone]"', r"needs a table \[judges.tone\] with kind = 'llm'"),
        (TONE + '[defaults]\njudge = "sql[tone]"', r"needs a table \[judges.tone\] with kind = 'sql'"),
        ('[defaults]\njudge = "llm[tone;false:0;of:400]"', "copy the whole name"),
        ('[defaults]\njudge = "llm"', r"declare \[judges.NAME\]"),
        ('[judges.a]\nkind = "llm"\nmodel = "m"', "needs endpoint and rubric"),
        ('[judges.a]\nkind = "code"\ntests = "x"\nrubric = "y"', "rubric: no setting of a judge of kind 'code'"),
        ('[judges.a]\nkind = "sql"\ndatabase = "CREATE TABEL x"', "SQLite cannot run the schema"),
        ('[judges.a]\nkind = "poll"', "judges.a.kind"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse(text)


@pytest.mark.parametrize("field", ["dialect", "database"])
def test_sql_needs_its_extra_when_the_rules_are_read(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sqlglot", None)
    tables: dict[str, Any] = {"shop": {"kind": "sql", "database": "CREATE TABLE a (b)", "dialect": "postgres"}}
    with pytest.raises(ValueError, match=r"install understudies\[sql\]"):
        Rules.model_validate({"judges": tables} if field == "database" else {"defaults": {"judge": "sql"}})
