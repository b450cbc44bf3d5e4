"""Which calls are one conversation: episodes, earlier turns, and what links nothing."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.conversations import asked, named

from understudies.students import Clusters, Input, clustered, openings_of


def parts(*calls: Input, openings: frozenset[str] = frozenset()) -> list[list[int]]:
    """The calls of each cluster by their places, in order."""
    found = clustered(zip(calls, range(len(calls)), strict=True), openings)
    return sorted(sorted(place for _, place in cluster.members) for cluster in found)


def test_the_turns_of_a_conversation_are_one_cluster_whichever_comes_first() -> None:
    first, second = named(asked("a")), named(asked("a", "b", "c"))
    third, other = named(asked("a", "b", "c", "d", "e")), named(asked("other"))
    assert parts(first, second, third, other) == [[0, 1, 2], [3]]
    assert parts(third, other, first) == [[0, 2], [1]]


def test_turns_that_share_one_that_was_never_called_are_linked_once_it_is() -> None:
    second, other = named(asked("a", "b", "c")), named(asked("a", "b", "d"))
    assert parts(second, other) == [[0], [1]]
    assert parts(second, other, named(asked("a"))) == [[0, 1, 2]]


def test_examples_shown_in_every_request_link_nothing() -> None:
    shown = ("A parcel is late", "shipping", "My card is lost", "cards")
    assert parts(*[named(asked(*shown, f"question {n}")) for n in range(5)]) == [[n] for n in range(5)]


def test_an_episode_is_one_cluster_whatever_is_asked() -> None:
    calls = [named(asked(text), episode) for text, episode in (("a", "1"), ("b", "2"), ("c", "1"), ("d", None))]
    assert parts(*calls) == [[0, 2], [1], [3]]


def test_an_episode_that_goes_on_from_another_joins_it() -> None:
    first, on = named(asked("a"), "1"), named(asked("a", "b", "c"), "2")
    assert parts(first, named(asked("x"), "2"), on, named(asked("y"), "1")) == [[0, 1, 2, 3]]


def test_equal_inputs_alone_link_nothing() -> None:
    start = [named(asked("start", system=f"Today is {day}."), f"episode of {day}") for day in ("Monday", "Tuesday")]
    assert parts(*start) == [[0], [1]]


def test_a_greeting_that_goes_on_in_many_ways_links_nothing() -> None:
    calls = [named(asked("hi")), *(named(asked("hi", "Hello!", f"question {n}")) for n in range(30))]
    calls += [named(asked("hi", "Hello!", "question 3", "Fine.", "Thanks"))]
    openings = openings_of(calls)
    assert openings == {calls[0].text}
    assert parts(*calls, openings=openings) == [[n] for n in range(4)] + [[4, 31]] + [[n] for n in range(5, 31)]
    few = calls[:12]
    assert openings_of(few) == frozenset()
    assert parts(*few, openings=openings_of(few)) == [[*range(12)]]


def test_a_document_that_is_asked_about_in_many_ways_makes_one_cluster() -> None:
    document = "A long contract. " * 20
    calls = [named(asked(document)), *(named(asked(document, "Noted.", f"question {n}")) for n in range(30))]
    assert openings_of(calls) == frozenset()
    assert parts(*calls) == [[*range(31)]]


def test_it_knows_equal_inputs_and_those_that_would_join() -> None:
    clusters = Clusters[None]()
    clusters.add(named(asked("a", system="Monday")), None)
    assert clusters.knows(named(asked("a", system="Tuesday")))
    assert not clusters.links(named(asked("a", system="Tuesday")))
    later = named(asked("a", "b", "c"))
    assert not clusters.knows(later)
    assert clusters.links(later)


def test_a_cluster_that_was_taken_links_no_more() -> None:
    clusters = clustered([(named(asked("a"), "trip"), 0), (named(asked("x")), 1)], frozenset())
    [(place, _), _] = clusters.places()
    assert clusters.take(place).members[0][1] == 0
    assert len(clusters) == 1
    assert not clusters.links(named(asked("a", "b", "c"), "trip"))
    assert not clusters.knows(named(asked("a")))


turns = st.lists(st.sampled_from("ab"), min_size=1, max_size=7).filter(lambda said: len(said) % 2 == 1)
calls = st.lists(st.tuples(turns, st.sampled_from([None, "1", "2"])), min_size=1, max_size=12)


def by_definition(inputs: list[Input]) -> list[list[int]]:
    """The connected parts of the calls, spelt out."""

    def linked(one: Input, other: Input) -> bool:
        same = one.episode is not None and one.episode == other.episode
        return same or bool(one.own & set(other.earlier) or other.own & set(one.earlier))

    groups = [{place} for place in range(len(inputs))]
    for a, one in enumerate(inputs):
        for b, other in enumerate(inputs[:a]):
            if linked(one, other):
                joined = [group for group in groups if a in group or b in group]
                groups = [group for group in groups if group not in joined] + [set[int]().union(*joined)]
    return sorted(sorted(group) for group in groups)


@given(calls, st.randoms(use_true_random=False))
def test_clusters_are_the_connected_calls_in_whatever_order_they_come(
    said: list[tuple[list[str], str | None]], random: object
) -> None:
    inputs = [named(asked(*texts, system=str(n)), episode) for n, (texts, episode) in enumerate(said)]
    random.shuffle(inputs)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert parts(*inputs) == by_definition(inputs)
