"""Start the command line, or say which extra to install where it is not installed."""

import sys
from importlib import import_module
from typing import Final

_MISSING_EXTRA: Final = (
    "understudies: the command line needs more than the base install, which is the client alone "
    "(no module {!r}); install it with: pip install 'understudies[embedded]'\n"
)
_USAGE_ERROR: Final = 2


def main() -> None:
    """Run the command `understudies`; exit with 2 where its packages are missing."""
    try:
        app = import_module("understudies.cli.main").app
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        # A missing module of this project is a broken install, which no extra mends.
        if package in ("", "understudies"):
            raise
        sys.stderr.write(_MISSING_EXTRA.format(package))
        sys.exit(_USAGE_ERROR)
    app()
