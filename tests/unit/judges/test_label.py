import pytest
from tests.support.messages import said

from understudies.judges import LabelJudge, label_of


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("card arrival", '"Card_Arrival."'),
        ("card-arrival", "card  arrival\n"),
        ("**Refund**", "refund"),
        ("can't pay", "cant pay"),
        ("Straße", "STRASSE"),
        ("1.5", " 1.5."),
    ],
)
def test_the_same_label_in_another_form_agrees(teacher: str, student: str) -> None:
    assert LabelJudge().judge(said(teacher), said(student)).agreed


@pytest.mark.parametrize(
    ("teacher", "student"),
    [("C", "C++"), ("C#", "C"), ("1", "-1"), ("1.5", "15"), ("1,5", "15"), ("yes", "no"), ("", "no"), ("?", "!")],
)
def test_different_labels_disagree(teacher: str, student: str) -> None:
    assert not LabelJudge().judge(said(teacher), said(student)).agreed


def test_a_label_of_nothing_but_punctuation_stays() -> None:
    assert label_of(" ? ") == "?"
