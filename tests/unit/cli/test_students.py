from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudies.cli.main import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--data", "{folder}/elsewhere"], "there are no artifacts in '{folder}/elsewhere': name the data folder"),
        (["--data", "{folder}"], "there is no lora student 'triage' in 'file://{folder}/artifacts'"),
        (["--artifacts", "nothing://bucket"], "cannot store artifacts at 'nothing://bucket'"),
    ],
)
def test_what_cannot_be_merged_is_one_line_with_the_remedy(tmp_path: Path, options: list[str], expected: str) -> None:
    (tmp_path / "artifacts").mkdir()
    given = [option.format(folder=tmp_path) for option in options]
    result = RUNNER.invoke(app, ["students", "merge", "triage", "--output", str(tmp_path / "merged"), *given])
    assert result.exit_code == 2
    assert expected.format(folder=tmp_path) in result.output
    assert not (tmp_path / "merged").exists()
