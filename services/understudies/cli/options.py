"""Define the options that several commands share."""

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import StoreSettings
from understudies.runtime.settings import settings_from as settings_from

if TYPE_CHECKING:
    from understudies.runtime.rules.rules import Rules
    from understudies.status.access import StatusAccess
    from understudies.status.running import RunningProcess

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
StandbyOption = Annotated[
    bool,
    typer.Option(
        "--standby", help="If another process uses the data folder, wait, and take over its state when it ends."
    ),
]

PartitionedOption = Annotated[
    bool,
    typer.Option(
        "--partitioned",
        help="Share the work by task with others started so on the same data folder: each owns some partitions.",
    ),
]

InPlaceOfOption = Annotated[
    str | None,
    typer.Option(
        "--in-place-of",
        help="Begin without the state of a data folder of copies that is lost, by its id as the refusal names it.",
        show_default=False,
    ),
]

ServeOption = Annotated[bool, typer.Option("--serve", help="Show the result in the console afterwards, until Ctrl-C.")]
ServePortOption = Annotated[
    int, typer.Option("--port", help="Port of that console on 127.0.0.1; 0 takes any free one.", min=0, max=65535)
]

DEFAULT_CONSOLE_PORT = 8090
DEFAULT_DATA_DIR = Path("understudies-data")


def check_port(port: int) -> None:
    """Raise ConfigurationError if another process listens on a port of this machine."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve the console on 127.0.0.1:{port}: {error.strerror}; choose a free --port, or 0 for any"
            ) from error


def running_process(url: str) -> "RunningProcess":
    """Return the process at a URL, with the key of the settings."""
    from understudies.status.running import RunningProcess
    from understudies.status.settings import StatusSettings

    settings = settings_from(StatusSettings)
    key = settings.steering_key or settings.key
    return RunningProcess(url=url.removesuffix("/v1"), token=key.get_secret_value() if key else None)


def status_access(
    host: str, local_token: str | None = None, rules: "Callable[[], Rules] | None" = None
) -> "StatusAccess":
    """Return who may read the status on an address, and who may change something, by the settings and the rules."""
    from understudies.runtime.rules.rules import Rules as NoRules
    from understudies.status.settings import StatusSettings

    return settings_from(StatusSettings).create_access(host, local_token or secrets.token_urlsafe(32), rules or NoRules)


def external_store_url() -> str | None:
    """Return the store URL of the settings; None for the store in the data folder."""
    settings = settings_from(StoreSettings)
    # A variable that is empty says as little as one that is not set.
    return (settings.url.get_secret_value() if "url" in settings.model_fields_set else "") or None


def check_source(path: Path) -> None:
    """Raise ConfigurationError if there are no recorded calls: neither a file, nor a folder, nor files by a pattern."""
    from understudies.importers.sources import find_files

    try:
        if not all(file.exists() for file in find_files(path)):
            raise ConfigurationError(f"cannot read the calls in {str(path)!r}: no such file")
    except OSError as error:
        raise ConfigurationError(f"cannot read the calls in {str(path)!r}: {error.strerror or error}") from error


def check_teacher_url(url: str) -> None:
    """Raise ConfigurationError if `url` is not a base URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"--teacher-url {url!r} is not an HTTP URL; give a base URL such as https://api.openai.com/v1"
        )
