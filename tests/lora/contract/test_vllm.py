"""What is vLLM's own: other processes at the same server, replicas, and what it would take without a word."""

import asyncio
from pathlib import Path

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.datasets import intents
from tests.support.lora_adapters import adapter_files, write_files
from tests.support.lora_engines import PREFIX
from tests.support.lora_students import question, served, student
from tests.support.tcp_proxy import TcpProxy

from understudies.datasets.errors import ArtifactError
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer, StudentError, student_cost
from understudies.students.lora.engines import create_engine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.students.lora.vllm import VllmEngine
from understudies.students.lora.vllm_api import VllmApi
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.lora.trainer import train_lora
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TrainedStudent, TrainingData

ASKED = [question(f"order {word} please 5") for word in ("one", "two", "three")]


def engine_of(url: str, folder: Path, **settings: object) -> VllmEngine:
    options = {"answer_timeout_s": 120, "restart_delay_s": 0.01, **settings}
    return VllmEngine(LoraServingSettings.model_validate({"vllm_url": url, "vllm_adapters": folder, **options}))


async def test_an_adapter_that_another_process_unloaded_is_loaded_again_by_the_call_that_finds_out(
    contract_base: Path, adapters: list[dict[str, bytes]], vllm_url: str, tmp_path: Path
) -> None:
    engines = [engine_of(vllm_url, tmp_path) for _ in range(2)]
    here, there = (student(contract_base, adapters[0], engine) for engine in engines)
    for _ in range(2):
        answers = await asyncio.gather(here.answer(ASKED), there.answer(ASKED))
        assert [[one.text for one in some] for some in answers] == [["1", "2", "3"]] * 2
        await there.close()
    assert [answer.text for answer in await here.answer(ASKED)] == ["1", "2", "3"]
    for engine in engines:
        await engine.close()


async def test_more_adapters_than_the_server_keeps_in_memory_are_read_again_from_their_folders(
    contract_base: Path, vllm_url: str, tmp_path: Path
) -> None:
    engine = engine_of(vllm_url, tmp_path, adapters=12)
    some = [student(contract_base, adapter_files(seed), engine) for seed in range(10)]
    first = [(await one.answer(ASKED[:1]))[0].text for one in some]
    again = [(await one.answer(ASKED[:1]))[0].text for one in some]
    assert again == first
    assert len(set(first)) > 5
    assert await VllmApi(vllm_url, None, 30).is_healthy()
    await engine.close()


async def test_a_name_that_stands_for_another_path_is_not_asked(
    contract_base: Path, adapters: list[dict[str, bytes]], vllm_url: str, tmp_path: Path
) -> None:
    adapter = served(contract_base, adapters[0], "vllm")
    api = VllmApi(vllm_url, None, 60)
    elsewhere = write_files(tmp_path / "elsewhere", adapters[1])
    await api.load(f"{PREFIX}{adapter.name}", str(elsewhere))
    engine = engine_of(vllm_url, tmp_path / "adapters")
    with pytest.raises(ArtifactError, match=r"is loaded from .*elsewhere.* instead of"):
        async with engine.route(adapter):
            pass
    await api.unload(f"{PREFIX}{adapter.name}")
    await engine.close()


async def test_an_adapter_too_large_for_the_server_is_refused_in_its_words(
    contract_base: Path, vllm_url: str, tmp_path: Path
) -> None:
    engine = engine_of(vllm_url, tmp_path)
    with pytest.raises(ArtifactError, match="LoRA rank 32 is greater than max_lora_rank 16"):
        await student(contract_base, adapter_files(1, rank=32), engine).answer(ASKED)
    await engine.close()


async def test_a_folder_that_the_server_does_not_see_is_named_with_the_remedy(
    contract_base: Path, adapters: list[dict[str, bytes]], vllm_url: str, tmp_path: Path
) -> None:
    engine = engine_of(vllm_url, tmp_path, vllm_adapters_mount="/nowhere/adapters")
    with pytest.raises(StudentError, match="UNDERSTUDIES_LORA_VLLM_ADAPTERS_MOUNT"):
        await student(contract_base, adapters[0], engine).answer(ASKED)
    await engine.close()


def test_a_student_is_trained_validated_priced_and_served_by_vllm(
    contract_base: Path, vllm_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDIES_LORA_VLLM_URL", vllm_url)
    monkeypatch.setenv("UNDERSTUDIES_LORA_VLLM_ADAPTERS", str(tmp_path))
    chosen = {"rank": 8, "learning_rate": 1e-2, "epochs": 8, "batch_tokens": 1024, "evaluate_every": 20, "threads": 1}
    settings = LoraTrainingSettings.model_validate(
        {"base": str(contract_base), "serving_usd_per_hour": "3.6", "validation_examples": 12, **chosen}
    )
    names = {"refund": "A", "card arrival": "B", "change pin": "C"}
    dataset = intents(240, lambda intent, _: assistant_message(names[intent]))
    trained = train_lora(
        TrainingData(dataset, parse_judge("exact"), 1), TrainerSettings(kinds=("lora",), lora=settings)
    )
    assert isinstance(trained, TrainedStudent)
    assert sum(call.agreed for call in trained.validation_calls) >= 0.9 * len(trained.validation_calls)
    measured = trained.metrics["serving"]
    assert isinstance(measured, dict)
    speed = measured["answers_per_s"]
    assert isinstance(speed, float)
    # An hour costs 3.6 dollars, and so a second 0.001.
    assert float(trained.answer_cost_usd) == pytest.approx(0.001 / speed, rel=0.1)

    engine = create_engine()
    assert isinstance(engine, VllmEngine)
    student = LoraStudent.from_files(trained.files, engine)
    assert student.manifest.engine == "vllm"

    async def answer() -> Answer:
        try:
            return (await student.answer([dataset.examples[0].request]))[0]
        finally:
            await engine.close()

    answered = asyncio.run(answer())
    assert answered.text == dataset.examples[0].answer.text
    cost = student_cost(student, answered.usage)
    assert cost is not None
    assert float(cost) == pytest.approx(float(trained.answer_cost_usd), rel=0.5)


async def test_a_replica_that_ends_leaves_its_calls_to_the_others_until_it_is_back(
    contract_base: Path, adapters: list[dict[str, bytes]], vllm_url: str, tmp_path: Path
) -> None:
    async with TcpProxy(vllm_url.removeprefix("http://")) as first, TcpProxy(first.target) as second:
        urls = f"http://{first.address},http://{second.address}"
        engine = engine_of(urls, tmp_path, restart_delay_s=60)
        one = student(contract_base, adapters[0], engine)
        await asyncio.gather(*(one.answer(ASKED) for _ in range(4)))
        assert first.connection_count
        assert second.connection_count
        await first.set_state("refused")
        answered = 0
        for _ in range(6):
            try:
                answered += [answer.text for answer in await one.answer(ASKED)] == ["1", "2", "3"]
            except StudentError:
                # The call that found out.
                continue
        assert answered >= 5
        assert engine.is_healthy()
        await second.set_state("refused")
        for _ in range(2):
            with pytest.raises(StudentError):
                await one.answer(ASKED)
        assert not engine.is_healthy()
        await second.set_state("open")
        await engine.close()
