import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.api_keys import generate_key
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "deploy" / "understudies.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "understudies.toml"
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_rules(written(folder, text))
    return str(refused.value)


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
    assert rules.for_task("triage") == TaskRules(
        min_agreement=0.9, critical=True, judge="json[tags]", weekly_budget_usd=Decimal("12.5")
    )
    assert rules.for_task("another") == TaskRules(min_agreement=0.9)


def test_an_empty_file_holds_the_built_in_rules(tmp_path: Path) -> None:
    assert read_rules(written(tmp_path, "")) == Rules()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[tasks.triage]\njudge = "nobody"', "tasks.triage.judge: no judge is named 'nobody'; choose one of exact"),
        ("[tasks.triage]\nmin_agreement = 1.5", "tasks.triage.min_agreement: Input should be less than 1"),
        ("[tasks.triage]\nmin_agreemnt = 0.9", "tasks.triage.min_agreemnt: unknown setting, did you mean 'min_agr"),
        ("[tasks.triage]\nxyz = 0.9", "tasks.triage.xyz: unknown setting, valid here: critical, min_agreement, judge"),
        ('[tasks.triage]\nescalation = "hope"', "tasks.triage.escalation: Input should be 'teacher', 'teacher_or_st"),
        ("[tasks.triage]\ndaily_budget_usd = inf", "tasks.triage.daily_budget_usd: "),
        (
            "[tenants.a]\nkeys = []\ndaily_budget_usd = 9000001",
            "tenants.a.daily_budget_usd: Input should be less than or",
        ),
        ("[tasks]\ncritical = true", "tasks.critical: is not a table; its settings belong under [tasks.NAME]"),
        ("[task.triage]\ncritical = true", "task: unknown setting, did you mean 'tasks'?"),
        (
            "[tasks.triage]\nbudget = 3",
            "tasks.triage.budget: unknown setting, did you mean 'daily_budget_usd' or 'we",
        ),
        ("[tenants.a]\nkeys = []\nbudget = 3", "tenants.a.budget: unknown setting, did you mean 'daily_budget_usd'?"),
        ("budget = 3", "budget: unknown setting, did you mean 'daily_budget_usd' or 'weekly_budget_usd' under [tas"),
        ("require_key = true", "require_key: unknown setting, did you mean 'require_key' under [router]?"),
        ("[router]\nbudget = 3", "router.budget: unknown setting, valid here: require_key, max_body_bytes"),
        (
            '[tasks."a/b"]\ncritical = true',
            "tasks.a/b: invalid task name, no call can have it: a task name has 1 to 200 charac",
        ),
        ("[router]\nrequire_kee = true", "router.require_kee: unknown setting, did you mean 'require_key'?"),
        ("[tenants.acme]\ntasks = []", "tenants.acme.keys: is missing"),
        ('[teachers.a]\nbase_url = "http://a/v1"\ntimeouts = {conect_s = 3}', "teachers.a.timeouts.conect_s: unknown"),
        ('[teachers.a]\nbase_url = "a"', "teachers.a.base_url: 'a' is not an http:// or https:// URL"),
        ('[teachers.a]\nbase_url = "http://a/v1"\nfallback = ["b"]', "a.fallback: no teacher 'b'"),
        ("tasks = 3", "tasks: "),
    ],
)
def test_what_is_wrong_is_named_with_file_table_field_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    said = complaint(tmp_path, text)
    assert said.startswith(f"{tmp_path / 'understudies.toml'}: ")
    assert problem in said
    assert said.endswith("; see docs/rules.md")


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path, "[tasks.a]\nmin_agreement = 2\n[tasks.b]\nmin_agreement = 3\n[router]\nx = 1")
    assert all(place in said for place in ("tasks.a.min_agreement", "tasks.b.min_agreement", "router.x"))


def test_a_plain_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    key = generate_key()
    said = complaint(tmp_path, f'[tenants.acme]\nkeys = ["{key}"]')
    assert "tenants.acme.keys.0: is not the hash of a key" in said
    assert "`understudies keys hash`" in said
    assert key not in said


def test_a_teachers_key_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    said = complaint(tmp_path, '[teachers.a]\nbase_url = "http://a/v1"\napi_key = "sk-secret"')
    assert "teachers.a.api_key: keys do not belong in this file" in said
    assert "api_key_env" in said
    assert "sk-secret" not in said


@pytest.mark.parametrize("content", [b"[tasks", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_told_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "understudies.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cannot read the rules in .*understudies\.toml"):
        read_rules(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the rules in .*nowhere\.toml"):
        read_rules(tmp_path / "nowhere.toml")


# What is shown to users is read by the program


def test_the_example_is_right_and_shows_every_setting() -> None:
    rules = read_rules(EXAMPLE)
    text = EXAMPLE.read_text()
    for table in (TaskRules, TenantRules, RouterRules):
        for name in table.model_fields:
            assert re.search(rf"^#? ?{name} = ", text, re.MULTILINE), f"{table.__name__}.{name} is not in the example"
    assert rules.for_task("refund-approval").critical
    assert rules.teachers
    assert rules.tenants


def test_the_documents_rules_are_right() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(), re.DOTALL)
    assert Rules.model_validate(tomllib.loads(block)).tasks
