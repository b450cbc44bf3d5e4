import pytest

from understudies.students.extractor.tokens import describe, mask_digits, token_span, tokenize, word_shape


def test_a_text_is_cut_into_words_numbers_and_marks() -> None:
    text = "Rate O'Hara's A4-book 3.5, at 12:30 (café)"
    assert [token.text for token in tokenize(text)] == [
        "Rate", "O'Hara", "'s", "A", "4", "-", "book", "3.5", ",", "at", "12:30", "(", "café", ")",
    ]  # fmt: skip
    assert all(text[token.start : token.end] == token.text for token in tokenize(text))


@pytest.mark.parametrize(
    ("span", "tokens"), [((0, 4), (0, 1)), ((0, 8), (0, 2)), ((5, 8), (1, 2)), ((0, 3), None), ((1, 4), None)]
)
def test_only_whole_tokens_are_a_span(span: tuple[int, int], tokens: tuple[int, int] | None) -> None:
    words = tokenize("blue pen")
    assert token_span(words, {token.start: i for i, token in enumerate(words)}, span) == tokens


def test_a_word_is_described_by_its_form_and_neighbours() -> None:
    text = "Order no.: PO-17\nTotal: $9"
    described = describe(text, tokenize(text), {"po": {"po - 00": ["3"]}})
    tokens = [token.text for token in tokenize(text)]
    po, number, total = (set(described[tokens.index(word)]) for word in ("PO", "17", "9"))
    assert {"w=po", "s=XX", "l=order no .", "-1=:", "k=3"} <= po
    assert {"w=00", "s=99", "ki=3", "-1=-"} <= number
    assert "l=total" in total
    assert (word_shape("McKay7"), mask_digits("A17b")) == ("XxXxx", "a00b")


def test_a_label_ends_with_its_line() -> None:
    text = "Total: 9\nthanks"
    assert "l=" in describe(text, tokenize(text), {})[-1]


def test_a_text_without_tokens_has_no_features() -> None:
    assert describe(" ", [], {}) == []
