import pytest
from tests.support.messages import said

from understudies.judges import NumericJudge


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("12", "12.0"),
        ("$1,250.50", "1250.50"),
        ("12 kg", "12 KG."),
        ("1e3", "1000"),
        ("1000000", "1000000.5"),
        ("n/a", "n/a"),
    ],
)
def test_equal_numbers_agree(teacher: str, student: str) -> None:
    assert NumericJudge().judge(said(teacher), said(student)).agreed


@pytest.mark.parametrize(
    ("teacher", "student"),
    [("12", "-12"), ("12 kg", "12 g"), ("3", "3 of 4"), ("3", ""), ("n/a", "3"), ("1e999", "2e999"), ("1", "1.01")],
)
def test_different_numbers_disagree(teacher: str, student: str) -> None:
    judgement = NumericJudge().judge(said(teacher), said(student))
    assert not judgement.agreed
    assert judgement.why is not None
