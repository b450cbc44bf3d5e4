import os

import pytest

from understudies.students.lora.settings import LoraServingSettings


def test_half_of_the_cores_serve_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (16, 8), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert LoraServingSettings().threads == threads
    assert LoraServingSettings(engine_threads=3).threads == 3
