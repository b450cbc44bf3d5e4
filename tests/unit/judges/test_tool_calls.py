from tests.support.messages import called, said

from understudies.judges import Judgement, ToolCallsJudge, judge_named

WEATHER = ("weather", '{"city": "Bern", "days": 2}')
MAIL = ("mail", '{"to": "ann"}')


def test_equal_arguments_in_another_form_agree() -> None:
    assert ToolCallsJudge().judge(called(WEATHER), called(("weather", '{"days":2.0,"city":"Bern"}'))).agreed
    assert ToolCallsJudge().judge(called(("now", "")), called(("now", "{}"))).agreed


def test_order_counts_unless_told_otherwise() -> None:
    teacher, student = called(WEATHER, MAIL), called(MAIL, WEATHER)
    assert not ToolCallsJudge().judge(teacher, student).agreed
    assert ToolCallsJudge(ordered=False).judge(teacher, student).agreed


def test_a_wrong_argument_scores_its_share() -> None:
    judgement = ToolCallsJudge().judge(called(WEATHER, MAIL), called(("weather", '{"city": "Bern", "days": 3}'), MAIL))
    assert judgement == Judgement(0.75, False, "'weather': 'days': teacher 2, student 3")


def test_a_missing_or_added_call_disagrees() -> None:
    assert ToolCallsJudge().judge(called(WEATHER, MAIL), called(WEATHER)).score == 0.5
    assert not ToolCallsJudge(ordered=False).judge(called(WEATHER), called(WEATHER, WEATHER)).agreed


def test_another_tool_disagrees() -> None:
    assert ToolCallsJudge().judge(called(MAIL), called(WEATHER)).why == "teacher calls 'mail', student 'weather'"


def test_text_in_place_of_a_call_disagrees_and_two_texts_are_compared() -> None:
    assert not ToolCallsJudge().judge(called(MAIL), said('{"to": "ann"}')).agreed
    assert ToolCallsJudge().judge(said("Which city?"), said("Which  city?")).agreed


def test_integers_are_compared_exactly_and_keys_in_any_order() -> None:
    teacher = called(("f", '{"id": 123456789, "n": {"a": 1, "b": 2}}'))
    assert ToolCallsJudge().judge(teacher, called(("f", '{"n": {"b": 2, "a": 1.0}, "id": 123456789}'))).agreed
    assert not ToolCallsJudge().judge(teacher, called(("f", '{"id": 123456790, "n": {"a": 1, "b": 2}}'))).agreed


def test_a_number_as_a_string_is_that_number_for_the_tool_that_mixes_them() -> None:
    judge = judge_named("tool_calls[mixed:f.n]")
    assert judge.judge(called(("f", '{"n": "1"}')), called(("f", '{"n": 1}'))).agreed
    assert not judge.judge(called(("g", '{"n": "1"}')), called(("g", '{"n": 1}'))).agreed
