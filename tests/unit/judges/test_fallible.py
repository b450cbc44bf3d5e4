"""What a judge that errs can prove."""

import math
import random

import pytest
from tests.support.chat_messages import assistant_message

from understudies.judges.fallible import (
    agree_at_once,
    demanded_agreement,
    human_marks,
    judge_error,
    marks_needed,
    split_alpha,
)
from understudies.judges.human_marks import HumanMarks
from understudies.judges.registry import parse_judge
from understudies.stats.gate import Gate


@pytest.mark.parametrize("name", ["exact", "label", "json", "sql", "code", "json[numeric:a]", "tool_calls"])
def test_a_judge_that_defines_agreement_takes_nothing(name: str) -> None:
    judge = parse_judge(name)
    assert human_marks(judge) is None
    assert judge_error(judge, 0.05) == 0
    assert demanded_agreement(judge, 0.95, 0.05) == 0.95
    assert split_alpha(judge, 0.05) == 0.05


@pytest.mark.parametrize("name", ["semantic", "json[semantic:a]", "llm[tone;spec:00]", "semantic[false:0;of:60]"])
def test_without_enough_marks_it_proves_nothing(name: str) -> None:
    assert demanded_agreement(parse_judge(name), 0.95, 0.05) is None


def test_its_error_comes_on_top_of_what_is_promised() -> None:
    judge = parse_judge("semantic[false:1;of:500]")
    error = judge_error(judge, 0.05)
    assert 1 / 500 < error < 0.02, "never the point estimate"
    assert demanded_agreement(judge, 0.95, 0.05) == 0.95 + error
    assert split_alpha(judge, 0.05) == 0.025
    assert judge_error(parse_judge("json[semantic:a;false:1;of:500]"), 0.05) == error
    assert judge_error(parse_judge("semantic[false:9;of:500]"), 0.05) > error
    assert judge_error(parse_judge("semantic[false:1;of:250]"), 0.05) > error


def test_the_marks_that_are_needed_are_just_enough() -> None:
    needed = marks_needed(0.95, 0.05)
    assert needed == 98
    for marks, provable in ((needed - 1, False), (needed, True)):
        demanded = demanded_agreement(parse_judge(f"semantic[false:0;of:{marks}]"), 0.95, 0.05)
        assert (demanded is not None) is provable


def test_peeking_at_the_marks_breaks_the_bound_no_more_often_than_promised() -> None:
    draw = random.Random(3)
    true_error, alpha, runs, broken = 0.03, 0.1, 400, 0
    for _ in range(runs):
        false, lowest = 0, 1.0
        for n in range(1, 400):
            false += draw.random() < true_error
            if n % 10 == 0:
                lowest = min(lowest, HumanMarks(false, n).error_bound(alpha))
        broken += lowest < true_error
    assert broken <= alpha * runs + 3 * math.sqrt(alpha * (1 - alpha) * runs)
    assert broken > 0, "the bound is not so wide that nothing is tested"


def test_a_judge_that_flatters_does_not_promote_what_people_would_not() -> None:
    """A student at .93 by people, whose errors the judge overlooks half the time: .965 by the judge."""
    draw = random.Random(5)
    runs, naive, honest = 300, 0, 0
    for _ in range(runs):
        flattered = 0.035 / 0.965
        marked = [draw.random() >= flattered for _ in range(300)]
        judge = parse_judge(f"semantic[false:{marked.count(False)};of:300]")
        verdicts = [draw.random() < 0.965 for _ in range(1500)]
        demanded = demanded_agreement(judge, 0.95, 0.05)
        naive += _passes(verdicts, 0.95, 0.05)
        honest += demanded is not None and _passes(verdicts, demanded, split_alpha(judge, 0.05))
    assert naive > 0.5 * runs, "taking the judge's word promotes a student that people see at .93"
    assert honest <= 0.05 * runs


def _passes(verdicts: list[bool], p0: float, alpha: float) -> bool:
    gate = Gate.create(p0=p0, alpha=alpha) if hasattr(Gate, "create") else Gate(p0=p0, alpha=alpha)
    for verdict in verdicts:
        gate = gate.update(float(verdict))
        if gate.decision == "promote":
            return True
    return False


async def test_where_a_call_waits_a_slow_judge_is_replaced_by_a_stricter_comparison() -> None:
    one, other = assistant_message("The lamp is here."), assistant_message("Here is the lamp.")
    for name in ("semantic[threshold:0.5]", "llm[tone;spec:00]", "sql[a;spec:00]", "code[a;spec:00]"):
        assert not agree_at_once(parse_judge(name), one, other)
        assert agree_at_once(parse_judge(name), one, one)
    assert agree_at_once(parse_judge("label"), assistant_message("Refund."), assistant_message("refund"))
