"""Generated contracts are fresh, and samples of every published version stay readable."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.event_samples import OF_VERSION_1, SAMPLES

from understudies.events import TOPICS, Event, encode, topic_of
from understudies.events import export as generated

SCHEMAS = Path(__file__).parents[2] / "schemas"
GOLDEN = SCHEMAS / "samples"
VERSIONS = {"v1": OF_VERSION_1, "v2": SAMPLES}
WRITTEN = [(version, name) for version, events in VERSIONS.items() for name in sorted(events)]


def _refs(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_refs, node.values()))
    return set().union(*map(_refs, node)) if isinstance(node, list) else set()


def _resolve(document: Any, ref: str) -> Any:
    for step in ref.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_generated_files_are_fresh() -> None:
    assert generated.find_stale_files(SCHEMAS) == [], "run `python -m understudies.events.export`"


def test_no_schema_is_left_over_from_a_topic_that_is_gone() -> None:
    assert {f"json/{file.name}" for file in (SCHEMAS / "json").iterdir()} < set(generated.render_files())


def test_a_changed_or_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main([str(tmp_path)]) == 0
    assert generated.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "json" / "drift.schema.json").unlink()
    assert generated.main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "asyncapi.json" in said
    assert "drift.schema.json" in said
    assert "verdicts" not in said


def test_generation_is_deterministic() -> None:
    assert generated.render_files() == generated.render_files()


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    document = generated.build_asyncapi()
    refs = _refs(document)
    assert len(refs) > 20
    assert all(_resolve(document, ref) is not None for ref in refs)


def test_the_asyncapi_document_tells_each_topic_with_its_key_and_retention() -> None:
    document = json.loads((SCHEMAS / "asyncapi.json").read_text())
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    promotions = document["channels"]["promotions"]["bindings"]["kafka"]
    assert promotions == {"partitions": 1, "topicConfiguration": {"cleanup.policy": ["compact"]}}
    message = document["components"]["messages"]["Promotion"]
    assert message["bindings"]["kafka"]["key"]["description"].startswith("task/student; ")


@pytest.mark.parametrize(("version", "name"), WRITTEN)
def test_a_sample_of_every_version_is_read_as_it_was_written(version: str, name: str) -> None:
    event = VERSIONS[version][name]
    assert topic_of(event).decode((GOLDEN / version / f"{name}.json").read_bytes()) == event


@pytest.mark.parametrize(("version", "name"), WRITTEN)
def test_nothing_of_a_sample_is_lost_when_it_is_written_again(version: str, name: str) -> None:
    written = json.loads((GOLDEN / version / f"{name}.json").read_text())
    assert _within(written, json.loads(encode(VERSIONS[version][name])))


def _within(part: Any, whole: Any) -> bool:
    """Whether all that is said is said again, whatever fields there are beside it."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_fields_of_a_later_version_are_ignored(name: str) -> None:
    event = SAMPLES[name]
    later = {**json.loads(encode(event)), "of_a_later_version": {"a": [1, {"b": None}]}}
    assert topic_of(event).decode(json.dumps(later).encode()) == event


def test_unknown_fields_deep_inside_are_ignored() -> None:
    event = SAMPLES["invocation"]
    later = json.loads(encode(event))
    for inner in (later["request"], later["response"], later["response"]["message"], later["usage"], later["route"]):
        inner["of_a_later_version"] = 1
    assert topic_of(event).decode(json.dumps(later).encode()) == event


def test_there_is_a_sample_of_every_event_and_no_other() -> None:
    for version, events in VERSIONS.items():
        assert {file.stem for file in (GOLDEN / version).iterdir()} == set(events)
    models = {model for models in generated._MODELS.values() for model in models}
    assert {type(event) for event in SAMPLES.values()} == models


def test_there_are_samples_of_the_versions_that_are_known_and_no_other() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} == set(VERSIONS)


def test_samples_fill_every_field() -> None:
    for event in SAMPLES.values():
        if event is not SAMPLES["invocation_failed"]:
            assert _unfilled(event) <= {"error", "type"}, type(event).__name__


def _unfilled(event: Event) -> set[str]:
    """Fields of an event, and of what it consists of, that nothing was said about."""
    unset = type(event).model_fields.keys() - event.model_fields_set
    parts = [value for value in dict(event).values() if isinstance(value, BaseModel)]
    return unset.union(*(type(part).model_fields.keys() - part.model_fields_set for part in parts))
