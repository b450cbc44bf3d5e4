import pytest

from understudies.students.extractor.gazetteer import Place, find_places, fold
from understudies.students.extractor.tokens import tokenize


def places(text: str) -> list[tuple[str, tuple[str, ...]]]:
    words = [token.text for token in tokenize(text)]
    return [(" ".join(words[place.first : place.end]), place.kinds) for place in find_places(words)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from Oslo, Norway to Chad", [("Norway", ("country",)), ("Chad", ("country",))]),
        ("in new mexico or in Mexico", [("new mexico", ("region",)), ("Mexico", ("country",))]),
        ("Georgia", [("Georgia", ("country", "region"))]),
        ("Reunion and CURAÇAO", [("Reunion", ("country",)), ("CURAÇAO", ("country",))]),
        ("the Côte d'Ivoire", [("Côte d'Ivoire", ("country",))]),
        ("Salem OR", [("OR", ("region-code",))]),
        ("this or that, in or out of us", []),
        ("to the U.S. by sea", [("U . S .", ("country-code",))]),
        ("Guinea-Bissau borders Guinea", [("Guinea - Bissau", ("country",)), ("Guinea", ("country",))]),
        ("a purchase order", []),
        ("", []),
    ],
)
def test_the_longest_names_of_places_are_found(text: str, found: list[tuple[str, tuple[str, ...]]]) -> None:
    assert places(text) == found


def test_a_name_at_the_end_is_not_read_beyond_it() -> None:
    assert list(find_places(["new"])) == []
    assert list(find_places(["go", "to", "new", "york"])) == [Place(("region",), 2, 4)]


def test_accents_and_capitals_do_not_matter() -> None:
    assert fold("Åland") == fold("aland") == "aland"
