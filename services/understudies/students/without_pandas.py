"""Import scikit-learn without pandas."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


@contextmanager
def without_pandas() -> Iterator[None]:
    """Have modules that are imported inside take pandas for not installed, unless it is loaded already.

    scikit-learn imports pandas, and with it pyarrow, wherever they are installed: 60 MB and a third of a second, for
    data frames, which nobody gives it here. The embedded store brings both.
    """
    modules = cast("dict[str, object]", sys.modules)
    if "pandas" in modules:
        yield
        return
    # A module that is None is one that cannot be imported (the Python language reference, 5.3.1).
    modules["pandas"] = None
    try:
        yield
    finally:
        del modules["pandas"]
