"""Join callbacks to the base class of a framework, which is imported only then."""

import importlib
from typing import Any


def build_callbacks(callbacks: type, module: str, base: str, package: str) -> type[Any]:
    """Return the class of the callbacks as a subclass of the framework's; raises ImportError that names the package."""
    parent = import_attribute(module, base, callbacks.__name__.lstrip("_"), package)
    return type(callbacks.__name__.lstrip("_"), (callbacks, parent), {"__doc__": callbacks.__doc__})


def import_attribute(module: str, name: str, needed_by: str, package: str) -> Any:
    """Return what a framework's module has under a name; raises ImportError that names the package."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ImportError(f"{needed_by} needs {package}: pip install {package}") from error
