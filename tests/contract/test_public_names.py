"""What a package offers is written down: a docstring, `__all__` in order, and names that exist."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    init.parent for root in ("schemas", "services") for init in (ROOT / root / "understudies").glob("*/__init__.py")
)


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _bound(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.name))
def test_a_package_says_what_it_offers(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    exported = _exported(tree)
    if exported is not None:
        assert len(exported) == len(set(exported))
        assert set(exported) <= _bound(tree)
        assert not any(name.startswith("_") for name in exported)


@pytest.mark.parametrize("name", ["understudies.events", "understudies.client"])
def test_public_names_of_the_contracts_and_the_client_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__
    assert all(hasattr(module, exported) for exported in module.__all__)


def test_the_client_offers_what_agents_were_promised() -> None:
    client = importlib.import_module("understudies.client")
    promised = {"Understudies", "promotions", "default_redactor", "combined", "redacted", "per_million", "PublishError"}
    assert promised <= set(client.__all__)
