"""`understudies erase` beside a running `up`, and on its folder afterwards."""

from pathlib import Path

from tests.e2e.test_up_restart import PATIENT, REFUND, ask
from tests.support.commands import Command, openai_client, query_store, up_command
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student

CALLS = f"SELECT count() AS n FROM invocations FINAL WHERE position(request, '{REFUND} {{}}') > 0"
ASKED = "SELECT DISTINCT task, steering.by AS by FROM promotions FINAL WHERE steering.action = 'retrain'"


async def erase(data: Path, *more: str, code: int = 0) -> str:
    async with Command("erase", "--data", data, "--why", "contract ended", "--by", "ada", *more) as command:
        assert await command.wait_exit() == code, command.output
    return command.output


async def count(data: Path, number: int) -> int:
    """How many calls ask this."""
    return int((await query_store(data, CALLS.format(number)))[0]["n"])


async def test_calls_are_erased_beside_a_running_process_and_after_it(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                for number in range(3):
                    await ask(agent, f"{REFUND} {number}")
                shown = await erase(tmp_path, "--tenant", "default")
                assert f"learned from them: {STUDENT}, promoted" in shown
                assert f"new students would be asked for: {TASK}" in shown
                assert shown.splitlines()[-1] == "nothing was changed: --yes erases"
                erased = await erase(tmp_path, "--tenant", "default", "--yes")
                assert f"new students are asked for: {TASK}" in erased
                await ask(agent, f"{REFUND} 4")
            assert "name a tenant" in await erase(tmp_path, code=2)
            assert await running.terminate() == 0
        assert [await count(tmp_path, number) for number in (0, 1, 2)] == [0, 0, 0]
        assert await count(tmp_path, 4) > 0
        assert await query_store(tmp_path, ASKED) == [{"task": TASK, "by": "ada"}]
        assert "recorded as erasure" in await erase(tmp_path, "--tenant", "default", "--yes")
    assert await count(tmp_path, 4) == 0
    assert (await query_store(tmp_path, "SELECT count() AS n FROM erasures"))[0]["n"] == 2
    assert "no store in" in " ".join((await erase(tmp_path / "none", "--tenant", "default", code=2)).split())
