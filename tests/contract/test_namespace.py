"""Two source roots make one namespace, `understudies`; an agent's install needs only one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

import understudies.client
import understudies.events
import understudies.stats

ROOT = Path(__file__).parents[2]
ROOTS = (ROOT / "schemas" / "understudies", ROOT / "services" / "understudies")

_BASE_INSTALL = """
import sys
ALLOWED = {"understudies", "aiokafka", "pydantic", "pydantic_core", "annotated_types", "typing_extensions",
           "typing_inspection", "async_timeout", "packaging"} | set(sys.stdlib_module_names)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name[0] != "_" and name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"not in the base install: {name}", name=name)

sys.meta_path.insert(0, Refuse())
from understudies.client import Understudies, promotions
assert Understudies("127.0.0.1:9").shadow(lambda prompt: "fine")("well?") == "fine"
import os; os._exit(0)
"""


@pytest.mark.parametrize("root", ROOTS, ids=["schemas", "services"])
def test_no_init_hides_the_other_root(root: Path) -> None:
    assert root.is_dir()
    assert not (root / "__init__.py").exists()


def test_both_roots_import() -> None:
    homes = {Path(module.__file__ or "").parents[1] for module in (understudies.events, understudies.stats)}
    assert homes == set(ROOTS)


@pytest.mark.parametrize("root", ROOTS, ids=["schemas", "services"])
def test_every_package_is_typed(root: Path) -> None:
    untyped = [p.name for p in root.iterdir() if (p / "__init__.py").exists() and not (p / "py.typed").exists()]
    assert untyped == []


def test_the_client_needs_only_the_base_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BASE_INSTALL], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
