"""What every engine of LoRA students does: the same suite for llama.cpp and for vLLM."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.lora_adapters import adapter_files
from tests.support.lora_engines import EngineHarness
from tests.support.lora_students import question, served, student

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.base import ConfidenceTooLow, StudentError
from understudies.students.loader import load_student
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.students.lora.engine import LoraEngine, ServedAdapter
from understudies.students.lora.student import LoraStudent

Files = Mapping[str, bytes]
ONE, TWO, THREE = (question(f"order {word} please 5") for word in ("one", "two", "three"))


def students(base: Path, adapters: list[dict[str, bytes]], engine: LoraEngine) -> list[LoraStudent]:
    return [student(base, files, engine) for files in adapters]


async def texts_of(one: LoraStudent) -> list[str]:
    return [answer.text for answer in await one.answer([ONE, TWO, THREE])]


async def refuse(engine: LoraEngine, adapter: ServedAdapter, reason: str) -> None:
    for _ in range(2):
        with pytest.raises(ArtifactError, match=reason):
            async with engine.route(adapter):
                pass


async def test_two_trained_adapters_answer_side_by_side_each_sure_of_its_own(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    first, second, _ = students(contract_base, adapters, harness.make())
    assert await texts_of(first) == ["1", "2", "3"]
    assert await texts_of(second) == ["C", "B", "A"]
    [answer] = await first.answer([TWO])
    assert 0.9 < answer.confidence <= 1.0
    assert answer.usage.completion_tokens >= 1
    assert answer.usage.prompt_tokens > 5
    assert answer.finish_reason is None


async def test_concurrent_requests_over_three_adapters_are_never_mixed_up(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    some = students(contract_base, adapters, harness.make())
    expected = [(await one.answer([TWO]))[0].text for one in some]
    assert len(set(expected)) == 3
    order = [number * 7 % 3 for number in range(60)]
    answers = await asyncio.gather(*(some[number].answer([TWO]) for number in order))
    assert [answer.text for [answer] in answers] == [expected[number] for number in order]


async def test_a_new_adapter_takes_traffic_while_calls_of_others_are_answered(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    old, new, _ = students(contract_base, adapters, harness.make())
    assert await texts_of(old) == ["1", "2", "3"]
    joined = asyncio.ensure_future(texts_of(new))
    during = []
    while not joined.done():
        during.append(await texts_of(old))
    assert await joined == ["C", "B", "A"]
    assert all(texts == ["1", "2", "3"] for texts in during)


async def test_what_one_adapter_computed_is_never_used_for_another(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    first, second, _ = students(contract_base, adapters, harness.make())
    for _ in range(2):
        # The same prompts each time, so that a prompt cache has them.
        assert await texts_of(first) == ["1", "2", "3"]
        await first.close()
        assert await texts_of(second) == ["C", "B", "A"]
        await second.close()


def test_no_name_stands_for_two_adapters_or_two_bases(contract_base: Path, adapters: list[dict[str, bytes]]) -> None:
    first, second = (served(contract_base, files) for files in adapters[:2])
    rescaled = {**first.files, CONFIG_FILE: first.files[CONFIG_FILE].replace(b'"lora_alpha": ', b'"lora_alpha":  ')}
    assert rescaled != first.files
    names = {one.name for one in (first, second, replace(first, base_digest="0" * 64), replace(first, files=rescaled))}
    assert len(names) == 4
    assert served(contract_base, adapters[0]).name == first.name


async def test_a_retired_adapter_is_unloaded_and_a_later_call_loads_it_again(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make()
    first, second, _ = students(contract_base, adapters, engine)
    assert await texts_of(first) == ["1", "2", "3"]
    assert await harness.loaded(engine) >= {first._served.name}
    await first.close()
    assert await texts_of(second) == ["C", "B", "A"]
    assert first._served.name not in await harness.loaded(engine)
    assert await texts_of(first) == ["1", "2", "3"]


async def test_the_least_recently_used_adapter_leaves_and_comes_back_when_asked(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make(adapters=2)
    first, second, third = students(contract_base, adapters, engine)
    await texts_of(first)
    await texts_of(second)
    await texts_of(first)
    await texts_of(third)
    mine = {one._served.name for one in (first, second, third)}
    assert await harness.loaded(engine) & mine == {first._served.name, third._served.name}
    assert await texts_of(second) == ["C", "B", "A"]


async def test_an_engine_that_failed_is_reported_and_serves_again(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make()
    assert engine.is_healthy()
    first, _, _ = students(contract_base, adapters, engine)
    await texts_of(first)
    await harness.break_down(engine)
    with pytest.raises(StudentError):
        await first.answer([ONE])
    await harness.mend()
    while True:
        try:
            assert await texts_of(first) == ["1", "2", "3"]
            break
        except StudentError:
            await asyncio.sleep(0)
    assert engine.is_healthy()


async def test_an_answer_follows_the_schema_that_the_request_asks_for(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema, "strict": True}}
    one = students(contract_base, adapters, harness.make())[0]
    [answer] = await one.answer([question("order one please 5", response_format=form, max_tokens=150)])
    assert answer.text.lstrip().startswith("{")
    if answer.finish_reason is None:
        assert json.loads(answer.text)["mood"] in ("good", "bad")


async def test_an_answer_is_given_up_as_soon_as_it_cannot_be_sure_enough(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    *_, random = students(contract_base, adapters, harness.make())
    [whole] = await random.answer([ONE])
    with pytest.raises(ConfidenceTooLow) as low:
        await random.answer_until(ONE, 0.999)
    assert 0 < low.value.usage.completion_tokens < whole.usage.completion_tokens


async def test_an_adapter_of_another_base_is_refused_and_the_old_one_keeps_serving(
    contract_base: Path, contract_other_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make()
    old = students(contract_base, adapters, engine)[0]
    assert await texts_of(old) == ["1", "2", "3"]
    other = served(contract_other_base, adapters[1], harness.kind)
    await refuse(engine, other, f"trained on a base with digest {other.base_digest[:12]!r}")
    assert await texts_of(old) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda files: {**files, WEIGHTS_FILE: files[WEIGHTS_FILE][:2_000]}, "damaged or truncated"),
        (lambda files: {**files, "adapter_model.bin": b"\x80\x04N."}, "'adapter_model.bin' is a pickle"),
        (lambda _: adapter_files(1, modules_to_save=["lm_head"]), "modules_to_save .* would not be served"),
        (lambda _: adapter_files(1, layers=4), "for a base of 4 layers"),
        (lambda _: adapter_files(1, use_dora=True), "DoRA"),
        (lambda _: adapter_files(1, base_model_name_or_path="org/other"), "trained on the base 'org/other'"),
    ],
    ids=["truncated", "pickle", "modules_to_save", "another shape", "dora", "another base"],
)
async def test_what_cannot_be_served_is_refused_by_name_and_the_old_student_keeps_serving(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness, spoil: Any, reason: str
) -> None:
    engine = harness.make()
    old = students(contract_base, adapters, engine)[0]
    assert await texts_of(old) == ["1", "2", "3"]
    files = {**old.to_files(), **spoil(old.to_files())}
    with pytest.raises(ArtifactError, match=reason):
        LoraStudent.from_files(files, engine)
    assert await texts_of(old) == ["1", "2", "3"]


async def test_a_path_outside_the_registry_is_refused_and_the_old_student_keeps_serving(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness, tmp_path: Path
) -> None:
    engine = harness.make()
    old = students(contract_base, adapters, engine)[0]
    assert await texts_of(old) == ["1", "2", "3"]
    store = ObjectStore(f"file://{tmp_path / 'artifacts'}")
    manifest = Manifest.model_validate(
        {"kind": "lora", "task": "t", "student": "t@1", "created": "2026-01-05T00:00:00Z", "dataset_digest": ""}
    )
    with pytest.raises(ArtifactError, match="not a valid name of a file"):
        write_artifact(store, {**old.to_files(), "../elsewhere.gguf": b""}, manifest)
    uri = write_artifact(store, old.to_files(), manifest)
    shutil.copytree(tmp_path / "artifacts", tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"'\.\./elsewhere/"):
        load_student(store, f"../elsewhere/{uri}", engine=engine)
    assert isinstance(load_student(store, uri, engine=engine), LoraStudent)
    assert await texts_of(old) == ["1", "2", "3"]


async def test_a_student_validated_with_another_engine_is_refused(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make()
    one = students(contract_base, adapters, engine)[0]
    other = "vllm" if harness.kind == "llama.cpp" else "llama.cpp"
    files = one.to_files()
    files["lora.json"] = files["lora.json"].replace(
        f'"engine": "{harness.kind}"'.encode(), f'"engine": "{other}"'.encode()
    )
    with pytest.raises(ArtifactError, match=f"validated with {other}.*UNDERSTUDIES_LORA_VLLM_URL"):
        LoraStudent.from_files(files, engine)


async def test_a_caller_that_gives_up_does_not_stop_the_loading(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> None:
    engine = harness.make()
    one = students(contract_base, adapters, engine)[1]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await one.answer([ONE])
    assert await texts_of(one) == ["C", "B", "A"]
    assert one._served.name in await harness.loaded(engine)
