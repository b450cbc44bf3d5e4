"""Implement `understudies backup` and `understudies restore`: a data folder in one file, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from understudies.cli.options import DEFAULT_DATA_DIR, external_store_url
from understudies.cli.process import print_line, report_errors
from understudies.cli.progress_lines import ProgressLines
from understudies.runtime.errors import ConfigurationError

BACKUP_EPILOG = """
Examples:

  understudies backup                                  of ./understudies-data, beside a running `up` or after it

  understudies backup /backups/monday.tar --data /var/lib/understudies
"""
RESTORE_EPILOG = """
Example:

  understudies restore /backups/monday.tar --data ./understudies-data
"""
_MB: Final = 1_000_000


def backup(
    file: Annotated[
        Path | None, typer.Argument(help="File to write.", show_default="understudies-TIME.tar in this folder")
    ] = None,
    data: Annotated[Path, typer.Option(help="Data folder of `understudies up`, running or not.")] = DEFAULT_DATA_DIR,
) -> None:
    """Write snapshots, store, datasets and artifacts into one file, as of one moment.

    A running `understudies up` goes on meanwhile. An interrupted backup leaves neither a damaged folder nor a file
    under its final name. A store in UNDERSTUDIES_STORE_URL is not part of it: back that up by its own means, later.
    """
    from understudies.backup.archive import write_archive

    with report_errors():
        folder = data.resolve()
        target = (file or Path(f"understudies-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")).absolute()
        _check_target(target, folder)
        progress = ProgressLines(Console(soft_wrap=True))
        with _staged(folder) as staging:
            try:
                manifest = write_archive(
                    target,
                    folder,
                    staging,
                    version("understudies"),
                    lambda files, size: progress.show(f"{files:,} files, {size / _MB:,.0f} MB copied"),
                )
            except OSError as error:
                raise ConfigurationError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
        print_line(f"wrote {target}: {len(manifest.sha256):,} files, {target.stat().st_size / _MB:,.1f} MB")
        if not manifest.has_store:
            print_line("the store is not part of it: back it up by its own means, from now on")


def restore(
    file: Annotated[Path, typer.Argument(help="File that `understudies backup` wrote.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Data folder to make; new or empty.")] = DEFAULT_DATA_DIR,
) -> None:
    """Make a data folder of a backup, whole or not at all; every file is compared with what was backed up.

    `understudies up --data` on it begins as after a restart at the moment of the backup.
    """
    from understudies.backup.archive import read_archive

    with report_errors():
        progress = ProgressLines(Console(soft_wrap=True))
        manifest = read_archive(
            file.absolute(),
            data.absolute(),
            lambda files, size: progress.show(f"{files:,} files, {size / _MB:,.0f} MB compared"),
        )
        taken = f"{manifest.at:%Y-%m-%d %H:%M} UTC by version {manifest.version}"
        print_line(f"restored {len(manifest.sha256):,} files into {data}: the state of {taken}")
        if not manifest.has_store:
            print_line("its store was elsewhere: set UNDERSTUDIES_STORE_URL to that, as restored from its own backup")


def _check_target(target: Path, folder: Path) -> None:
    """Raise ConfigurationError for a file that cannot be written, before anything is staged."""
    if not any((folder / name).is_dir() for name in ("store", "snapshots", "artifacts")):
        raise ConfigurationError(f"there is no data of `understudies up` in {str(folder)!r}: name its --data")
    if not target.parent.is_dir():
        raise ConfigurationError(f"cannot write {str(target)!r}: the folder {str(target.parent)!r} does not exist")
    if target.exists():
        raise ConfigurationError(f"{str(target)!r} exists: remove it, or name another file")
    if target.resolve().is_relative_to(folder):
        raise ConfigurationError(f"{str(target)!r} is in the data folder: name a file outside of it")


@contextmanager
def _staged(folder: Path) -> Iterator[Path | None]:
    """Hold a folder still: staged by the process that uses it, whose staging is yielded, or locked."""
    from understudies.backup.staging import STAGING, discard_staging
    from understudies.runtime.process import is_locked, lock_data_dir
    from understudies.status.running import read_announcement

    with lock_data_dir(folder, "backup"):
        if is_locked(folder, "up"):
            staged = read_announcement(folder).stage_backup()
            if staged != STAGING:
                raise ConfigurationError(f"the running process staged {staged!r}: use the version that runs there")
            try:
                yield folder / STAGING
            finally:
                discard_staging(folder)
            return
        if external_store_url() is None and not (folder / "store").is_dir():
            raise ConfigurationError(f"there is no store in {str(folder)!r}, and UNDERSTUDIES_STORE_URL names none")
        with lock_data_dir(folder, "up"):
            discard_staging(folder)
            yield None
