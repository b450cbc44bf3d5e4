"""How long conversations are and last, as a dataset shows it."""

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message
from tests.support.contexts import examples_decided_by_record
from tests.support.conversations import conversation_request
from tests.support.datasets import START, intents

from understudies.datasets.dataset import Example
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.events import fingerprint

MINUTE = timedelta(minutes=1)


def conversation(case: int, size: int, apart: timedelta = MINUTE) -> list[Example]:
    """An episode of so many calls, each some time after the one before."""
    requests = [conversation_request(f"case {case}, step {turn}") for turn in range(size)]
    return [
        Example(
            id=f"{case}-{turn}",
            at=START + turn * apart,
            fingerprint=fingerprint(request),
            split="train",
            teacher="teacher-1",
            request=request,
            answer=assistant_message("yes"),
            episode=f"trip {case}",
        )
        for turn, request in enumerate(requests)
    ]


def shape(*sizes: int, apart: timedelta = MINUTE) -> ConversationShape:
    return ConversationShape.measure(
        [one for case, size in enumerate(sizes) for one in conversation(case, size, apart)]
    )


def test_lone_calls_are_bet_one_by_one_and_wait_for_nothing() -> None:
    assert ConversationShape.measure(intents(200).examples) == ConversationShape() == ConversationShape.measure([])


def test_conversations_of_one_length_are_heard_whole() -> None:
    assert shape(*[3] * 40).w_max == 3
    assert shape(*[12] * 40).w_max == 12


def test_a_few_that_are_longer_do_not_slow_down_all_others() -> None:
    assert shape(*[1] * 100, 2, 2, 3).w_max == 1
    assert shape(*[3] * 100, 9, 9).w_max == 3


def test_what_counts_is_the_share_of_calls_not_of_conversations() -> None:
    # Of 20 conversations 19 are lone calls, but two of three calls are in the long one.
    assert shape(*[1] * 19, 40).w_max == 38
    assert shape(*[1] * 19, 12).w_max == 11


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_at_least_95_of_100_calls_are_heard(sizes: list[int]) -> None:
    most = shape(*sizes).w_max
    assert sum(min(size, most) for size in sizes) >= 0.95 * sum(sizes)
    assert most == 1 or sum(min(size, most - 1) for size in sizes) < 0.95 * sum(sizes)


def test_a_conversation_lasts_as_long_as_nearly_all_calls_take_to_come() -> None:
    assert shape(*[3] * 20).duration == 2 * MINUTE
    assert shape(*[1] * 100, 3).duration == timedelta(0)
    assert shape(*[3] * 20, apart=timedelta(hours=30)).duration == timedelta(hours=60)
    assert shape(*[3] * 20, apart=timedelta(days=30)).duration == timedelta(days=7)


def test_equal_inputs_of_a_conversation_are_one() -> None:
    once = conversation(0, 2)
    again = [one.model_copy(update={"id": f"again-{n}", "at": one.at + MINUTE}) for n, one in enumerate(once)]
    assert ConversationShape.measure([*once, *again]).w_max == 2


def test_calls_that_can_never_count_do_not_make_a_bet_larger() -> None:
    long = [one.model_copy(update={"unbiased": False}) for one in conversation(1, 9)]
    assert ConversationShape.measure([*conversation(0, 2), *long]).w_max == 2


def test_state_round_trips_through_json() -> None:
    before = ConversationShape(3, timedelta(minutes=7.5), frozenset({"text:b", "text:a"}))
    assert ConversationShape.from_state(json.loads(json.dumps(before.state()))) == before


def test_the_context_of_the_calls_is_learnt_and_kept() -> None:
    found = ConversationShape.measure(examples_decided_by_record(100))
    assert found.system.has_context
    assert found.w_max == 1
    assert ConversationShape.from_state(json.loads(json.dumps(found.state()))) == found
    older = ConversationShape().state()
    del older["system"]
    assert ConversationShape.from_state(older) == ConversationShape()
