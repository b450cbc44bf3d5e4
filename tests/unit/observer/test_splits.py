"""The split of an example is that of the first call of its conversation."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message
from tests.support.conversations import conversation_request
from tests.support.datasets import START, intents

from understudies.datasets.dataset import Example
from understudies.events import fingerprint, split_of
from understudies.observer.splits import DatedExample, assign_splits


def dated(*texts: str, minute: float, episode: str | None = None) -> DatedExample:
    """A call of a conversation, first made so many minutes after the start."""
    request = conversation_request(*texts)
    print_ = fingerprint(request)
    at = START + timedelta(minutes=minute)
    one = Example(
        id=print_[:8],
        at=at,
        fingerprint=print_,
        split=split_of(print_),
        teacher="teacher-1",
        request=request,
        answer=assistant_message("yes"),
        episode=episode,
    )
    return DatedExample(one, at)


def splits(*calls: DatedExample) -> list[str]:
    return [example.split for example in assign_splits(calls)]


def test_lone_calls_keep_the_split_of_their_own_fingerprint() -> None:
    calls = [DatedExample(example, example.at) for example in intents(300).examples]
    assert assign_splits(calls) == [call.example for call in calls]


@given(st.integers(0, 200), st.permutations(range(3)))
def test_a_conversation_lands_whole_where_its_first_call_does(case: int, order: list[int]) -> None:
    said = [f"case {case}", "a", "b", "c", "d"]
    turns = [dated(*said[: 1 + 2 * turn], minute=turn) for turn in range(3)]
    assert splits(*(turns[place] for place in order)) == [turns[0].example.split] * 3


def test_an_episode_lands_whole_where_its_first_call_does() -> None:
    for number in range(40):
        steps = [dated(f"step {step} of {number}", minute=10 - step, episode=f"trip {number}") for step in range(4)]
        assert splits(*steps) == [steps[-1].example.split] * 4


def test_equal_inputs_of_two_episodes_may_land_in_two_splits() -> None:
    found = set()
    for number in range(40):
        steps = [
            dated("start", minute=1, episode=f"{number}"),
            dated(f"before it, in {number}", minute=0, episode=f"{number}"),
        ]
        found.add(splits(*steps)[0])
    assert found == {"train", "validation", "evidence"}


def test_all_else_about_an_example_stays() -> None:
    first, second = dated("a", minute=0), dated("a", "b", "c", minute=1)
    found = assign_splits([first, second])
    assert [one.model_copy(update={"split": "train"}) for one in found] == [
        one.example.model_copy(update={"split": "train"}) for one in (first, second)
    ]
