from tests.support.chat_messages import assistant_message, tool_call_message

from understudies.judges.base import Judgement
from understudies.judges.registry import parse_judge
from understudies.judges.tool_calls import ToolCallsJudge

WEATHER = ("weather", '{"city": "Bern", "days": 2}')
MAIL = ("mail", '{"to": "ann"}')


def test_equal_arguments_in_another_form_agree() -> None:
    assert (
        ToolCallsJudge()
        .judge(tool_call_message(WEATHER), tool_call_message(("weather", '{"days":2.0,"city":"Bern"}')))
        .agreed
    )
    assert ToolCallsJudge().judge(tool_call_message(("now", "")), tool_call_message(("now", "{}"))).agreed


def test_order_counts_unless_told_otherwise() -> None:
    teacher, student = tool_call_message(WEATHER, MAIL), tool_call_message(MAIL, WEATHER)
    assert not ToolCallsJudge().judge(teacher, student).agreed
    assert ToolCallsJudge(ordered=False).judge(teacher, student).agreed


def test_a_wrong_argument_scores_its_share() -> None:
    judgement = ToolCallsJudge().judge(
        tool_call_message(WEATHER, MAIL), tool_call_message(("weather", '{"city": "Bern", "days": 3}'), MAIL)
    )
    assert judgement == Judgement(0.75, False, "'weather': 'days': teacher 2, student 3")


def test_a_missing_or_added_call_disagrees() -> None:
    assert ToolCallsJudge().judge(tool_call_message(WEATHER, MAIL), tool_call_message(WEATHER)).score == 0.5
    assert (
        not ToolCallsJudge(ordered=False).judge(tool_call_message(WEATHER), tool_call_message(WEATHER, WEATHER)).agreed
    )


def test_another_tool_disagrees() -> None:
    assert (
        ToolCallsJudge().judge(tool_call_message(MAIL), tool_call_message(WEATHER)).why
        == "teacher calls 'mail', student 'weather'"
    )


def test_text_in_place_of_a_call_disagrees_and_two_texts_are_compared() -> None:
    assert not ToolCallsJudge().judge(tool_call_message(MAIL), assistant_message('{"to": "ann"}')).agreed
    assert ToolCallsJudge().judge(assistant_message("Which city?"), assistant_message("Which  city?")).agreed


def test_integers_are_compared_exactly_and_keys_in_any_order() -> None:
    teacher = tool_call_message(("f", '{"id": 123456789, "n": {"a": 1, "b": 2}}'))
    assert (
        ToolCallsJudge().judge(teacher, tool_call_message(("f", '{"n": {"b": 2, "a": 1.0}, "id": 123456789}'))).agreed
    )
    assert (
        not ToolCallsJudge().judge(teacher, tool_call_message(("f", '{"id": 123456790, "n": {"a": 1, "b": 2}}'))).agreed
    )


def test_a_number_as_a_string_is_that_number_for_the_tool_that_mixes_them() -> None:
    judge = parse_judge("tool_calls[mixed:f.n]")
    assert judge.judge(tool_call_message(("f", '{"n": "1"}')), tool_call_message(("f", '{"n": 1}'))).agreed
    assert not judge.judge(tool_call_message(("g", '{"n": "1"}')), tool_call_message(("g", '{"n": 1}'))).agreed
