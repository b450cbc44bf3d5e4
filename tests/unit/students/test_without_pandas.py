"""Imports that take pandas for not installed."""

import subprocess
import sys

import pytest

ABSENT = """
import sys
from understudies.students.without_pandas import without_pandas

with without_pandas():
    try:
        import pandas
    except ImportError:
        print("absent")
import pandas
print(pandas.__name__)
"""
FAILED = """
from understudies.students.without_pandas import without_pandas

try:
    with without_pandas():
        import no_such_module
except ImportError:
    import pandas
    print(pandas.__name__)
"""
LOADED = """
import pandas
from understudies.students.without_pandas import without_pandas

with without_pandas():
    import pandas as again
print(again is pandas)
"""
FITTED = """
import sys
import numpy as np
from understudies.students.confidence_model import ConfidenceModel

evidence = np.random.default_rng(0).normal(size=(50, 3))
ConfidenceModel.fit(evidence, evidence[:, 0] > 0, np.ones(50, np.float32))
print("sklearn.linear_model" in sys.modules, "pandas" in sys.modules)
"""


@pytest.mark.parametrize(
    ("code", "printed"),
    [(ABSENT, "absent pandas"), (FAILED, "pandas"), (LOADED, "True"), (FITTED, "True False")],
    ids=["absent inside alone", "after an error too", "what is loaded stays", "a fit"],
)
def test_pandas_is_missing_only_inside(code: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == printed.split()
