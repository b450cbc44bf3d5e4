import pytest
from tests.support.invoices import LAYOUTS, Layout, make_invoices

from understudies.students.extractor.alignment import AlignedText
from understudies.students.extractor.layouts import known_layouts
from understudies.students.extractor.text_index import TextIndex


def tagged(text: str, *values: str) -> AlignedText:
    index = TextIndex(text)
    tags = ["B-0" if token.text in values else "O" for token in index.tokens]
    return AlignedText(text, index.tokens, tags, index.lines)


NAMES = ("Ana", "Bela", "Carl", "Dora", "Emil", "Fleur", "Gita", "Hugo")
LETTERS = [tagged(f"Dear {name},\nhere are your\n{other}", name, other) for name in NAMES for other in NAMES]
FORMS = [tagged(f"To: {name}\nArticle: {other}", name, other) for name in NAMES for other in NAMES]
EXPORTS = [tagged(f"to;{name}\nwhat;{other}\n", name, other) for name in NAMES for other in NAMES]


@pytest.mark.parametrize("seed", range(4))
def test_a_layout_is_on_one_side_whatever_its_values(seed: int) -> None:
    texts = [*LETTERS, *FORMS, *EXPORTS]
    known = known_layouts([one.text for one in texts], texts, seed)
    sides = [set(known[first : first + 64]) for first in (0, 64, 128)]
    assert all(len(side) == 1 for side in sides)
    assert sum(known) >= 64
    assert sum(known) < len(known)


def test_one_layout_is_known_as_a_whole() -> None:
    assert all(known_layouts([one.text for one in LETTERS], LETTERS, 1))


def test_texts_of_one_line_are_parted_by_all_words() -> None:
    families = [
        [f"{start} {n} of last week" for n in range(40)] for start in ("please cancel order", "where is parcel")
    ]
    known = known_layouts([*families[0], *families[1]], [None] * 80, 1)
    assert (len(set(known[:40])), len(set(known[40:]))) == (1, 1)
    assert known[0] != known[40]


def test_invoices_are_parted_by_their_layouts() -> None:
    def sides(layout: Layout) -> set[bool]:
        return {side for side, of in zip(known, layouts, strict=True) if of is layout}

    made = [(layout, one) for layout in LAYOUTS for one in make_invoices(20, layouts=[layout])]
    texts = [one.request.messages[-1].text for _, one in made]
    layouts = [layout for layout, _ in made]
    values = [set(one.answer.text.replace('"', " ").split()) for _, one in made]
    aligned = [tagged(text, *known) for text, known in zip(texts, values, strict=True)]
    known = known_layouts(texts, aligned, 1)
    assert [len(sides(layout)) for layout in LAYOUTS] == [1] * len(LAYOUTS)
