"""Answers that are the same whatever was asked are flagged, whatever their cause."""

from dataclasses import replace

import pytest
from tests.support.recorded_calls import recorded_call

from understudies.backtest.constant_answers import find_constant_answers
from understudies.importers.recorded_call import RecordedCall


def answered(number: int, answer: str) -> tuple[str, RecordedCall]:
    call = recorded_call(answer=answer)
    return "notes", replace(call, fingerprint=f"input {number}")


def test_one_answer_to_all_inputs_is_constant() -> None:
    (found,) = find_constant_answers(lambda: (answered(k, "content unavailable") for k in range(30)))
    assert (found.task, found.answer, found.calls, found.inputs) == ("notes", "content unavailable", 30, 30)
    assert found.sentence.startswith("notes: all 30 answers are 'content unavailable', for 30 different inputs")


def test_a_text_that_repeats_among_free_texts_is_constant() -> None:
    calls = [answered(k, "<blocked>" if k < 25 else f"a text of its own, {k}") for k in range(200)]
    (found,) = find_constant_answers(lambda: calls)
    assert (found.answer, found.calls, found.of_calls) == ("<blocked>", 25, 200)


@pytest.mark.parametrize(
    "calls",
    [
        [answered(k, "yes" if k % 10 else "no") for k in range(200)],
        [answered(0, "yes") for _ in range(200)],
        [answered(k, "yes") for k in range(10)],
        [answered(k, f"a text of its own, {k}") for k in range(200)],
        [],
    ],
)
def test_labels_repeated_inputs_and_texts_that_differ_are_not(calls: list[tuple[str, RecordedCall]]) -> None:
    assert find_constant_answers(lambda: calls) == []
