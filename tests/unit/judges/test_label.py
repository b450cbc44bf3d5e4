import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message

from understudies.judges.label import LabelJudge
from understudies.judges.label_text import MAX_LABEL_CHARS, normalize_label


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("card arrival", '"Card_Arrival."'),
        ("card-arrival", "card  arrival\n"),
        ("**Refund**", "refund"),
        ("can't pay", "cant pay"),
        ("Straße", "STRASSE"),
        ("1.5", " 1.5."),
        ("card-arrival", "card — arrival"),
        ("no", "no!"),
        ("Refund", "**Refund**."),
        ("billing", "(billing)"),
        ("billing", "“billing”"),
        ("ＹＥＳ", "yes"),
        ("ﬁne", "fine"),
        ("card\u00a0arrival", "card arrival"),
        ("tier_1", "tier 1"),
        ("yes, please", "Yes please."),
        ("billing / refund", "Billing/Refund"),
        ("U.S.", "US"),
        ("5", "**5**"),
        ("5", '"5"'),
        ("0-5", "0–5"),
    ],
)
def test_the_same_label_in_another_form_agrees(teacher: str, student: str) -> None:
    assert LabelJudge().judge(assistant_message(teacher), assistant_message(student)).agreed


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("", "no"),
        ("?", "!"),
        ("yes", "no"),
        ("C", "C++"),
        ("C", "C#"),
        ("A", "A+"),
        ("A", "A-"),
        ("A", "A*"),
        ("net", ".NET"),
        ("nodejs", "node.js"),
        ("no", "!no"),
        ("fx", "f(x)"),
        ("x/y", "x-y"),
        ("x y", "x-y"),
        ("km/h", "km h"),
        ("x2", "x²"),
        ("H2O", "H₂O"),
        ("1", "①"),
        ("1/2", "½"),
        ("1", "-1"),
        ("1", "+1"),
        ("1.5", "15"),
        ("1,5", "15"),
        ("1,5", "1.5"),
        ("1_000", "1000"),
        ("5", "(5)"),
        ("5", "[5]"),
        ("5", ">5"),
        ("5", "5!"),
        ("5", "5%"),
        ("5", "$5"),
        ("5", '5"'),
        ("5", ".5"),
        ("7", "007"),
        ("0 5", "0-5"),
        ("2/1", "2-1"),
        ("2:1", "2-1"),
        ("1, 2", "1 2"),
        ("v1.2", "v12"),
        ("2024-01-02", "2024/01/02"),
        ("tier 1", "tier -1"),
    ],
)
def test_different_labels_disagree(teacher: str, student: str) -> None:
    assert not LabelJudge().judge(assistant_message(teacher), assistant_message(student)).agreed


def test_a_label_of_nothing_but_punctuation_stays() -> None:
    assert normalize_label(" ? ") == "?"


def test_case_counts_where_told() -> None:
    judge = LabelJudge(cased=True)
    assert judge.judge(assistant_message("kB"), assistant_message(" kB.")).agreed
    assert not judge.judge(assistant_message("kB"), assistant_message("KB")).agreed


@given(*[st.text("0123456789+-*/^=<>~%$€#()[]!:; ²³½", max_size=6).map(lambda text: " ".join(text.split()))] * 2)
def test_labels_of_digits_and_signs_are_never_merged(one: str, other: str) -> None:
    assert (normalize_label(one) == normalize_label(other)) is (one == other)


@given(st.integers(), st.integers(), *[st.sampled_from(("-", "/", ":", " ", ".", ",", "x", " - ", "+", "_", ""))] * 2)
def test_two_numbers_are_told_apart_by_what_is_between_them(first: int, last: int, one: str, other: str) -> None:
    assert (normalize_label(f"{first}{one}{last}") == normalize_label(f"{first}{other}{last}")) is (one == other)


@given(st.text(max_size=30), st.text(" \n\t\u00a0", max_size=3))
def test_white_space_around_never_counts(text: str, space: str) -> None:
    assert normalize_label(f"{space}{text}{space}") == normalize_label(text)


@pytest.mark.parametrize("hostile", ["-", "_", "(", "**", ". ", "\u0301", "a-", "１"])
def test_a_megabyte_is_no_label_but_is_compared(hostile: str) -> None:
    long = hostile * (1_000_000 // len(hostile))
    assert len(long) > MAX_LABEL_CHARS
    assert not LabelJudge().judge(assistant_message(long), assistant_message(f"{long}x")).agreed
