import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.lora_adapters import adapter_files
from tests.support.lora_students import question, served, student

from understudies.datasets.errors import ArtifactError
from understudies.students.base import StudentError
from understudies.students.lora.engine import ServedAdapter
from understudies.students.lora.gguf_adapter import GGUF_FILE
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent

ASKED = question("where is my order")


@pytest.fixture
async def engine(base_folder: Path) -> AsyncIterator[LlamaCppEngine]:
    made = LlamaCppEngine(
        LoraServingSettings(
            base=str(base_folder), slots=4, slot_tokens=256, engine_threads=1, adapters=3, restart_delay_s=0.01
        )
    )
    yield made
    await made.close()


def students(base: Path, engine: LlamaCppEngine, count: int = 3) -> list[LoraStudent]:
    return [student(base, adapter_files(seed), engine) for seed in range(count)]


async def child_of(engine: LlamaCppEngine, adapter: ServedAdapter) -> int:
    async with engine.route(adapter):
        assert engine._server is not None
        return engine._server.pid


async def test_concurrent_requests_over_three_adapters_are_never_mixed_up(
    base_folder: Path, engine: LlamaCppEngine
) -> None:
    some = students(base_folder, engine)
    expected = [(await one.answer([ASKED]))[0] for one in some]
    assert len({answer.text for answer in expected}) == 3
    order = [number * 7 % 3 for number in range(60)]
    answers = await asyncio.gather(*(some[number].answer([ASKED]) for number in order))
    assert [answer.text for [answer] in answers] == [expected[number].text for number in order]
    [first], [second] = await some[0].answer([ASKED]), await some[0].answer([ASKED])
    assert first.confidence == pytest.approx(second.confidence, rel=1e-3)


async def test_a_new_adapter_takes_traffic_while_calls_of_others_are_answered(
    base_folder: Path, engine: LlamaCppEngine
) -> None:
    old, new = students(base_folder, engine, 2)
    [expected] = await old.answer([ASKED])
    before = await child_of(engine, old._served)
    joined = asyncio.ensure_future(new.answer([ASKED]))
    during = []
    while not joined.done():
        during += await old.answer([ASKED])
    [answer] = await joined
    assert answer.text != expected.text
    assert {one.text for one in during} == {expected.text}
    after = await child_of(engine, old._served)
    assert after != before
    assert (await old.answer([ASKED]))[0].text == expected.text


async def test_a_child_is_replaced_only_after_its_last_call(base_folder: Path, engine: LlamaCppEngine) -> None:
    old, new = (served(base_folder, adapter_files(seed)) for seed in (1, 2))
    async with engine.route(old) as route:
        await child_of(engine, new)
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "temperature": 0, **route.fields}
        generation = await route.chat.complete(body)
    assert generation.finish_reason is not None


async def test_the_least_recently_used_adapter_leaves_and_comes_back_when_asked(
    base_folder: Path, engine: LlamaCppEngine
) -> None:
    some = students(base_folder, engine, 4)
    texts = [(await one.answer([ASKED]))[0].text for one in some[:3]]
    await some[0].answer([ASKED])
    await some[3].answer([ASKED])
    assert engine._server is not None
    assert set(engine._server.ids) == {some[number]._served.name for number in (0, 2, 3)}
    assert (await some[1].answer([ASKED]))[0].text == texts[1]


async def test_without_adapters_the_child_ends_and_a_later_call_starts_another(
    base_folder: Path, engine: LlamaCppEngine
) -> None:
    [one] = students(base_folder, engine, 1)
    [answer] = await one.answer([ASKED])
    process = await child_of(engine, one._served)
    await one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert (await one.answer([ASKED]))[0].text == answer.text


async def test_a_crashed_child_is_started_again_with_its_adapters(base_folder: Path, engine: LlamaCppEngine) -> None:
    first, second = students(base_folder, engine, 2)
    texts = [(await one.answer([ASKED]))[0].text for one in (first, second)]
    server = engine._server
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(server._process.wait)
    assert not engine.is_healthy()
    with pytest.raises(StudentError, match="ended by itself"):
        await first.answer([ASKED])
    while True:
        try:
            [answer] = await first.answer([ASKED])
            break
        except StudentError:
            await asyncio.to_thread(os.sched_yield)
    assert answer.text == texts[0]
    assert engine._server is not None
    assert second._served.name in engine._server.ids
    assert (await second.answer([ASKED]))[0].text == texts[1]


async def test_a_truncated_adapter_is_refused_and_the_others_keep_serving(
    base_folder: Path, engine: LlamaCppEngine
) -> None:
    [good] = students(base_folder, engine, 1)
    [expected] = await good.answer([ASKED])
    process = await child_of(engine, good._served)
    files = good._served.files
    bad = replace(good._served, files={**files, GGUF_FILE: files[GGUF_FILE][:2_000]})
    for _ in range(2):
        with pytest.raises(ArtifactError, match="cannot load the adapter"):
            await child_of(engine, bad)
    assert (await good.answer([ASKED]))[0].text == expected.text
    assert await child_of(engine, good._served) == process


async def test_an_adapter_of_another_base_is_refused_and_the_others_keep_serving(
    base_folder: Path, other_base_folder: Path, engine: LlamaCppEngine
) -> None:
    [good] = students(base_folder, engine, 1)
    [expected] = await good.answer([ASKED])
    with pytest.raises(ArtifactError, match="trained on a base with digest"):
        await child_of(engine, served(other_base_folder, adapter_files()))
    assert (await good.answer([ASKED]))[0].text == expected.text


async def test_a_missing_base_is_named() -> None:
    adapter = ServedAdapter({}, "tiny", "0" * 64)
    for base, reason in ((None, "set UNDERSTUDIES_LORA_BASE"), ("/nowhere/at/all", "no base model at")):
        with pytest.raises(ArtifactError, match=reason):
            await child_of(LlamaCppEngine(LoraServingSettings(base=base)), adapter)


async def test_a_caller_that_gives_up_does_not_stop_the_start(base_folder: Path, engine: LlamaCppEngine) -> None:
    [one] = students(base_folder, engine, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await one.answer([ASKED])
    await asyncio.gather(*engine._starts.values())
    assert engine._server is not None
    assert one._served.name in engine._server.ids
