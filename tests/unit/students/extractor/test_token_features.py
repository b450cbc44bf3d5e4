from understudies.students.extractor.token_features import describe
from understudies.students.extractor.tokens import tokenize


def test_a_word_is_described_by_its_form_and_neighbours() -> None:
    text = "Order no.: PO-17\nTotal: $9"
    described = describe(text, tokenize(text), {"po": {"po - 00": ["3"]}})
    tokens = [token.text for token in tokenize(text)]
    po, number, total = (set(described[tokens.index(word)]) for word in ("PO", "17", "9"))
    assert {"w=po", "s=XX", "l=order no .", "-1=:", "k=3"} <= po
    assert {"w=00", "s=99", "ki=3", "-1=-"} <= number
    assert "l=total" in total


def test_a_label_ends_with_its_line() -> None:
    text = "Total: 9\nthanks"
    assert "l=" in describe(text, tokenize(text), {})[-1]


def test_a_text_without_tokens_has_no_features() -> None:
    assert describe(" ", [], {}) == []


def test_what_a_name_begins_and_ends_with_is_told_by_capitals_and_words() -> None:
    text = "rate Night Lamp five"
    _, night, lamp, _ = (set(one) for one in describe(text, tokenize(text), {}))
    assert {"ss-=x X", "ss+=X X", "ws-=rate X", "ws+=X lamp"} <= night
    assert {"ss-=X X", "ss+=X x", "ws-=night X", "ws+=X five"} <= lamp


def test_the_edges_of_a_text_are_told() -> None:
    [only] = describe("Go", tokenize("Go"), {})
    assert {"ss-=< X", "ss+=X >", "ws-=< X", "ws+=X >"} <= set(only)


def test_names_of_places_are_told() -> None:
    text = "cold in New Mexico , US"
    words = describe(text, tokenize(text), {})
    told = [{feature for feature in one if feature.startswith("g")} for one in words]
    assert told == [set(), {"g+=region"}, {"g=region"}, {"gi=region"}, {"g+=country-code"}, {"g=country-code"}]
