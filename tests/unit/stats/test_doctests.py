"""The examples in the docstrings of `understudies.stats` run as written."""

import doctest
import importlib
import pkgutil

import pytest

import understudies.stats

MODULES = [module.name for module in pkgutil.iter_modules(understudies.stats.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_written(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"understudies.stats.{name}"))

    assert outcome.failed == 0
    assert outcome.attempted > 0
