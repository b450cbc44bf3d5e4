"""`understudies export` beside a running `up`, and on its folder afterwards."""

import json
from pathlib import Path

from tests.e2e.test_up_restart import PATIENT, REFUND, ask
from tests.support.commands import Command, openai_client, up_command
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import write_promoted_student

from understudies.datasets.teacher_lineage import terms_of


async def export(data: Path, out: Path, *more: str, task: str = TASK, code: int = 0) -> str:
    async with Command("export", task, "--data", data, "--out", out, *more) as command:
        assert await command.wait_exit() == code, command.output
    return " ".join(command.output.split())


def questions(path: Path) -> list[str]:
    return [json.loads(line)["messages"][-2]["content"] for line in path.read_text().splitlines()]


async def test_the_same_examples_are_exported_beside_a_running_process_and_after_it(tmp_path: Path) -> None:
    data, beside, after = tmp_path / "data", tmp_path / "beside", tmp_path / "after"
    await write_promoted_student(data)
    async with FakeTeacher("refund") as teacher, up_command(data, teacher.url, env=PATIENT) as running:
        async with openai_client(await running.wait_router_url()) as agent:
            for number in range(12):
                await ask(agent, f"{REFUND} {number}")
            told = await export(data, beside)
        assert "no answered call of a task 'nobody'" in await export(data, beside, task="nobody", code=2)
        assert "--format must be one of openai, together" in await export(data, beside, "--format", "csv", code=2)
        assert await running.terminate() == 0
    assert "examples are kept for evidence: do not train on them" in told
    await export(data, after, "--evidence")
    for split in ("train", "validation"):
        assert questions(beside / f"{TASK}.{split}.jsonl") == questions(after / f"{TASK}.{split}.jsonl")
    assert not (beside / f"{TASK}.evidence.jsonl").exists()
    written = [path for path in after.iterdir() if ".lineage" not in path.name]
    found = [text for path in written for text in questions(path)]
    for path in written:
        lineage = [json.loads(line) for line in path.with_suffix(".lineage.jsonl").read_text().splitlines()]
        assert len(lineage) == len(questions(path))
        assert all(one["may_train"] == terms_of(one["teacher"]).may_train and one["terms"] for one in lineage)
    assert len({text for text in found if text.startswith(REFUND)}) == 12
    assert "no store in" in await export(tmp_path / "none", after, code=2)
