"""`understudies backup` beside a running `up`, and `restore`: what was in force serves, and every call is there."""

import asyncio
from pathlib import Path

from openai import AsyncOpenAI
from tests.e2e.test_up_restart import PATIENT, REFUND, ask, book
from tests.support.commands import Command, openai_client, query_store, up_command, wait_until
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import write_promoted_student

CALLS = "SELECT count() AS n, uniqExact(id) AS ids FROM invocations FINAL WHERE origin = 'live'"
LARGE = 400_000_000


async def run(*arguments: str | Path, code: int = 0) -> str:
    async with Command(*arguments) as command:
        assert await command.wait_exit() == code, command.output
    return " ".join(command.output.split())


async def call_on(agent: AsyncOpenAI, answered: list[str]) -> None:
    """Calls without end."""
    number = 100
    while True:
        number += 1
        answered.append(await ask(agent, f"{REFUND} {number}"))


async def test_a_backup_of_a_busy_process_is_restored_and_serves(tmp_path: Path) -> None:
    data, new, file = tmp_path / "data", tmp_path / "other" / "data", tmp_path / "b.tar"
    new.parent.mkdir()
    await write_promoted_student(data)
    answered: list[str] = []
    async with FakeTeacher("refund") as teacher:
        async with up_command(data, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 1") == "student"
                busy = asyncio.create_task(call_on(agent, answered))
                await wait_until(lambda: len(answered) > 20)
                before = len(answered) + 1
                assert f"wrote {file}" in await run("backup", file, "--data", data)
                after = len(answered)
                busy.cancel()
                await asyncio.gather(busy, return_exceptions=True)
                assert await ask(agent, f"{REFUND} 2") == "student"
            assert "exists" in await run("backup", file, "--data", data, code=2)
            assert not (data / "backup.staging").exists()
            assert await running.terminate() == 0
        assert "restored" in await run("restore", file, "--data", new)
        assert before <= (await query_store(new, CALLS))[0]["n"] <= after + 1
        async with up_command(new, teacher.url, env=PATIENT) as restored:
            async with openai_client(await restored.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 3") == "student"
            assert await restored.terminate() == 0
        stored = (await query_store(new, CALLS))[0]
    assert stored["n"] == stored["ids"]
    assert book(new)["ledger"]["calls"] == stored["n"]
    assert "Traceback" not in running.output + restored.output


async def test_a_backup_that_is_killed_harms_nothing(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar"
    await write_promoted_student(data)
    with (data / "artifacts" / "large").open("wb") as large:
        large.truncate(LARGE)
    async with FakeTeacher("refund") as teacher:
        async with up_command(data, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 1") == "student"
                async with Command("backup", file, "--data", data) as command:
                    await wait_until(lambda: (tmp_path / "b.tar.part").exists())
                    await command.kill()
                assert not file.exists()
                (data / "artifacts" / "large").unlink()
                assert await ask(agent, f"{REFUND} 2") == "student"
                assert "wrote" in await run("backup", file, "--data", data)
            await running.kill()
        async with up_command(data, teacher.url, env=PATIENT) as again:
            async with openai_client(await again.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 3") == "student"
            assert await again.terminate() == 0
    assert not (tmp_path / "b.tar.part").exists()
    assert not (data / "backup.staging").exists()


async def test_a_stopped_folder_is_backed_up_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await write_promoted_student(data)
    await run("backup", tmp_path / "b.tar", "--data", data)
    await run("restore", tmp_path / "b.tar", "--data", tmp_path / "new")
    assert (await query_store(tmp_path / "new", "SELECT count() AS n FROM promotions"))[0]["n"] == 5
    for arguments, told in (
        (("backup", data / "in.tar", "--data", data), "in the data folder"),
        (("backup", tmp_path / "x.tar", "--data", tmp_path / "nothing"), "no data of"),
        (("restore", tmp_path / "none.tar", "--data", tmp_path / "y"), "no whole backup"),
        (("restore", tmp_path / "b.tar", "--data", data), "holds something"),
    ):
        assert told in await run(*arguments, code=2)
