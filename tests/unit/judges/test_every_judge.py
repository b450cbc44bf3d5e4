"""What every judge keeps to, whatever the answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import FunctionCall, Message, ToolCall
from understudies.judges.answer_key import answer_class
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge

JUDGES = [
    parse_judge(name)
    for name in (
        "exact",
        "label",
        "label[cased]",
        "label[before:bar,colon,dash]",
        "label[field:answer;before:comma]",
        "json",
        "json[a,tags]",
        "json[mixed:a]",
        "json[tags;mixed:a,c]",
        "numeric",
        "tool_calls",
        "tool_calls[any_order]",
        "tool_calls[mixed:f.a]",
        "json[label:a;numeric:c]",
        "code",
    )
]
every_judge = pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["a", "b", "", "é\ud800"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "tags", "c"]), inner, max_size=3),
    max_leaves=6,
)
texts = st.one_of(values.map(json.dumps), st.text(max_size=20), st.floats().map(str), st.just("```json\n[1]\n```"))
parts = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.none() | st.text(max_size=5)}), max_size=2)
calls = st.builds(ToolCall, function=st.builds(FunctionCall, name=st.sampled_from(["f", "g"]), arguments=texts))
messages = st.builds(
    Message,
    role=st.just("assistant"),
    content=st.none() | texts | parts,
    tool_calls=st.none() | st.lists(calls, max_size=3).map(tuple),
)


@every_judge
@given(answer=messages)
def test_an_answer_agrees_with_itself(judge: Judge, answer: Message) -> None:
    judgement = judge.judge(answer, answer)
    assert judgement.agreed
    assert judgement.score == 1


@every_judge
@given(one=messages, other=messages)
def test_agreement_goes_both_ways_and_is_explained(judge: Judge, one: Message, other: Message) -> None:
    there, back = judge.judge(one, other), judge.judge(other, one)
    assert there.agreed is back.agreed
    for judgement in (there, back):
        assert 0 <= judgement.score <= 1
        assert judgement.agreed is (judgement.why is None)
        assert judgement.why is None or 0 < len(judgement.why) < 500
        assert judgement.score == 1 or not judgement.agreed


@every_judge
def test_its_name_leads_back_to_it_and_it_says_how_it_reads(judge: Judge) -> None:
    assert parse_judge(judge.name) == judge
    assert 20 < len(judge.description) < 250
    assert not judge.description.endswith(".")


@given(answers=st.lists(messages, max_size=8))
def test_a_judge_is_chosen_whatever_the_answers(answers: list[Message]) -> None:
    judge = choose_judge(answers)
    for answer in answers:
        found = answer_class(answer, judge)
        assert found is None or 0 < len(found) <= 100
