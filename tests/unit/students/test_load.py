import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import START, example, intents
from tests.support.messages import asked, said

from understudies.judges import judge_named
from understudies.students import ArtifactError, Endpoint, Endpoints, Files, Manifest, load_student, write_artifact
from understudies.students.cache import CacheStudent
from understudies.students.classifier_student import ClassifierStudent
from understudies.students.few_shot import FewShotStudent

ENDPOINT = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")


def cache() -> CacheStudent:
    return CacheStudent.fit([example("a", said("x"))], judge_named("exact"))


def classifier() -> ClassifierStudent:
    data = intents(60)
    return ClassifierStudent.fit(data.of("train"), data.of("validation"), seed=0)


def few_shot() -> FewShotStudent:
    return FewShotStudent.fit(intents(30).of("train"), judge_named("label"), endpoint_name="cheap", endpoint=ENDPOINT)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(f"file://{tmp_path}")


def written(files: Files, kind: str, content: dict[str, bytes]) -> str:
    manifest = Manifest(kind=kind, task="triage", student="triage@1", created=START, dataset_digest="d")
    return write_artifact(files, content, manifest)


@pytest.mark.parametrize("make", [cache, classifier, few_shot])
def test_every_kind_is_loaded(
    files: Files, make: Callable[[], CacheStudent | ClassifierStudent | FewShotStudent]
) -> None:
    student = make()
    loaded = load_student(
        files, written(files, student.kind, student.to_files()), Endpoints(endpoints={"cheap": ENDPOINT})
    )
    assert type(loaded) is type(student)


async def test_a_loaded_student_answers(files: Files) -> None:
    [answer] = await load_student(files, written(files, "cache", cache().to_files())).answer(
        [asked("a", system="Name the intent.")]
    )
    assert answer.text == "x"


def test_an_unknown_kind_is_refused(files: Files) -> None:
    with pytest.raises(ArtifactError, match="no student of kind 'oracle' is known"):
        load_student(files, written(files, "oracle", {}))


def test_an_artifact_elsewhere_is_refused(files: Files) -> None:
    with pytest.raises(ArtifactError, match="does not lie under"):
        load_student(files, "file:///elsewhere/artifacts/x")


@pytest.mark.parametrize(("module", "extra"), [("numpy", "services"), ("torch", "encoder")])
def test_a_missing_module_names_the_extra(
    files: Files, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "understudies.students.cache":
            raise ModuleNotFoundError(f"No module named {name!r}", name=module)
        return real(name, *rest, **more)

    uri = written(files, "cache", cache().to_files())
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ArtifactError, match=rf"needs the module '{module}'; install understudies\[{extra}\]"):
        load_student(files, uri)
