"""Whatever others send, every reader answers with what it documents; `make fuzz` does the same a million times."""

import random
from pathlib import Path

import pytest
from tests.support.fuzzing import targets

_INPUTS = 150
_NAMES = [*targets(Path())]


@pytest.mark.parametrize("name", _NAMES)
def test_mutated_input_is_read_or_refused(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    for seed in range(_INPUTS):
        target.read(target.make(random.Random(seed)))
