"""`understudies up` on a folder that was copied or renamed: what was in force serves there."""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.e2e.test_up_restart import PATIENT, REFUND, ask
from tests.e2e.test_up_status import status
from tests.support.commands import openai_client, query_store, up_command
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student


def readiness(url: str) -> dict[str, Any]:
    with urlopen(url.removesuffix("/v1") + "/readyz") as response:
        found: dict[str, Any] = json.load(response)
    return found


@pytest.mark.parametrize("absolute", [False, True], ids=["as written now", "as an earlier version wrote it"])
async def test_a_promoted_student_serves_from_a_copy_of_its_folder(tmp_path: Path, absolute: bool) -> None:
    first, second = tmp_path / "first", tmp_path / "other" / "second"
    await write_promoted_student(first, absolute=absolute)
    async with FakeTeacher("refund") as teacher:
        async with up_command(first, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 1") == "student"
            assert await running.terminate() == 0
        shutil.copytree(first, second, symlinks=True)
        shutil.rmtree(first)
        async with up_command(second, teacher.url, env=PATIENT) as running:
            url = await running.wait_router_url()
            async with openai_client(url) as agent:
                assert await ask(agent, f"{REFUND} 2") == "student"
            assert readiness(url)["students_not_loaded"] == {}
            assert await running.terminate() == 0
        assert "Traceback" not in running.output
        assert "ERROR" not in running.output
    served = await query_store(second, "SELECT served_by, count() AS n FROM invocations FINAL GROUP BY served_by")
    assert {row["served_by"]: row["n"] for row in served}["student"] == 2


async def test_a_student_in_force_whose_files_are_gone_is_named_by_the_readiness(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as running:
            await running.wait_router_url()
            assert await running.terminate() == 0
        shutil.rmtree(tmp_path / "artifacts" / "artifacts")
        async with up_command(tmp_path, teacher.url, env=PATIENT) as running:
            url = await running.wait_router_url()
            async with openai_client(url) as agent:
                assert await ask(agent, f"{REFUND} 1") == "teacher"
            (told,) = readiness(url)["students_not_loaded"].items()
            (beside,) = (await status(tmp_path))["tasks"]
            assert await running.terminate() == 0
        (after,) = (await status(tmp_path))["tasks"]
    assert told[0] == STUDENT
    for text in (told[1], beside["not_loaded"], beside["waits_for"], after["not_loaded"], after["waits_for"]):
        assert "cannot read" in text
