"""The command line as its users meet it: help, codes, one line for what is wrong, and logs as they are."""

import gzip
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support import call_logs
from typer.testing import CliRunner, Result

from understudies.cli.main import app
from understudies.runtime.rules.api_keys import key_hash

COMMANDS = ("backtest", "demo", "up", "status", "observer", "evaluator", "trainer", "router", "budget", "rules", "keys")
LABEL = "refund"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)


def understudies(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def failed(result: Result) -> str:
    """What a command said that ended by an expected error: one line, and no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("understudies: ")
    assert result.stdout == ""
    return line


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return call_logs.write_log(tmp_path / "calls.jsonl", call_logs.task_entries("triage", 5, days=1))


def native(number: int, **more: Any) -> dict[str, Any]:
    return call_logs.build_record("triage", f"pay me back for number {number}", LABEL, **more)


def lines(*records: dict[str, Any] | bytes) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in records) + b"\n"


# Help


def test_help_names_every_command() -> None:
    result = understudies("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: str, flag: str) -> None:
    result = understudies(command, flag)
    assert result.exit_code == 0
    assert f"understudies {command}" in result.stdout


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("backtest", "understudies backtest calls.jsonl.gz --teacher-price 0.03 --days 14 --json r.json --html r.html"),
        ("backtest", "--critical refund-approval --rules understudies.toml"),
        ("up", "understudies up --port 8080 --teacher-url https://api.openai.com/v1 --data ./understudies-data"),
        ("up", "OPENAI_BASE_URL=http://127.0.0.1:8080/v1"),
        ("router", "--port 8080 --teacher-url https://api.openai.com/v1 --bootstrap kafka:9092"),
        ("router", "--rules understudies.toml --redis-url redis://redis:6379 --workers 4"),
        ("rules check", "understudies rules check understudies.toml"),
        ("keys new", "understudies keys new --tenant acme"),
    ],
)
def test_help_shows_examples(command: str, example: str) -> None:
    said = understudies(*command.split(), "--help").stdout
    assert "Examples:" in said
    assert example in said


def test_help_tells_the_defaults_that_are_no_values() -> None:
    said = understudies("backtest", "--help").stdout
    assert "recorded times, else 14" in said
    assert "as recorded, else by model, else 0.03" in said
    assert "UNDERSTUDIES_BUS_BOOTSTRAP" in understudies("budget", "--help").stdout


def test_the_version_is_the_packages() -> None:
    result = understudies("--version")
    assert (result.exit_code, result.stdout) == (0, version("understudies") + "\n")


def test_it_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "understudies.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert (found.stdout, found.stderr) == (version("understudies") + "\n", "")


# What is wrong is told in one line


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["backtest"], ["backtest", "a", "b"], ["up"], ["keys", "new"], ["rules", "check"]]
)
def test_wrong_usage_ends_with_two(words: list[str]) -> None:
    result = understudies(*words)
    assert result.exit_code == 2
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("option", "value"), [("--days", "0"), ("--days", "nan"), ("--min-examples", "3"), ("--seed", "x")]
)
def test_an_option_out_of_range_is_named(log: Path, option: str, value: str) -> None:
    result = understudies("backtest", log, option, value)
    assert result.exit_code == 2
    assert option in result.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    said = failed(understudies("backtest", tmp_path / "none.jsonl"))
    assert "none.jsonl" in said
    assert "No such file" in said


def test_a_folder_without_logs_is_no_log(tmp_path: Path) -> None:
    assert "holds no file of a log" in failed(understudies("backtest", tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(content)
    said = failed(understudies("backtest", path))
    assert "is empty" in said
    assert "messages" in said


def test_a_file_without_any_call_names_the_first_line_and_why(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'\n{"a": 1}\n17\n')
    said = failed(understudies("backtest", path))
    assert "all 2 lines were skipped, line 2 because: no known form" in said


def test_a_file_of_another_kind_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    path.write_bytes(b"PAR1" + bytes(range(256)) * 20)
    assert "no recorded call" in failed(understudies("backtest", path))


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_that_cannot_be_written_is_told_before_the_play(log: Path, tmp_path: Path, option: str) -> None:
    assert "does not exist" in failed(understudies("backtest", log, option, tmp_path / "none" / "report"))
    assert "it is a folder" in failed(understudies("backtest", log, option, tmp_path))
    before = log.read_bytes()
    assert "contains the recorded calls" in failed(understudies("backtest", log, option, log))
    assert log.read_bytes() == before


@pytest.mark.parametrize("price", ["cheap", "-1", "nan", "inf", "1e999", "", "0,03"])
def test_a_price_that_is_none_is_named(log: Path, price: str) -> None:
    said = failed(understudies("backtest", log, f"--teacher-price={price}"))
    assert "--teacher-price must be US dollars" in said
    assert repr(price) in said


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'[tasks."triage"]\ncritcal = true', ["tasks.triage.critcal"]),
        (b'[tasks."triage"]\nmin_agreement = 3', ["tasks.triage.min_agreement", "less than 1"]),
        (b'[tasks."triage"]\njudge = "vibes"', ["tasks.triage.judge", "'vibes'", "label"]),
        (b"task = 1", ["task"]),
        (b"[tasks", ["cannot read the rules"]),
        (b"\xff\xfe", ["cannot read the rules", "utf-8"]),
    ],
)
def test_rules_that_are_wrong_name_file_and_field(log: Path, tmp_path: Path, content: bytes, names: list[str]) -> None:
    rules = tmp_path / "understudies.toml"
    rules.write_bytes(content)
    said = failed(understudies("backtest", log, "--rules", rules))
    for name in ["understudies.toml", *names]:
        assert name in said


def test_rules_that_are_missing_are_named(log: Path, tmp_path: Path) -> None:
    assert "none.toml" in failed(understudies("backtest", log, "--rules", tmp_path / "none.toml"))


def test_a_demo_folder_that_is_a_file_is_named(log: Path) -> None:
    assert "calls.jsonl" in failed(understudies("demo", "--folder", log))


def test_a_service_alone_says_that_it_needs_a_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDIES_BUS_BOOTSTRAP", raising=False)
    result = understudies("budget", "--data", tmp_path)
    assert result.exit_code == 2
    assert "--bootstrap" in result.stderr


def test_a_teacher_that_is_no_address_is_named(tmp_path: Path) -> None:
    result = understudies("up", "--teacher-url", "api.openai.com", "--data", tmp_path)
    assert result.exit_code == 2
    assert "'api.openai.com'" in result.stderr


# The router alone


def test_help_of_the_router_names_the_variables_behind_the_options() -> None:
    said = understudies("router", "--help").stdout
    for name in ("PORT", "HOST", "TEACHER_URL"):
        assert f"UNDERSTUDIES_ROUTER_{name}" in said
    assert "UNDERSTUDIES_ONLINE_URL" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--teacher-url", "api.openai.com"], "--teacher-url 'api.openai.com' is not an HTTP URL"),
        ([], "the router needs a teacher: pass --teacher-url URL, or --rules with a table [teachers.NAME]"),
        (["--teacher-url", "http://t/v1", "--rules", "none.toml"], "cannot read the rules in 'none.toml'"),
        (["--teacher-url", "http://t/v1", "--workers", "2", "--port", "0"], "--workers needs a --port"),
    ],
)
def test_what_the_router_cannot_do_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    assert said in failed(understudies("router", "--bootstrap", "127.0.0.1:1", "--data", tmp_path, *words))


def test_a_variable_that_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_ROUTER_PORT", "http")
    said = failed(understudies("router", "--bootstrap", "127.0.0.1:1", "--data", tmp_path))
    assert "UNDERSTUDIES_ROUTER_PORT: Input should be a valid integer" in said


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("backtest", "BUDGET_MIN_EXAMPLES"),
        ("backtest", "TRAINER_SEED"),
        ("backtest", "ROUTER_REQUEST_TIMEOUT_S"),
        ("observer", "OBSERVER_MAX_EXAMPLES"),
        ("evaluator", "EVALUATOR_N_MAX"),
        ("trainer", "TRAINER_SEED"),
        ("budget", "BUDGET_CANARY"),
        ("up", "BUDGET_MIN_EXAMPLES"),
        ("up", "BUS_MAX_ATTEMPTS"),
    ],
)
def test_every_command_names_a_variable_that_is_wrong(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, variable: str
) -> None:
    monkeypatch.setenv(f"UNDERSTUDIES_{variable}", "nonsense")
    words: list[object] = [log] if command == "backtest" else ["--data", tmp_path / "data"]
    words += ["--bootstrap", "127.0.0.1:1"] if command not in ("backtest", "up") else []
    words += ["--teacher-url", "http://t/v1", "--port", 0] if command == "up" else []
    result = understudies(command, *words)
    assert result.exit_code == 2
    assert f"understudies: UNDERSTUDIES_{variable}: " in result.stderr


@pytest.mark.parametrize("table", ["defaults", "tasks.triage", "tenants.acme]\nkeys = []\n[defaults"])
def test_several_workers_count_budgets_in_redis_or_not_at_all(tmp_path: Path, table: str) -> None:
    rules = tmp_path / "understudies.toml"
    rules.write_text(f"[{table}]\ndaily_budget_usd = 5\n")
    words = ["--bootstrap", "127.0.0.1:1", "--teacher-url", "http://t/v1", "--data", tmp_path, "--workers", 2]
    assert "pass --redis-url" in failed(understudies("router", *words, "--rules", rules))


# Keys and rules


def made(tenant: str) -> tuple[str, str]:
    """A new key and the lines for the rules."""
    said = understudies("keys", "new", "--tenant", tenant).stdout.splitlines()
    return said[2], "\n".join(said[-2:])


@pytest.mark.parametrize("tenant", ["acme", "acme gmbh & co", 'the "best"', "zürich"])
def test_a_new_key_is_known_by_the_lines_that_come_with_it(tenant: str) -> None:
    key, table = made(tenant)
    assert tomllib.loads(table) == {"tenants": {tenant: {"keys": [key_hash(key)]}}}
    assert made(tenant)[0] != key


def test_a_key_that_is_there_is_hashed() -> None:
    key, _ = made("acme")
    result = CliRunner().invoke(app, ["keys", "hash"], input=f"{key}\n")
    assert (result.exit_code, result.stdout) == (0, f"{key_hash(key)}\n")


@pytest.mark.parametrize("key", ["", "hunter2", "a" * 64])
def test_a_weak_key_is_refused_and_not_shown(key: str) -> None:
    said = failed(CliRunner().invoke(app, ["keys", "hash"], input=f"{key}\n"))
    assert "`understudies keys new` generates one" in said
    assert not key or key not in said


def test_a_tenant_needs_a_name() -> None:
    assert "--tenant" in failed(understudies("keys", "new", "--tenant", " "))


def checked(folder: Path, text: str) -> Result:
    path = folder / "understudies.toml"
    path.write_text(text)
    return understudies("rules", "check", path)


def test_what_holds_is_printed_with_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-secret")
    monkeypatch.delenv("B_KEY", raising=False)
    key, table = made("acme")
    result = checked(
        tmp_path,
        """
        [defaults]
        judge = "label"
        episode_steps = 5
        [tasks."ticket triage"]
        episode_target = 0.9
        daily_budget_usd = 12.50
        teacher = "a"
        [teachers.a]
        base_url = "http://a/v1"
        api_key_env = "A_KEY"
        fallback = ["b", {teacher = "a", model = "small"}]
        [teachers.b]
        base_url = "http://b/v1"
        api_key_env = "B_KEY"
        [router]
        max_body_bytes = 1000
        """
        + table,
    )
    assert result.exit_code == 0, result.output
    said = result.stdout
    assert tomllib.loads(said)["tasks"]["ticket triage"]["daily_budget_usd"] == 12.5
    for line in (
        '[tasks."ticket triage"]',
        "min_agreement = 0.95  # built in",
        'judge = "label"  # from [defaults]',
        "episode_target = 0.9",
        "# agreement required of each call of an episode: 0.9791",
        "# students: all",
        'api_key_env = "A_KEY"',
        'api_key_env = "B_KEY"  # not set in this environment',
        "# if it fails: b, then a as small",
        "# keys: 1",
        "# tasks: all",
        "require_key = true  # built in",
        "max_body_bytes = 1000",
        "# request_timeout_s: from the environment",
    ):
        assert line in said.splitlines(), line
    assert not [secret for secret in ("sk-secret", key, key_hash(key)) if secret in said]


def test_tasks_of_one_tenant_are_printed_as_such(tmp_path: Path) -> None:
    _, table = made("acme")
    tasks = '[tasks.triage]\njudge = "label"\n[tasks."acme:triage"]\nmin_agreement = 0.9\n'
    result = checked(tmp_path, f"{tasks}{table}\nown_tasks = true\n")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    own = lines[lines.index('[tasks."acme:triage"]  # one tenant\'s own task') :]
    assert own[2] == "min_agreement = 0.9"
    assert 'judge = "label"  # from [tasks.triage]' in own
    assert "own_tasks = true" in own


def test_tenants_that_share_their_tasks_unsaid_are_named(tmp_path: Path) -> None:
    tables = [made(name)[1] for name in ("acme", "bolt")]
    said = checked(tmp_path, "\n".join(tables)).stdout
    assert "# tenants acme, bolt share their tasks: a student that learned from one answers the others" in said
    assert tomllib.loads(said)
    assert (
        "share their tasks"
        not in checked(tmp_path, f"{tables[0]}\nown_tasks = true\n{tables[1]}\nown_tasks = false").stdout
    )


def test_the_example_is_right() -> None:
    result = understudies("rules", "check", Path(__file__).parents[2] / "deploy" / "understudies.toml")
    assert result.exit_code == 0, result.output


def test_what_is_wrong_with_rules_is_said_with_the_place(tmp_path: Path) -> None:
    said = failed(checked(tmp_path, "[tasks.triage]\ncritcal = true\nmin_agreement = 3"))
    assert "tasks.triage.critcal: unknown setting, did you mean 'critical'?" in said
    assert "tasks.triage.min_agreement" in said


# Logs as they are


def report_of(content: bytes, tmp_path: Path, *options: object, name: str = "calls.jsonl") -> tuple[Any, str]:
    """The report of a small log and what was said."""
    (tmp_path / name).write_bytes(content)
    result = understudies("backtest", tmp_path / name, "--json", tmp_path / "report.json", *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return orjson.loads((tmp_path / "report.json").read_bytes()), result.stdout


def test_broken_lines_of_every_kind_are_skipped_and_named(tmp_path: Path) -> None:
    broken = [
        b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"messages": 5}',
        b"17",
        b'{"messages": [',
        b'{"messages": [{"role": "user", "content": "hi"}]}',
    ]
    odd = [
        b"",
        b"   ",
        orjson.dumps(native(1))[:-1] + b',"latency_ms":NaN}',
        orjson.dumps(native(2, id="same", usage="many", tags=5, temperature="hot")),
        orjson.dumps(native(3, id="same")),
        orjson.dumps(call_logs.build_record("long", "x" * 10_000_000, LABEL)),
    ]
    content = lines(native(0), *broken, *odd, native(4))
    report, said = report_of(content, tmp_path, "--days", 1)
    assert {name: task["calls"] for name, task in report["tasks"].items()} == {"triage": 5, "long": 1}
    assert report["calls"] == 6
    assert [one["line"] for one in report["input"]["broken"]] == [2, 3, 4, 5, 6, 7]
    reasons = [one["reason"] for one in report["input"]["broken"]]
    assert reasons[0].startswith("not UTF-8")
    assert reasons[1] == "nested too deeply"
    assert f"6 lines were skipped; line 2: {reasons[0]}" in said


def test_times_and_counts_that_cannot_be_true_are_left_out(tmp_path: Path) -> None:
    odd = [
        native(6, created=60),
        native(7, created="1970-01-01T00:00:00Z"),
        native(8, created="2001-01-01T00:00:00Z"),
        native(9, created=1_767_690_000, model="gpt-4o", usage={"prompt_tokens": 1e30, "completion_tokens": 1}),
    ]
    report, said = report_of(lines(*(native(n, created=1_767_600_000 + n * 3600) for n in range(6)), *odd), tmp_path)
    assert (report["calls"], report["cost_before_usd"]) == (10, 0.3)
    assert report["input"]["undated"] == 3
    assert 1 < report["input"]["days"] < 2
    assert "3 calls have no plausible time" in said


def test_relative_times_are_no_times(tmp_path: Path) -> None:
    report, _ = report_of(lines(*(native(number, created=60 + number * 500) for number in range(6))), tmp_path)
    assert 7 < report["input"]["days"] <= 14


def test_of_many_broken_lines_the_first_are_named_and_all_are_counted(tmp_path: Path) -> None:
    report, said = report_of(lines(native(0), *[b"nonsense"] * 50), tmp_path)
    assert (len(report["input"]["broken"]), report["input"]["broken_total"]) == (20, 50)
    assert "50 lines were skipped; line 2: not JSON" in said


def test_a_gzipped_log_is_read_whatever_its_name_and_both_reports_are_written(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    content = gzip.compress(lines(*(native(number) for number in range(6))))
    report, said = report_of(content, tmp_path, "--html", page, "--teacher-price", "0.05", "--seed", 3)
    assert (report["calls"], report["cost_before_usd"], report["seed"]) == (6, 0.3, 3)
    assert "triage" in page.read_text()
    assert f"wrote {page}" in said
    assert 7 < report["input"]["days"] <= 14


def test_a_critical_task_that_no_call_has_is_told(tmp_path: Path) -> None:
    _, said = report_of(lines(native(0)), tmp_path, "--critical", "triage", "--critical", "triagge")
    assert "no recorded call belongs to the critical task 'triagge'" in said
    assert "'triage'" not in said


def test_a_free_teacher_is_no_matter(tmp_path: Path) -> None:
    report, _ = report_of(lines(*(native(number) for number in range(60))), tmp_path, "--teacher-price", "0")
    assert (report["cost_before_usd"], report["cost_after_usd"], report["cost_reduction"]) == (0, 0, None)
    assert report["tasks"]["triage"]["outcome"]["outcome"] == "not_worth_it"


ASKED = [{"role": "system", "content": "Name the queue."}, {"role": "user", "content": "pay me back"}]
ANSWER = {"role": "assistant", "content": LABEL}
FORMS: dict[str, dict[str, Any]] = {
    "openai": {
        "object": "chat.completion",
        "id": "chatcmpl-1",
        "created": 1_767_600_000,
        "model": "gpt-4o",
        "messages": ASKED,
        "choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 10},
    },
    "litellm": {
        "id": "1",
        "call_type": "acompletion",
        "model": "gpt-4o",
        "messages": ASKED,
        "response": {"choices": [{"message": ANSWER}]},
        "response_cost": 0.0026,
        "startTime": 1_767_600_000.0,
        "endTime": 1_767_600_001.0,
    },
    "langfuse": {
        "id": "1",
        "type": "GENERATION",
        "startTime": "2026-01-05T08:00:00Z",
        "endTime": "2026-01-05T08:00:01Z",
        "model": "gpt-4o",
        "input": ASKED,
        "output": ANSWER,
        "calculatedTotalCost": 0.0026,
    },
    "helicone": {
        "request_id": "1",
        "request_created_at": "2026-01-05T08:00:00Z",
        "request_body": {"model": "gpt-4o", "messages": ASKED},
        "response_body": {"model": "gpt-4o", "choices": [{"message": ANSWER}]},
        "cost_usd": 0.0026,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_logs_of_other_tools_are_played(tmp_path: Path, form: str) -> None:
    name = "request_id" if form == "helicone" else "id"
    records = [FORMS[form] | {name: f"call-{number}"} for number in range(3)]
    # The last one is in the log twice, as after an export that was taken up again.
    report, _ = report_of(lines(*records, records[-1]), tmp_path)
    assert report["input"]["format"] == form
    (task,) = report["tasks"].values()
    assert task["calls"] == report["calls"] == 3
    assert task["cost_before_usd"] == pytest.approx(3 * 0.0026, rel=0.01)


def test_answers_that_are_always_the_same_and_prices_that_are_assumed_are_told(tmp_path: Path) -> None:
    asked = [native(n, response="not shown here") for n in range(40)]
    overloaded = native(41, error={"message": "overloaded"})
    report, said = report_of(lines(*asked, overloaded, native(42, status=500)), tmp_path)
    warnings = " ".join(report["input"]["warnings"])
    assert "all 40 answers are 'not shown here', for 40 different inputs" in warnings
    assert "$0.03 a call is assumed" in warnings
    assert [reason["lines"] for reason in report["input"]["broken_by_reason"]] == [2]
    assert "2 lines were skipped; line 41: the call failed: overloaded" in said


def test_a_folder_of_records_of_ones_own_is_read_by_a_map(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for day in range(2):
        rows = [{"q": f"note {n}", "a": {"text": "yes" if n % 2 else "no"}} for n in range(5)]
        (folder / f"{day}.jsonl").write_bytes(lines(*rows, {"q": None}))
    mapped = ("--map", "messages=$.q", "--map", "answer=$.a.text", "--days", 1)
    done = understudies("backtest", folder, *mapped, "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    report = orjson.loads((tmp_path / "r.json").read_bytes())
    assert (report["calls"], report["input"]["format"]) == (10, "mapped")
    assert [line["file"] for line in report["input"]["broken"]] == ["0.jsonl", "1.jsonl"]
    assert "--map takes one of messages" in failed(understudies("backtest", folder, "--map", "question=$.q"))
