"""How the command line fails: one clear line, and a code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from understudies.runtime import UnderstudiesError

USAGE_ERROR = 2


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an expected error as one line that names the remedy, and exit with 2."""
    try:
        yield
    except UnderstudiesError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]understudies:[/] {_escape_markup(str(error))}", highlight=False
        )
        raise typer.Exit(USAGE_ERROR) from error
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        raise typer.Exit(130) from None


def _escape_markup(text: str) -> str:
    return text.replace("[", r"\[")
