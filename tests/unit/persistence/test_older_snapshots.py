"""Snapshots that an earlier version wrote are read whole: what they hold is in the restored state.

The file holds the state of four services on two generated logs, at 5e80def: a student restricted after its teacher's
model changed, with withheld answers, and one with head inputs; long lists were cut. It stays as it is: a form that
changes later is read by a migration, which this test then sees.
"""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from understudies.budget.task_state import TaskState
from understudies.evaluator.trial import Trial
from understudies.persistence.saved_state import SavedState
from understudies.router.routing.table import RoutingTable
from understudies.runtime.bus.outbox import Outbox

_UTC = re.compile(r"(\d\d:\d\d:\d\d(\.\d+)?)\+00:00$")
_WRITTEN = json.loads(gzip.decompress((Path(__file__).parent / "snapshots_2026_11_28.json.gz").read_bytes()))

_DROPPED = {"reduced_since"}
"""Keys of values that no version needs any more: since when a task's students had less than the full share."""

Read = Callable[[Any], list[tuple[type[SavedState], Any]]]

_READERS: dict[str, Read] = {
    "trials": lambda state: [(Trial, trial) for trial in state["evaluator"]["state"]["trials"]],
    "tasks": lambda state: [(TaskState, task) for task in state["budget"]["state"]["books"]],
    "outboxes": lambda state: [(Outbox, state[name]["state"]["outbox"]) for name in ("evaluator", "budget", "trainer")],
    "table": lambda state: [(RoutingTable, state["router"]["state"]["table"])],
}


@pytest.mark.parametrize("log", range(len(_WRITTEN)))
@pytest.mark.parametrize("part", _READERS)
def test_all_that_an_earlier_version_wrote_is_restored(log: int, part: str) -> None:
    parts = _READERS[part](_WRITTEN[log])
    assert parts
    for cls, written in parts:
        restored = cls.from_state(written)
        assert _find_lost(written, restored.state()) == []
        assert cls.from_state(json.loads(json.dumps(restored.state()))).state() == restored.state()


def test_the_comparison_sees_what_is_lost() -> None:
    (written, *_) = _WRITTEN[0]["budget"]["state"]["books"]
    restored = TaskState.from_state(written)
    restored.ledger.calls += 1
    restored.self_compared += 1
    assert _find_lost(written, restored.state()) == ["ledger.calls", "self_asked"]


def _find_lost(written: Any, restored: Any, place: str = "") -> list[str]:
    """Return the places whose value is not restored; keys that later versions add are not looked at."""
    if isinstance(written, dict) and isinstance(restored, dict):
        if place.endswith("copies"):
            # Words and days of a group were together.
            written = {**written, "words": {n: words for n, (words, _) in written["groups"].items()}}
            written["days"] = {n: days for n, (_, days) in written.pop("groups").items()}
        if "traffic" in written:
            # How often a trial's student is sure was part of the trial itself.
            restored = {**restored, **restored.get("confident_share", {})}
        steps = [
            (f"{place}.{key}".lstrip("."), value, restored.get(key))
            for key, value in written.items()
            if key not in _DROPPED
        ]
    elif isinstance(written, list) and isinstance(restored, list) and len(written) == len(restored):
        steps = [(f"{place}[{i}]", *both) for i, both in enumerate(zip(written, restored, strict=True))]
    else:
        return [] if _form(written) == _form(restored) else [place]
    return [lost for inner, old, new in steps for lost in _find_lost(old, new, inner)]


def _form(value: Any) -> Any:
    return _UTC.sub(r"\1Z", value) if isinstance(value, str) else value
