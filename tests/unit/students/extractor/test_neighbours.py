from understudies.students.extractor.neighbours import Neighbours
from understudies.students.extractor.text_index import Place, TextIndex


def learn(*texts: tuple[str, list[Place]]) -> Neighbours:
    neighbours = Neighbours()
    for text, places in texts:
        neighbours.learn(TextIndex(text), places)
    return neighbours


def test_the_words_around_a_value_are_counted() -> None:
    neighbours = learn(("pay 9 now", [(0, [(1, 2)])]), ("pay 7 soon", [(0, [(1, 2)])]))
    assert neighbours.count(TextIndex("pay 5 now"), 0, (1, 2)) == 3
    assert neighbours.count(TextIndex("pay 5 now"), 1, (1, 2)) == 0, "of another field"
    assert neighbours.count(TextIndex("5"), 0, (0, 1)) == 0


def test_what_several_places_of_a_value_have_tells_nothing() -> None:
    neighbours = learn(("in EUR , of EUR , total EUR .", [(0, [(1, 2), (4, 5), (7, 8)])]))
    text = TextIndex("in EUR , total EUR .")
    assert neighbours.count(text, 0, (1, 2)) == 1, "the word before alone, as a comma follows two"
    assert neighbours.count(text, 0, (4, 5)) == 2


def test_the_first_word_of_a_line_counts_in_documents_alone() -> None:
    neighbours = learn(("Total due :\nTotal is 9 EUR", [(0, [(5, 6)])]), ("Total 9", [(1, [(1, 2)])]))
    assert neighbours.count(TextIndex("x\nTotal of 7 $"), 0, (3, 4)) == 1
    assert neighbours.count(TextIndex("x\nTotal of 7 $"), 1, (3, 4)) == 0
