"""Join callbacks to the base class of a framework, which is imported only then."""

import importlib
from typing import Any


def build_callbacks(callbacks: type, module: str, base: str, package: str) -> type[Any]:
    """Return the class of the callbacks as a subclass of the framework's; raises ImportError that names the package."""
    try:
        parent = getattr(importlib.import_module(module), base)
    except ImportError as error:
        raise ImportError(f"{callbacks.__name__.lstrip('_')} needs {package}: pip install {package}") from error
    return type(callbacks.__name__.lstrip("_"), (callbacks, parent), {"__doc__": callbacks.__doc__})
