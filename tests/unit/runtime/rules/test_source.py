import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.rules.task import TaskRules

CRITICAL = "[tasks.refunds]\ncritical = true\n"
PLAIN = "[tasks.refunds]\ncritical = false\n"
BROKEN = "[tasks.refunds]\ncritcal = true\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "understudies.toml", PLAIN)


@pytest.fixture
def source(path: Path) -> RulesSource:
    return RulesSource(path=path)


def write(path: Path, text: str) -> Path:
    """Replace a file as careful programs do, so that it is another one whatever the clock's grain."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    return fresh.replace(path)


def settled(source: RulesSource) -> bool:
    """What the second look at a file that keeps still finds."""
    return [source.poll(), source.poll()][1]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_change_is_in_force_once_the_file_keeps_still(path: Path, source: RulesSource) -> None:
    assert not source.for_task("refunds").critical
    write(path, CRITICAL)
    assert not source.poll()
    assert not source.for_task("refunds").critical
    assert source.poll()
    assert source.for_task("refunds").critical
    assert source.current() == Rules(tasks={"refunds": TaskRules(critical=True)})


def test_a_file_that_is_being_written_is_left_alone(path: Path, source: RulesSource) -> None:
    for text in ("", "[tasks]\n", CRITICAL):
        write(path, text)
        assert not source.poll()
        assert source.current().tasks
    assert source.poll()
    assert source.reloads == 1


def test_a_file_that_does_not_change_is_not_read_again(source: RulesSource) -> None:
    assert [source.poll() for _ in range(5)] == [False] * 5
    assert source.reloads == 0


def test_the_same_words_again_are_no_change(path: Path, source: RulesSource) -> None:
    write(path, f"# as before\n{PLAIN}")
    assert not settled(source)
    assert (source.reloads, source.last_error) == (0, None)


def test_a_broken_file_keeps_the_rules_and_says_so_once(
    path: Path, source: RulesSource, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, CRITICAL)
    settled(source)
    write(path, BROKEN)
    assert [source.poll() for _ in range(10)] == [False] * 10
    assert source.for_task("refunds").critical
    (said,) = errors(caplog)
    assert "rejected the changed rules" in said
    assert f"{path}: tasks.refunds.critcal: unknown setting, did you mean 'critical'?" in said
    assert source.last_error is not None
    assert source.last_error in said
    assert (source.reloads, source.failed_reloads) == (1, 1)


def test_another_broken_file_is_told_again_and_a_right_one_is_taken(
    path: Path, source: RulesSource, caplog: pytest.LogCaptureFixture
) -> None:
    for text in (BROKEN, "[tasks"):
        write(path, text)
        settled(source)
    assert len(errors(caplog)) == 2
    write(path, CRITICAL)
    assert settled(source)
    assert source.last_error is None
    assert source.for_task("refunds").critical


def test_the_old_file_put_back_ends_the_complaint(path: Path, source: RulesSource) -> None:
    write(path, BROKEN)
    settled(source)
    assert source.last_error is not None
    write(path, PLAIN)
    settled(source)
    assert source.last_error is None


def test_a_file_that_was_emptied_is_an_accident(path: Path, source: RulesSource) -> None:
    write(path, "# nothing here\n")
    assert not settled(source)
    assert source.current().tasks
    assert source.last_error == f"{path}: is now empty; restart to continue without any rules"


def test_a_router_that_asks_for_keys_is_not_opened_by_accident(path: Path) -> None:
    source = RulesSource(path=write(path, f'{PLAIN}[tenants.acme]\nkeys = ["{key_hash(generate_key())}"]'))
    write(path, PLAIN)
    assert not settled(source)
    assert source.current().require_key
    assert source.last_error == (
        f"{path}: tenants: all were removed, so that anyone could call; if this is intended, "
        "set require_key = false under [router]"
    )
    write(path, f"{PLAIN}[router]\nrequire_key = false")
    assert settled(source)
    assert not source.current().require_key


def test_a_file_that_is_gone_keeps_the_rules_until_it_is_back(
    path: Path, source: RulesSource, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    assert [source.poll() for _ in range(5)] == [False] * 5
    assert [f"cannot read the rules in {str(path)!r}" in said for said in errors(caplog)] == [True]
    assert source.current().tasks
    write(path, CRITICAL)
    assert settled(source)


def test_a_config_map_that_is_swapped_is_followed(tmp_path: Path) -> None:
    """Kubernetes puts a new folder beside the old one and swaps a symbolic link above the file."""
    for number, text in (("1", PLAIN), ("2", CRITICAL + " ")):
        (tmp_path / number).mkdir()
        (tmp_path / number / "understudies.toml").write_text(text)
        os.utime(tmp_path / number / "understudies.toml", (1_700_000_000, 1_700_000_000))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "understudies.toml").symlink_to("..data/understudies.toml")
    source = RulesSource(path=tmp_path / "understudies.toml")
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert settled(source)
    assert source.for_task("refunds").critical


def test_on_request_it_is_read_at_once(path: Path, source: RulesSource) -> None:
    write(path, CRITICAL)
    assert source.reload()
    assert source.for_task("refunds").critical
    assert not settled(source)


def test_rules_without_a_file_stay(tmp_path: Path) -> None:
    source = RulesSource(Rules(tasks={"a": TaskRules(critical=True)}))
    assert not source.poll()
    assert not source.reload()
    assert source.for_task("a").critical
    assert RulesSource().current() == Rules()


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tasks\.refunds\.critcal"):
        RulesSource(path=write(tmp_path / "understudies.toml", BROKEN))


# What is built from the rules


def test_what_is_derived_from_the_rules_follows_them(path: Path, source: RulesSource) -> None:
    names = source.derive(lambda rules: sorted(rules.tasks))
    assert names.value == ["refunds"]
    write(path, CRITICAL + "[tasks.triage]\n")
    settled(source)
    assert names.value == ["refunds", "triage"]


def test_a_change_that_something_cannot_be_built_from_changes_nothing(
    path: Path, source: RulesSource, caplog: pytest.LogCaptureFixture
) -> None:
    def keys(rules: Rules) -> int:
        if "triage" in rules.tasks:
            raise ConfigurationError("teacher 'a' reads its key from A_KEY, which is not set")
        return len(rules.tasks)

    first = source.derive(lambda rules: len(rules.tasks))
    second = source.derive(keys)
    write(path, PLAIN + "[tasks.triage]\n")
    assert not settled(source)
    assert (first.value, second.value, len(source.current().tasks)) == (1, 1, 1)
    assert source.last_error == "teacher 'a' reads its key from A_KEY, which is not set"
    assert len(errors(caplog)) == 1


def test_whoever_wants_to_know_is_told_after_the_change(path: Path, source: RulesSource) -> None:
    told: list[tuple[Rules, Rules, int]] = []
    count = source.derive(lambda rules: len(rules.tasks))
    source.subscribe(lambda rules: told.append((rules, source.current(), count.value)))
    write(path, CRITICAL + "[tasks.triage]\n")
    settled(source)
    ((rules, current, value),) = told
    assert rules is current
    assert value == 2


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        (
            "",
            "[router]\nspool_max_bytes = 5",
            ["router.spool_max_bytes has changed, which takes effect at the next start"],
        ),
        ("", "[tasks.a]\nmin_agreement = 0.9", ["tasks.a.min_agreement has changed, which takes effect for students"]),
        (
            "[defaults]\njudge = 'label'",
            "[defaults]\njudge = 'exact'\n[tasks.a]\ncritical = true",
            ["defaults.judge has changed", "tasks.a.judge has changed"],
        ),
        ("", "[tasks.a]\ncritical = true", []),
    ],
)
def test_what_does_not_hold_at_once_is_named(
    path: Path, caplog: pytest.LogCaptureFixture, before: str, after: str, warned: list[str]
) -> None:
    source = RulesSource(path=write(path, before))
    write(path, after)
    assert settled(source)
    assert len(warnings(caplog)) == len(warned)
    assert all(said.startswith(beginning) for said, beginning in zip(warnings(caplog), warned, strict=True))


# In a running process


@contextmanager
def handler_of_hangups() -> Iterator[list[int]]:
    """Stands where the process would be ended by SIGHUP."""
    met: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: met.append(number))
    try:
        yield met
    finally:
        signal.signal(signal.SIGHUP, before)


async def changed(source: RulesSource, cause: Path) -> Rules:
    news: asyncio.Future[Rules] = asyncio.get_running_loop().create_future()
    source.subscribe(news.set_result)
    write(cause, CRITICAL)
    async with asyncio.timeout(30):
        return await news


async def test_a_running_process_follows_its_file(path: Path, source: RulesSource) -> None:
    async with source.watch(0.001):
        assert (await changed(source, path)).for_task("refunds").critical
    assert source.for_task("refunds").critical


async def test_a_hangup_makes_it_read_at_once(path: Path, source: RulesSource) -> None:
    with handler_of_hangups() as met:
        async with source.watch(3600):
            news = asyncio.ensure_future(changed(source, path))
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGHUP)
            assert (await news).for_task("refunds").critical
        assert met == []


async def test_without_a_file_there_is_nothing_to_follow() -> None:
    async with RulesSource().watch(3600):
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_follows_no_longer_than_the_block(source: RulesSource) -> None:
    async with source.watch(0.001):
        pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_tenants_that_share_their_tasks_unsaid_are_named_at_the_start_and_once_they_change(
    path: Path, source: RulesSource, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, "[tenants.acme]\nkeys = []\n[tenants.bolt]\nkeys = []\n")
    assert source.reload()
    async with source.watch(3600):
        assert [text.partition(" share")[0] for text in warnings(caplog)] == ["tenants acme, bolt"] * 2
        write(path, "[tenants.acme]\nkeys = []\n[tenants.bolt]\nkeys = []\nown_tasks = true\n")
        assert source.reload()
        write(path, "[tenants.acme]\nkeys = []\nown_tasks = true\n[tenants.bolt]\nkeys = []\nown_tasks = true\n")
        assert source.reload()
    assert [text.partition(" share")[0] for text in warnings(caplog)] == ["tenants acme, bolt"] * 2 + ["tenants acme"]
