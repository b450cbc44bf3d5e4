import json

from hypothesis import given
from hypothesis import strategies as st
from tests.support.sample_events import make_invocation

from understudies.runtime.bus.deduplication import SeenIds

EVENTS = {name: make_invocation(id=name) for name in "abcdefgh"}
batches = st.lists(st.lists(st.sampled_from(sorted(EVENTS)), max_size=6), max_size=10)


def test_an_event_is_fresh_until_it_is_folded() -> None:
    seen = SeenIds()
    a, b = EVENTS["a"], EVENTS["b"]
    assert seen.filter_new([a, b]) == [a, b] == seen.filter_new([a, b])
    seen.add([a])
    assert seen.filter_new([a, b]) == [b]


def test_twice_in_a_batch_is_once_at_its_first_place() -> None:
    a, b = EVENTS["a"], EVENTS["b"]
    assert SeenIds().filter_new([a, b, a]) == [a, b]


def test_the_oldest_is_forgotten_first() -> None:
    seen = SeenIds(capacity=2)
    seen.add(EVENTS[name] for name in "abc")
    assert [event.id for event in seen.filter_new([EVENTS[name] for name in "abc"])] == ["a"]


@given(batches)
def test_every_event_is_folded_once_across_restarts(told: list[list[str]]) -> None:
    seen, folded = SeenIds(), []
    for batch in told:
        fresh = seen.filter_new([EVENTS[name] for name in batch])
        folded += [event.id for event in fresh]
        seen.add(fresh)
        state = json.loads(json.dumps(seen.state()))
        seen = SeenIds()
        seen.restore_state(state)
    assert folded == list(dict.fromkeys(name for batch in told for name in batch))
