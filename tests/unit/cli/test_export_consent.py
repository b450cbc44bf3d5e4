"""`understudies export` leaves out what may not train."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.datasets import TASK, intents

from understudies.cli import export as module
from understudies.datasets.dataset import Example

CONSENTS = (True, None, False)


def examples() -> Sequence[Example]:
    found = intents(90).examples
    return [one.model_copy(update={"consent": CONSENTS[number % 3]}) for number, one in enumerate(found)]


@pytest.mark.parametrize(("required", "allowed"), [(False, {True, None}), (True, {True})])
def test_refused_examples_are_left_out_and_on_request_those_without_consent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    required: bool,
    allowed: set[bool | None],
) -> None:
    async def read(task: str, folder: Path, url: str | None) -> Sequence[Example]:
        return examples()

    monkeypatch.setattr(module, "_read", read)
    module.export(TASK, "openai", tmp_path, evidence=True, require_consent=required, data=tmp_path)
    files = [path for path in tmp_path.glob("*.jsonl") if ".lineage" not in path.name]
    written = sum(len(path.read_text().splitlines()) for path in files)
    lineage = [json.loads(line) for path in tmp_path.glob("*.lineage.jsonl") for line in path.read_text().splitlines()]
    assert len(lineage) == written
    assert {one["consent"] for one in lineage} == allowed
    assert written == sum(one.consent in allowed for one in examples())
    assert f"left out {90 - written}: they may not train" in capsys.readouterr().out
