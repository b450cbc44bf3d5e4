import io
import json
from pathlib import Path

import numpy as np
import pytest

from understudies.datasets.errors import ArtifactError
from understudies.students.classifier.model import ClassifierModel, fit_classifier

TEXTS = ["open the door", "close the door", "open a window", "close the window", "ouvrez 窓", "shut it"]
LABELS = ["open", "close", "open", "close", "open", "close"]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return fit_classifier(TEXTS, LABELS, seed=0).to_files()


def test_a_model_survives_the_folder(tmp_path: Path) -> None:
    model = fit_classifier(TEXTS, LABELS, seed=0)
    model.save(tmp_path / "student")
    again = ClassifierModel.load(tmp_path / "student")
    asked = [*TEXTS, "please open", "", "別の"]
    labels, confidences = model.predict(asked)
    labels_again, confidences_again = again.predict(asked)
    assert labels_again == labels
    assert np.array_equal(confidences_again, confidences)
    assert again.to_files() == model.to_files()


def test_a_missing_folder_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot read a classifier"):
        ClassifierModel.load(tmp_path)


@pytest.mark.parametrize("name", ["classifier.json", "classifier.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"[]", b"{}", b"PK\x03\x04 not a zip"])
def test_damaged_files_are_artifact_errors(files: dict[str, bytes], name: str, content: bytes) -> None:
    with pytest.raises(ArtifactError):
        ClassifierModel.from_files({**files, name: content})


@pytest.mark.parametrize("name", ["classifier.json", "classifier.npz"])
def test_cut_and_missing_files_are_artifact_errors(files: dict[str, bytes], name: str) -> None:
    with pytest.raises(ArtifactError):
        ClassifierModel.from_files({**files, name: files[name][: len(files[name]) // 2]})
    with pytest.raises(ArtifactError, match="is missing"):
        ClassifierModel.from_files({other: data for other, data in files.items() if other != name})


def test_arrays_of_another_model_are_artifact_errors(files: dict[str, bytes]) -> None:
    other = fit_classifier(["one", "two", "three"], ["1", "2", "3"], seed=0).to_files()
    with pytest.raises(ArtifactError, match="do not contain a classifier"):
        ClassifierModel.from_files({**files, "classifier.npz": other["classifier.npz"]})


def test_another_format_is_an_artifact_error(files: dict[str, bytes]) -> None:
    words = json.loads(files["classifier.json"]) | {"format": 99}
    with pytest.raises(ArtifactError, match="format 99"):
        ClassifierModel.from_files({**files, "classifier.json": json.dumps(words).encode()})


def test_pickled_objects_are_never_loaded(files: dict[str, bytes]) -> None:
    stream = io.BytesIO()
    np.savez(stream, centre=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ArtifactError, match="damaged"):
        ClassifierModel.from_files({**files, "classifier.npz": stream.getvalue()})
