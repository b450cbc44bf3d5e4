"""Where the numbered SQL files are: in the source tree, or inside the installed package."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def _migrations_folder() -> Traversable:
    installed = resources.files("understudies.runtime") / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "deploy" / "clickhouse"


def read_migrations() -> list[tuple[str, str]]:
    """Name and text of every SQL file, in order."""
    files = sorted(
        (file for file in _migrations_folder().iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [(file.name, file.read_text(encoding="utf-8")) for file in files]
