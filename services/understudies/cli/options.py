"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from understudies.runtime import ConfigurationError

S = TypeVar("S", bound=BaseSettings)

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka broker, HOST:PORT.", show_default="UNDERSTUDIES_BUS_BOOTSTRAP")
]
Data = Annotated[Path, typer.Option(help="Folder for snapshots; artifacts too, unless --artifacts names a URL.")]
Artifacts = Annotated[
    str | None, typer.Option(help="Root URL of datasets and artifacts that all services share, such as s3://…")
]
RulesFile = Annotated[
    Path | None,
    typer.Option("--rules", help="Rules per task, such as understudies.toml; read again where it changes."),
]

DATA = Path("understudies-data")


def check_teacher_url(url: str) -> None:
    """Raises ConfigurationError for what is no base URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"--teacher-url {url!r} is no HTTP address; give a base URL such as https://api.openai.com/v1"
        )


def settings_from(kind: type[S], **options: Any) -> S:
    """Settings from the options that are given, else the environment; raises ConfigurationError that names which."""
    try:
        return kind(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        variable = f"{kind.model_config.get('env_prefix', '')}{field.upper()}"
        where = variable if options.get(field) is None else f"--{field.replace('_', '-')}"
        raise ConfigurationError(f"{where}: {first['msg']}") from None
