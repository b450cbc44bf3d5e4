import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import START

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import CANONICAL_FORM
from understudies.students.artifact import Consent, Manifest, find_artifact, read_artifact, write_artifact

CONTENT = {"weights.bin": b"\x00\x01", "model/terms.json": b"[]"}


def manifest(**changed: Any) -> Manifest:
    known: dict[str, Any] = {
        "kind": "classifier",
        "task": "triage",
        "student": "triage@1",
        "created": START,
        "dataset_digest": "d" * 64,
        "splits": {"train": 70},
        "teachers": ("teacher-1",),
        "consent": Consent(distillation=True),
        "seconds": 1.5,
    }
    return Manifest(**{**known, **changed})


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


def folder(files: ObjectStore, artifact: str) -> Path:
    return Path(files.root.removeprefix("file://")) / artifact


def test_what_was_written_is_read(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    found, content = read_artifact(files, uri)
    assert content == CONTENT
    assert found.consent.distillation
    assert set(found.files) == set(CONTENT)
    assert uri.endswith(found.address)


def test_an_artifact_from_before_the_canonical_form_was_written_down_is_read(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    path = folder(files, uri) / "manifest.json"
    known = json.loads(path.read_text())
    assert known.pop("canonical_form") == 1
    path.write_text(json.dumps(known))
    assert read_artifact(files, uri)[0].canonical_form == 1


def test_the_canonical_form_is_part_of_what_a_student_is(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest(canonical_form=CANONICAL_FORM))
    assert uri != write_artifact(files, CONTENT, manifest())
    assert read_artifact(files, uri)[0].canonical_form == CANONICAL_FORM


def test_an_artifact_of_a_later_canonical_form_is_refused(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest(canonical_form=CANONICAL_FORM + 1))
    with pytest.raises(ArtifactError, match="train the student again"):
        read_artifact(files, uri)


def test_a_repeat_gets_the_same_address_however_long_it_took(files: ObjectStore) -> None:
    first = write_artifact(files, CONTENT, manifest())
    again = write_artifact(files, CONTENT, manifest(seconds=99.0, created=START + timedelta(days=1)))
    assert first == again
    assert read_artifact(files, again)[0].seconds == 1.5


def test_other_content_or_another_student_gets_another_address(files: ObjectStore) -> None:
    uris = {
        write_artifact(files, CONTENT, manifest()),
        write_artifact(files, {**CONTENT, "weights.bin": b"\x00\x02"}, manifest()),
        write_artifact(files, CONTENT, manifest(student="triage@2")),
    }
    assert len(uris) == 3


@pytest.mark.parametrize("name", CONTENT)
def test_a_changed_file_is_found_out(files: ObjectStore, name: str) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    (folder(files, uri) / name).write_bytes(b"other")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        read_artifact(files, uri)


@pytest.mark.parametrize("field", ["kind", "student", "files", "dataset_digest"])
def test_a_changed_manifest_is_found_out(files: ObjectStore, field: str) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    path = folder(files, uri) / "manifest.json"
    known = json.loads(path.read_text())
    known[field] = {} if field == "files" else "other"
    path.write_text(json.dumps(known))
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        read_artifact(files, uri)


def test_a_manifest_that_is_none_is_refused(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    (folder(files, uri) / "manifest.json").write_text("[]")
    with pytest.raises(ArtifactError, match="is invalid"):
        read_artifact(files, uri)


def test_a_missing_file_is_named(files: ObjectStore) -> None:
    uri = write_artifact(files, CONTENT, manifest())
    (folder(files, uri) / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.bin"):
        read_artifact(files, uri)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "manifest.json", "a//b", "a\\b", ""])
def test_no_file_leaves_the_folder(files: ObjectStore, name: str) -> None:
    with pytest.raises(ArtifactError, match="is not a valid name"):
        write_artifact(files, {name: b""}, manifest())


def test_an_artifact_is_found_by_task_student_and_digest(files: ObjectStore) -> None:
    first = write_artifact(files, CONTENT, manifest(kind="lora"))
    second = write_artifact(files, CONTENT, manifest(kind="lora", task="refunds", student="refunds@4"))
    write_artifact(files, CONTENT, manifest())
    (folder(files, write_artifact(files, {}, manifest(kind="lora", student="triage@9"))) / "manifest.json").write_text(
        "{"
    )
    assert [find_artifact(files, wanted, "lora") for wanted in ("triage", "triage@1")] == [first, first]
    for digits in (8, 64):
        assert find_artifact(files, second.removeprefix("artifacts/")[:digits], "lora") == second


def test_a_name_of_several_artifacts_or_of_none_is_refused_with_the_choice(files: ObjectStore) -> None:
    with pytest.raises(ArtifactError, match=r"there is no lora student 'triage' in 'file:///[^']+'$"):
        find_artifact(files, "triage", "lora")
    uris = [write_artifact(files, CONTENT, manifest(kind="lora", student=f"triage@{number}")) for number in (1, 2)]
    digests = [uri.removeprefix("artifacts/")[:12] for uri in uris]
    with pytest.raises(ArtifactError, match="names several lora students") as several:
        find_artifact(files, "triage", "lora")
    assert all(f"triage@{number} {digest}" in str(several.value) for number, digest in enumerate(digests, start=1))
    # Fewer digits may be a name.
    with pytest.raises(ArtifactError, match="there is no lora student"):
        find_artifact(files, digests[0][:7], "lora")
