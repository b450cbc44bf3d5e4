from understudies.students.extractor.alignment import AlignedText
from understudies.students.extractor.text_index import TextIndex
from understudies.students.extractor.vocabulary import Vocabulary, field_order, outer_pairs


def tagged(text: str, tags: str) -> AlignedText:
    index = TextIndex(text)
    return AlignedText(text, index.tokens, tags.split(), index.lines, {0: [[(1, 1, 2), (2, 3, 4), (2, 4, 5)]]})


TEXTS = [tagged("to New York by 9", "O B-1 I-1 O B-2"), tagged("to Graz by 12", "O B-1 O B-2")]


def test_words_pairs_and_values_are_learned_from_tagged_texts() -> None:
    vocabulary = Vocabulary.learn(TEXTS)
    assert vocabulary.words == {"to", "new", "york", "by", "0", "graz", "00"}
    assert vocabulary.pairs == {"< to", "to [1]", "[1] by", "by [2]", "[2] >"}
    assert vocabulary.values == {"new york": {"1": 1}, "graz": {"1": 1}, "0": {"2": 1}, "00": {"2": 1}}
    assert vocabulary.items == {"1 2"}


def test_lines_are_known_that_several_documents_have() -> None:
    texts = [
        tagged("To: Graz\nwith love", "O O B-1 O O"),
        tagged("To: New York\nwith best wishes", "O O B-1 I-1 O O O"),
        tagged("To: Oslo", "O O B-1"),
    ]
    assert Vocabulary.learn(texts).lines == {"to : [1]"}
    assert Vocabulary.learn(texts[1:]).lines == frozenset(), "a text of one line has no layout"


def test_known_values_are_looked_up_by_their_first_word() -> None:
    known = Vocabulary.learn(TEXTS).known()
    assert known["new"] == {"new york": ("1",)}
    assert set(known) == {"new", "graz", "0", "00"}


def test_a_training_text_does_not_know_its_own_values() -> None:
    vocabulary = Vocabulary.learn([*TEXTS, tagged("from Graz", "O B-1")])
    assert vocabulary.known(TEXTS[0]) == {}
    assert vocabulary.known(TEXTS[1]) == {"graz": {"graz": ["1"]}}, "another text has it, too"


def test_a_value_is_one_mark_among_its_neighbours() -> None:
    assert outer_pairs(["pay", "9", "eur", "now"], ["O", "B-3", "I-3", "O"]) == {"< pay", "pay [3]", "[3] now", "now >"}


def test_several_values_of_a_field_are_one_in_the_order_of_fields() -> None:
    assert field_order([(4, 0, 1), (5, 1, 2), (5, 2, 3), (4, 3, 4)]) == "4 5 4"
