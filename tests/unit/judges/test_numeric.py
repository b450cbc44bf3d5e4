import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message

from understudies.judges.numeric import NumericJudge


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("12", "12.0"),
        ("$1,250.50", "1250.50"),
        ("12 kg", "12 KG."),
        ("1e3", "1000"),
        ("1000000", "1000000.5"),
        ("0.3", "0.30000000000000004"),
        ("9007199254740993", "9007199254740993.0"),
        ("$1,250", "1250"),
        ("5 (USD)", "5 usd"),
        ("5", "**5**"),
        ("5", '"5".'),
        ("5", "Total: 5"),
        ("(5)", "(5.0)"),
        ("１２", "12"),
        ("n/a", "n/a"),
    ],
)
def test_equal_numbers_agree(teacher: str, student: str) -> None:
    assert NumericJudge().judge(assistant_message(teacher), assistant_message(student)).agreed


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("12", "-12"),
        ("12 kg", "12 g"),
        ("3", "3 of 4"),
        ("3", ""),
        ("n/a", "3"),
        ("1e999", "2e999"),
        ("1", "1.01"),
        ("123456789", "123456790"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740993.0", "9007199254740992"),
        ("5", "(5)"),
        ("$5", "($5)"),
        ("5", "<5"),
        ("<5", "<=5"),
        ("5", "~5"),
        ("$5", "~$5"),
        ("5", "≠5"),
        ("5", "5²"),
        ("5", "5½"),
        ("5", "5!"),
        ("5", '5"'),
        ("5", "minus 5"),
        ("5", "5 million"),
        ("5", "5k"),
        ("5", "less than 5"),
    ],
)
def test_different_numbers_disagree(teacher: str, student: str) -> None:
    judgement = NumericJudge().judge(assistant_message(teacher), assistant_message(student))
    assert not judgement.agreed
    assert judgement.why is not None


@given(st.integers(), st.integers())
def test_integers_are_compared_exactly(one: int, other: int) -> None:
    assert NumericJudge().judge(assistant_message(f"{one}"), assistant_message(f"{other:,}")).agreed is (one == other)


def test_a_megabyte_holds_no_number() -> None:
    assert not NumericJudge().judge(assistant_message("5"), assistant_message("5" * 1_000_000)).agreed
