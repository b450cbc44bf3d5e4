"""Snapshots survive crashes, and a damaged one is set aside."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import CANONICAL_FORM
from understudies.runtime.errors import StopService
from understudies.runtime.snapshots import SnapshotStore

STATE = {"books": [{"task": "triage", "n": 3}]}
OFFSETS = {("invocations", 0): 12, ("verdicts", 3): 7}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    snapshots = SnapshotStore(tmp_path / "new")
    snapshots.save("budget", STATE, OFFSETS, "life-1")
    loaded = snapshots.load("budget")
    assert loaded is not None
    assert (loaded.state, loaded.offsets, loaded.generation) == (STATE, OFFSETS, "life-1")


def test_a_service_without_a_snapshot_starts_afresh(tmp_path: Path) -> None:
    SnapshotStore(tmp_path).save("budget", STATE, OFFSETS, "")
    assert SnapshotStore(tmp_path).load("evaluator") is None


def test_offsets_of_another_life_of_the_broker_are_ignored(tmp_path: Path) -> None:
    snapshots = SnapshotStore(tmp_path)
    snapshots.save("budget", STATE, OFFSETS, "life-1")
    loaded = snapshots.load("budget")
    assert loaded is not None
    assert loaded.start_offsets("life-1") == OFFSETS
    assert loaded.start_offsets("life-2") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"state":{}}',
        b'{"state":[],"offsets":{},"generation":""}',
        b'{"state":{},"offsets":{"t":1},"generation":""}',
        b'{"state":{},"offsets":7,"generation":""}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_snapshot_is_moved_aside_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "budget.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert SnapshotStore(tmp_path).load("budget") is None
    assert "moved to" in caplog.text
    assert (tmp_path / "budget.corrupt").read_bytes() == content
    assert not (tmp_path / "budget.json").exists()


def saved_with_form(folder: Path, form: int | None) -> SnapshotStore:
    """A snapshot as of a version with another canonical form; None: of one that did not write it down."""
    snapshots = SnapshotStore(folder)
    snapshots.save("budget", STATE, OFFSETS, "life-1")
    path = folder / "budget.json"
    body = json.loads(path.read_text())
    assert body.pop("canonical_form") == CANONICAL_FORM
    path.write_text(json.dumps(body if form is None else {**body, "canonical_form": form}))
    return snapshots


@pytest.mark.parametrize("form", [None, 1])
def test_a_snapshot_of_an_earlier_canonical_form_is_loaded_and_says_what_changed(
    tmp_path: Path, form: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        loaded = saved_with_form(tmp_path, form).load("budget")
    assert loaded is not None
    assert (loaded.state, loaded.offsets, loaded.canonical_form) == (STATE, OFFSETS, 1)
    assert "remove the snapshot" in caplog.text
    SnapshotStore(tmp_path).save("budget", loaded.state, loaded.offsets, "life-1")
    caplog.clear()
    again = SnapshotStore(tmp_path).load("budget")
    assert again is not None
    assert again.canonical_form == CANONICAL_FORM
    assert caplog.text == ""


def test_a_snapshot_of_a_later_canonical_form_is_refused_and_stays(tmp_path: Path) -> None:
    snapshots = saved_with_form(tmp_path, CANONICAL_FORM + 1)
    with pytest.raises(StopService, match="run the version that wrote it"):
        snapshots.load("budget")
    assert (tmp_path / "budget.json").exists()


def test_a_crash_while_saving_leaves_the_old_snapshot(tmp_path: Path) -> None:
    snapshots = SnapshotStore(tmp_path)
    snapshots.save("budget", STATE, OFFSETS, "life-1")
    with pytest.raises(TypeError):
        snapshots.save("budget", {"n": 1, "bad": object()}, OFFSETS, "life-1")
    loaded = snapshots.load("budget")
    assert loaded is not None
    assert loaded.state == STATE


def test_keys_become_strings_and_what_orjson_refuses_is_kept_too(tmp_path: Path) -> None:
    snapshots = SnapshotStore(tmp_path)
    snapshots.save("budget", {"by_hour": {3: 1}, "large": 2**70, "lone": "\ud800"}, OFFSETS, "life-1")
    loaded = snapshots.load("budget")
    assert loaded is not None
    assert loaded.state == {"by_hour": {"3": 1}, "large": 2**70, "lone": "\ud800"}


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(), json_values, max_size=4),
    st.dictionaries(st.tuples(st.sampled_from(["invocations", "drift"]), st.integers(0, 50)), st.integers(0, 2**62)),
    st.text(),
)
def test_any_json_state_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    state: dict[str, Any],
    offsets: dict[tuple[str, int], int],
    generation: str,
) -> None:
    snapshots = SnapshotStore(tmp_path_factory.mktemp("snapshots"))
    snapshots.save("budget", state, offsets, generation)
    loaded = snapshots.load("budget")
    assert loaded is not None
    assert json.dumps(loaded.state) == json.dumps(state)
    assert loaded.offsets == offsets
    assert loaded.generation == generation
