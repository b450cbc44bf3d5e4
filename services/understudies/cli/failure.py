"""How the command line fails: one clear line, and a code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from understudies.runtime import UnderstudiesError

USAGE = 2


@contextmanager
def told() -> Iterator[None]:
    """Print an expected error as one line that names the remedy, and exit with 2."""
    try:
        yield
    except UnderstudiesError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]understudies:[/] {_plain(str(error))}", highlight=False)
        raise typer.Exit(USAGE) from error
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        raise typer.Exit(130) from None


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
