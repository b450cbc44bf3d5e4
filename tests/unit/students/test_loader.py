import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.datasets import START, example, intents
from tests.support.orders import make_orders

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.judges.registry import parse_judge
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.classifier.student import ClassifierStudent
from understudies.students.decision.student import DecisionStudent
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.exact_match import ExactMatchStudent
from understudies.students.extractor.student import ExtractorStudent
from understudies.students.few_shot.student import FewShotStudent
from understudies.students.loader import load_student

ENDPOINT = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")


def cache() -> ExactMatchStudent:
    return ExactMatchStudent.fit([example("a", assistant_message("x"))], parse_judge("exact"))


def classifier() -> ClassifierStudent:
    data = intents(60)
    return ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=0)


def few_shot() -> FewShotStudent:
    return FewShotStudent.fit(
        intents(30).in_split("train"), parse_judge("label"), endpoint_name="cheap", endpoint=ENDPOINT
    )


def decision() -> DecisionStudent:
    endpoint = ENDPOINT.model_copy(update={"api": "decisions"})
    return DecisionStudent.fit(
        intents(30).in_split("train"), parse_judge("label"), endpoint_name="jury", endpoint=endpoint
    )


def extractor() -> ExtractorStudent:
    return ExtractorStudent.fit(make_orders(60), parse_judge("json"), seed=0)


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


def written(files: ObjectStore, kind: str, content: dict[str, bytes]) -> str:
    manifest = Manifest(kind=kind, task="triage", student="triage@1", created=START, dataset_digest="d")
    return write_artifact(files, content, manifest)


@pytest.mark.parametrize("make", [cache, decision, classifier, extractor, few_shot])
def test_every_kind_is_loaded(
    files: ObjectStore,
    make: Callable[[], ExactMatchStudent | DecisionStudent | ClassifierStudent | ExtractorStudent | FewShotStudent],
) -> None:
    student = make()
    jury = ENDPOINT.model_copy(update={"api": "decisions"})
    declared = EndpointSettings(endpoints={"cheap": ENDPOINT, "jury": jury})
    loaded = load_student(files, written(files, student.kind, student.to_files()), declared)
    assert type(loaded) is type(student)


async def test_a_loaded_student_answers(files: ObjectStore) -> None:
    [answer] = await load_student(files, written(files, "cache", cache().to_files())).answer(
        [user_request("a", system="Name the intent.")]
    )
    assert answer.text == "x"


def test_an_unknown_kind_is_refused(files: ObjectStore) -> None:
    with pytest.raises(ArtifactError, match="unknown kind of student 'oracle'"):
        load_student(files, written(files, "oracle", {}))


def test_an_artifact_elsewhere_is_refused(files: ObjectStore) -> None:
    with pytest.raises(ArtifactError, match="is not under"):
        load_student(files, "file:///elsewhere/artifacts/x")


def test_a_missing_module_names_the_extra(files: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "understudies.students.exact_match":
            raise ModuleNotFoundError(f"No module named {name!r}", name="numpy")
        return real(name, *rest, **more)

    uri = written(files, "cache", cache().to_files())
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ArtifactError, match=r"needs the module 'numpy'; install understudies\[services\]"):
        load_student(files, uri)
