import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.lora_adapters import adapter_files
from tests.support.lora_students import question, student
from tests.support.orders import make_orders

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import request_of
from understudies.judges.registry import parse_judge
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.base import ConfidenceTooLow, StudentError
from understudies.students.calibration import Calibration
from understudies.students.extractor.student import ExtractorStudent
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.students.student_cache import StudentCache
from understudies.students.verifier import Verifier

ASKED = question("where is my order")


@pytest.fixture
def settings(base_folder: Path) -> LoraServingSettings:
    return LoraServingSettings(base=str(base_folder), slots=2, slot_tokens=256, engine_threads=1)


@pytest.fixture
async def one(base_folder: Path, settings: LoraServingSettings) -> AsyncIterator[LoraStudent]:
    made = student(base_folder, adapter_files(), LlamaCppEngine(settings))
    yield made
    await made.close()


async def test_its_confidence_is_the_calibrated_probability_of_the_answer(one: LoraStudent) -> None:
    [answer] = await one.answer([ASKED])
    assert 0 < answer.confidence < 1
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 12
    calibrated = one.with_calibration(Calibration(slope=0.1, lead=0.1, bias=1.0))
    [other] = await calibrated.answer([ASKED])
    assert other.text == answer.text
    assert other.confidence > answer.confidence


async def test_a_verifier_that_contradicts_lowers_its_confidence_and_one_without_an_answer_does_not(
    one: LoraStudent,
) -> None:
    """The tiny base writes noise, which no extractor agrees with."""
    orders = make_orders(240, seed=1)
    verifier = Verifier(ExtractorStudent.fit(orders, parse_judge("json"), seed=1), parse_judge("json"))
    alone = Calibration(slope=0.01, lead=0.01, bias=2.0)
    checked = one.with_calibration(alone.model_copy(update={"confirmation": 2.0, "trust": 1.0}), verifier)
    asked = orders[0].request.model_copy(update={"parameters": {"max_tokens": 12}})
    [before] = await one.with_calibration(alone).answer([asked])
    [after] = await checked.answer([asked])
    assert after.text == before.text
    assert after.confidence < before.confidence - 0.1
    [unknown] = await checked.answer([ASKED])
    [unchecked] = await one.with_calibration(alone).answer([ASKED])
    assert unknown.confidence == pytest.approx(unchecked.confidence, rel=1e-3)
    # It may still be confirmed until it has ended, so it is not given up for the verifier's sake.
    assert (await checked.answer_until(asked, after.confidence * 0.99)).text == after.text


async def test_a_student_that_weighs_a_verifier_is_not_served_without_it(
    one: LoraStudent, settings: LoraServingSettings
) -> None:
    verifier = Verifier(
        ExtractorStudent.fit(make_orders(240, seed=1), parse_judge("json"), seed=1), parse_judge("json")
    )
    files = one.with_calibration(Calibration(trust=1.0), verifier).to_files()
    engine = LlamaCppEngine(settings)
    assert LoraStudent.from_files(files, engine).to_files() == files
    with pytest.raises(ArtifactError, match="a verifier, which is missing"):
        LoraStudent.from_files({name: data for name, data in files.items() if "verifier" not in name}, engine)


async def test_it_is_given_up_as_soon_as_it_can_no_longer_be_sure_enough(one: LoraStudent) -> None:
    [answer] = await one.answer([ASKED])
    with pytest.raises(ConfidenceTooLow) as low:
        await one.answer_until(ASKED, 0.9)
    assert 0 < low.value.usage.completion_tokens < answer.usage.completion_tokens
    with pytest.raises(ConfidenceTooLow, match="more than 3 tokens"):
        await one.answer_until(ASKED, 0.0, max_tokens=3)
    assert (await one.answer_until(ASKED, answer.confidence * 0.9)).text == answer.text


async def test_an_answer_that_does_not_end_is_none_unless_the_caller_set_the_limit(one: LoraStudent) -> None:
    with pytest.raises(StudentError, match="did not end within 12 tokens"):
        await one.answer([question("where is my order", max_tokens=None)])


async def test_an_answer_follows_the_schema_that_the_request_asks_for(one: LoraStudent) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema, "strict": True}}
    [answer] = await one.answer([question("how are you", response_format=form, max_tokens=120)])
    if answer.finish_reason is None:
        assert json.loads(answer.text)["mood"] in ("good", "bad")
    assert answer.text.lstrip().startswith("{")


async def test_images_are_left_to_the_teacher(one: LoraStudent) -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    with pytest.raises(StudentError, match="text and calls of functions alone"):
        await one.answer([request_of({"messages": [image]})])


async def test_students_of_a_cache_share_an_engine_and_answer_as_they_were_saved(
    base_folder: Path, settings: LoraServingSettings, tmp_path: Path
) -> None:
    store = ObjectStore(f"file://{tmp_path}")
    uris, expected = [], []
    for seed in (1, 2):
        made = student(base_folder, adapter_files(seed), LlamaCppEngine(settings))
        manifest = Manifest.model_validate(
            {
                "kind": "lora",
                "task": "t",
                "student": f"t@{seed}",
                "created": "2026-01-05T00:00:00Z",
                "dataset_digest": "",
            }
        )
        uris.append(write_artifact(store, made.to_files(), manifest))
        expected += await made.answer([ASKED])
        await made.close()
    cache = StudentCache(store, lora=settings)
    loaded = [await cache.get(uri) for uri in uris]
    answers = [(await each.answer([ASKED]))[0] for each in loaded]
    assert [answer.text for answer in answers] == [answer.text for answer in expected]
    assert [answer.confidence for answer in answers] == pytest.approx([one.confidence for one in expected], rel=1e-3)
    assert isinstance(loaded[0], LoraStudent)
    assert isinstance(loaded[1], LoraStudent)
    assert loaded[0]._engine is loaded[1]._engine
    await cache.close()


async def test_an_artifact_that_cannot_be_served_is_refused_by_name(base_folder: Path, one: LoraStudent) -> None:
    files = one.to_files()
    engine = LlamaCppEngine(LoraServingSettings())
    for name in ("lora.json", "adapter.gguf", "adapter_model.safetensors"):
        with pytest.raises(ArtifactError, match=name):
            LoraStudent.from_files({key: data for key, data in files.items() if key != name}, engine)
    with pytest.raises(ArtifactError, match="manifest is invalid"):
        LoraStudent.from_files({**files, "lora.json": b"{}"}, engine)
    with pytest.raises(ArtifactError, match="truncated"):
        LoraStudent.from_files({**files, "adapter_model.safetensors": b"\x08"}, engine)
    other = adapter_files(layers=4)
    with pytest.raises(ArtifactError, match="base of 4 layers"):
        LoraStudent.from_files({**files, **other}, engine)
    assert LoraStudent.from_files(files, engine).manifest == one.manifest
