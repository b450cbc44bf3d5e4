"""Define the options that several commands share."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import StoreSettings
from understudies.runtime.settings import settings_from as settings_from

BootstrapOption = Annotated[
    str | None, typer.Option(help="Kafka broker, HOST:PORT.", show_default="UNDERSTUDIES_BUS_BOOTSTRAP")
]
DataOption = Annotated[Path, typer.Option(help="Folder for snapshots, and for artifacts unless --artifacts is given.")]
ArtifactsOption = Annotated[
    str | None, typer.Option(help="Root URL of the datasets and artifacts that all services share, such as s3://…")
]
RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", help="Rules per task, such as understudies.toml; reloaded when the file changes."),
]

DEFAULT_DATA_DIR = Path("understudies-data")


def external_store_url() -> str | None:
    """Return the store URL of the settings; None for the store in the data folder."""
    settings = settings_from(StoreSettings)
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else None


def check_teacher_url(url: str) -> None:
    """Raise ConfigurationError if `url` is not a base URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"--teacher-url {url!r} is not an HTTP URL; give a base URL such as https://api.openai.com/v1"
        )
