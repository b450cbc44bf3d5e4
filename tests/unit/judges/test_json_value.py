import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message

from understudies.judges.base import Judgement
from understudies.judges.json_value import JsonJudge


def judged(teacher: str, student: str, *unordered: str) -> Judgement:
    return JsonJudge(frozenset(unordered)).judge(assistant_message(teacher), assistant_message(student))


def test_key_order_white_space_and_fences_do_not_count() -> None:
    assert judged('{"a": 1, "b": [true, null]}', '```json\n{"b":[true,null],\n"a":1.0}\n```').agreed


def test_the_score_is_the_mean_over_keys() -> None:
    judgement = judged('{"a": 1, "b": {"c": "x", "d": "y"}}', '{"a": 1, "b": {"c": "x", "d": "z"}}')
    assert judgement == Judgement(0.75, False, "'b.d': teacher 'y', student 'z'")


def test_missing_and_added_keys_count_against_it() -> None:
    assert judged('{"a": 1, "b": 2}', '{"a": 1}') == Judgement(0.5, False, "'b': missing")
    assert judged('{"a": 1}', '{"a": 1, "b": 2}') == Judgement(0.5, False, "'b': not in the teacher's answer")


@pytest.mark.parametrize(
    ("teacher", "student", "agreed"),
    [
        ("[1000000]", "[1000000.5]", True),
        ("[1000000]", "[1000002]", False),
        ("[0]", "[1e-9]", False),
        ("[1]", "[true]", False),
        ('["1"]', "[1]", False),
        ("[0]", "[false]", False),
        ("[null]", "[0]", False),
        ("{}", "[]", False),
        ('{"id": 123456789}', '{"id": 123456790}', False),
        ("[9007199254740993]", "[9007199254740992]", False),
        ("[9007199254740993]", "[9007199254740992.0]", False),
        ("[9007199254740993]", "[9007199254740993.0]", True),
        ("[1000000.0]", "[1000001.0]", False),
        ("[1000]", "[1e3]", True),
        ("[0.3]", "[0.30000000000000004]", True),
        ("[-0.0]", "[0]", True),
        ("[1e400]", "[1e401]", False),
        ("[0e99999999999999999999]", "[0]", True),
        (f"[{10**400}]", "[1.5]", False),
        (f"[{10**400}]", f"[{10**400}.0]", False),
    ],
)
def test_integers_are_exact_other_numbers_within_a_tolerance_and_types_count(
    teacher: str, student: str, agreed: bool
) -> None:
    assert judged(teacher, student).agreed is agreed


@given(st.integers(), st.integers())
def test_integers_are_compared_exactly(one: int, other: int) -> None:
    assert judged(f'{{"id": {one}}}', f'{{"id": {other}.0}}').agreed is (one == other)


def test_a_number_as_a_string_is_that_number_where_the_task_mixes_them() -> None:
    judge = JsonJudge(mixed=frozenset({"n", "lines.qty"}))

    def agreed(teacher: str, student: str) -> bool:
        return judge.judge(assistant_message(teacher), assistant_message(student)).agreed

    assert agreed('{"n": "12", "lines": [{"qty": 1}, {"qty": "2"}]}', '{"lines": [{"qty": "1"}, {"qty": 2}], "n": 12}')
    assert agreed('{"n": "12.0"}', '{"n": 12}')
    assert not agreed('{"n": "13"}', '{"n": 12}')
    assert not agreed('{"n": "012"}', '{"n": 12}')
    assert not agreed('{"n": "twelve"}', '{"n": 12}')
    assert not agreed('{"n": "1"}', '{"n": true}')
    assert not agreed('{"m": "12"}', '{"m": 12}')


def test_answers_that_agree_have_one_canonical_text() -> None:
    judge = JsonJudge(unordered=frozenset({"tags"}), mixed=frozenset({"n"}))
    assert judge.canonical({"n": "1", "tags": ["b", "a"]}) == judge.canonical({"tags": ["a", "b"], "n": 1.0})
    assert JsonJudge().canonical({"n": "1"}) != JsonJudge().canonical({"n": 1})


def test_the_order_of_an_array_counts_unless_declared() -> None:
    teacher, student = '{"tags": ["a", "b", "b"], "n": 1}', '{"tags": ["b", "a", "b"], "n": 1}'
    assert not judged(teacher, student).agreed
    assert judged(teacher, student, "tags").agreed
    assert judged('{"lines": [{"codes": [1, 2]}]}', '{"lines": [{"codes": [2, 1]}]}', "lines.codes").agreed


def test_an_order_free_array_is_a_multiset() -> None:
    judgement = judged('{"tags": ["a", "a", "b", 1]}', '{"tags": ["a", "b", 1.0000001, "c"]}', "tags")
    assert judgement == Judgement(0.75, False, "tags: 1 of 4 items have no match")


@pytest.mark.parametrize("broken", ["", "no", '{"a": ', "{'a': 1}", "[NaN]", "```json\n{```", "9" * 5000])
def test_what_is_no_json_disagrees_with_the_reason(broken: str) -> None:
    judgement = judged('{"a": 1}', broken)
    assert judgement.score == 0
    assert judgement.why is not None


def test_where_the_teacher_wrote_no_json_the_text_counts() -> None:
    assert judged("cannot  say", "cannot say").agreed
    assert not judged("cannot say", "{}").agreed


def test_deep_nesting_disagrees_with_the_reason() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    why = judged("[]", deep).why
    assert why is not None
    assert "nests too deeply" in why
    nested = "[" * 900 + "1" + "]" * 900
    assert not judged(nested, nested.replace("1", "2")).agreed


def test_ten_megabytes_are_compared() -> None:
    teacher = "[" + ",".join(str(i) for i in range(1_300_000)) + "]"
    assert len(teacher) > 9_000_000
    assert judged(teacher, teacher.replace("[0,", "[0, ")).agreed
    assert not judged(teacher, teacher.replace("[0,", "[7,")).agreed


def test_the_name_carries_what_was_declared() -> None:
    assert JsonJudge().name == "json"
    assert JsonJudge(frozenset({"b", "a.c"})).name == "json[a.c,b]"
    assert JsonJudge(frozenset({"b"}), frozenset({"n", "a.m"})).name == "json[b;mixed:a.m,n]"
