"""Documents agree with the code: links lead somewhere, quoted texts exist, the reference is fresh."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from understudies.cli import reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bench" / "README.md", *DOCS.rglob("*.md")],
    key=lambda page: page.as_posix(),
)
SOURCES = (ROOT / "schemas" / "understudies", ROOT / "services" / "understudies")
_LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([^)\s]+))?\)")
_PLACEHOLDER = re.compile(r"%[-+.0-9]*[sdrgfx]|%%")
_MAX_README_LINES = 200


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target, anchor in _LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in headings(path)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= _MAX_README_LINES


def test_every_page_is_linked_from_the_readme_or_an_index() -> None:
    index = (ROOT / "README.md").read_text() + (DOCS / "decisions" / "README.md").read_text()
    assert [page.name for page in DOCS.rglob("*.md") if page.name not in index] == []


def test_every_decision_has_a_status_and_a_date() -> None:
    records = sorted((DOCS / "decisions").glob("0*.md"))
    assert records
    for record in records:
        number = int(record.name.partition("-")[0])
        title, _, status = record.read_text().splitlines()[:3]
        assert title.startswith(f"# {number}. "), record.name
        assert re.match(r"Status: (accepted|superseded|accepted, amended)\b.* · Date: 20\d\d-\d\d-\d\d", status), (
            record.name
        )


def test_the_reference_of_settings_is_fresh() -> None:
    assert (DOCS / "settings.md").read_text() == reference.render_reference(), (
        "run `python -m understudies.cli.reference`"
    )


def test_the_reference_says_whether_it_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "settings.md"
    assert reference.main(["--check", str(path)]) == 1
    assert "is stale; run `python -m understudies.cli.reference`" in capsys.readouterr().err
    assert reference.main([str(path)]) == 0
    assert reference.main(["--check", str(path)]) == 0


def documented_models() -> Iterator[type[BaseModel]]:
    yield from (model for _, _, model in reference.SETTINGS)
    yield from (model for _, _, _, model in reference.NESTED_SETTINGS)
    yield from (model for _, _, model in reference.RULES)


@pytest.mark.parametrize("model", list(documented_models()), ids=lambda model: model.__name__)
def test_every_setting_and_rule_has_a_description(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def texts(tree: ast.AST) -> Iterator[str]:
    """String literals of a module; what is filled in later is an ellipsis."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _PLACEHOLDER.sub("…", node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]  # of a string


def test_every_text_quoted_for_troubleshooting_exists_in_the_code() -> None:
    known = "\n".join(
        text for root in SOURCES for file in sorted(root.rglob("*.py")) for text in texts(ast.parse(file.read_text()))
    )
    section = (DOCS / "operations.md").read_text().partition("## Troubleshooting by symptom")[2]
    quoted = [text for text in re.findall(r"`([^`]+)`", section) if len(text.split()) >= 4 and "=" not in text]
    quoted = [text for text in quoted if not text.startswith(("pip ", "understudies rules", "understudies keys"))]
    assert len(quoted) > 40
    assert [text for text in quoted if text.removeprefix("…").strip() not in known] == []
