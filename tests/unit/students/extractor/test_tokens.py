import pytest

from understudies.students.extractor.tokens import mask_digits, token_span, tokenize, word_shape


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


def test_the_form_of_a_word_is_that_of_its_letters_and_digits() -> None:
    assert (word_shape("McKay7"), mask_digits("A17b")) == ("XxXxx", "a00b")
