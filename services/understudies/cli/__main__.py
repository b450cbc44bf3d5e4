"""Start the command line (`understudies`, `python -m understudies.cli`), or name the extra to install."""

import sys
from importlib import import_module
from typing import Final

from understudies.runtime.malloc import configure_malloc

_MISSING_EXTRA: Final = (
    "understudies: the command line needs more than the base install, which is only the client "
    "(no module {!r}); install it with: pip install 'understudies[embedded]'\n"
)
_USAGE_ERROR: Final = 2


def main() -> None:
    """Run the command `understudies`; exit with 2 if its packages are missing."""
    configure_malloc()
    try:
        app = import_module("understudies.cli.main").app
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        # A missing module of this project means a broken install, which no extra would repair.
        if package in ("", "understudies"):
            raise
        sys.stderr.write(_MISSING_EXTRA.format(package))
        sys.exit(_USAGE_ERROR)
    app()


if __name__ == "__main__":
    main()
