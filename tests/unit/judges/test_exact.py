from tests.support.chat_messages import assistant_message, tool_call_message

from understudies.judges.exact import ExactJudge


def test_white_space_does_not_count() -> None:
    assert ExactJudge().judge(assistant_message("a b\n c"), assistant_message("  a  b c\n")).agreed


def test_case_counts_and_the_reason_shows_both() -> None:
    judgement = ExactJudge().judge(assistant_message("Yes"), assistant_message("yes"))
    assert (judgement.score, judgement.agreed) == (0.0, False)
    assert judgement.why == "teacher 'Yes', student 'yes'"


def test_a_text_is_not_a_tool_call() -> None:
    assert (
        ExactJudge().judge(tool_call_message(("f", "{}")), assistant_message("")).why
        == "the teacher calls tools, the student does not"
    )


def test_a_long_answer_is_cut_in_the_reason() -> None:
    why = ExactJudge().judge(assistant_message("x" * 10_000_000), assistant_message("y")).why
    assert why is not None
    assert len(why) < 200


def test_content_in_parts_is_read_as_text() -> None:
    parts = assistant_message("").model_copy(update={"content": [{"type": "text", "text": "hello"}]})
    assert ExactJudge().judge(parts, assistant_message("hello")).agreed
