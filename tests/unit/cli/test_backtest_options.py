from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudies.cli.backtest import trainer_settings
from understudies.cli.main import app
from understudies.runtime.errors import ConfigurationError
from understudies.trainer.settings import TrainerSettings


def test_the_kinds_of_student_and_the_base_reach_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = trainer_settings("classifier, lora", "/models/small", "cpu")
    assert settings.kinds == ("classifier", "lora")
    assert (settings.lora.base, settings.lora.device) == ("/models/small", "cpu")
    monkeypatch.setenv("UNDERSTUDIES_LORA_BASE", "/models/other")
    assert trainer_settings("lora", None, None).lora.base == "/models/other"
    assert trainer_settings(None, None, None).kinds == TrainerSettings().kinds


def test_unknown_kinds_a_missing_base_and_an_unknown_device_are_refused() -> None:
    for students, base, device, reason in (
        ("lora,oracle", "/models/small", None, "--students must name some of"),
        (",", None, None, "--students must name some of"),
        ("decision", None, None, "set UNDERSTUDIES_TRAINER_DECISION_ENDPOINT"),
        ("classifier,prompt_optimised", None, None, "set UNDERSTUDIES_PROMPTS_ENDPOINT"),
        ("api_fine_tune", None, None, "set UNDERSTUDIES_FINE_TUNING_ENDPOINT"),
        ("lora", None, None, "give --base FOLDER"),
        ("lora", "/models/small", "abacus", "--device"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            trainer_settings(students, base, device)


def test_the_command_ends_before_the_replay(tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    calls.write_text("")
    result = CliRunner().invoke(app, ["backtest", str(calls), "--students", "lora"])
    assert result.exit_code == 2
    assert "LoRA students need a base model" in result.output


def test_the_demo_trains_lora_students_only_where_a_base_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[TrainerSettings | None] = []
    monkeypatch.setattr(
        "understudies.cli.demo.run_backtest", lambda calls, **options: chosen.append(options["trainer"])
    )
    for given in ([], ["--lora", "/models/small"]):
        result = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path), *given])
        assert result.exit_code == 0, result.output
    [usual, with_lora] = chosen
    assert usual is None
    assert with_lora is not None
    assert with_lora.kinds == ("classifier", "extractor", "lora")
    assert with_lora.lora.base == "/models/small"
