"""Which calls are one conversation: episodes, earlier turns, and what links nothing."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.conversations import conversation_request, request_input

from understudies.datasets.conversations import Conversations, group_conversations, shared_openings
from understudies.datasets.inputs import Input


def parts(*calls: Input, openings: frozenset[str] = frozenset()) -> list[list[int]]:
    """The calls of each cluster by their places, in order."""
    found = group_conversations(zip(calls, range(len(calls)), strict=True), openings)
    return sorted(sorted(place for _, place in cluster.members) for cluster in found)


def test_the_turns_of_a_conversation_are_one_cluster_whichever_comes_first() -> None:
    first, second = request_input(conversation_request("a")), request_input(conversation_request("a", "b", "c"))
    third, other = (
        request_input(conversation_request("a", "b", "c", "d", "e")),
        request_input(conversation_request("other")),
    )
    assert parts(first, second, third, other) == [[0, 1, 2], [3]]
    assert parts(third, other, first) == [[0, 2], [1]]


def test_turns_that_share_one_that_was_never_called_are_linked_once_it_is() -> None:
    second, other = (
        request_input(conversation_request("a", "b", "c")),
        request_input(conversation_request("a", "b", "d")),
    )
    assert parts(second, other) == [[0], [1]]
    assert parts(second, other, request_input(conversation_request("a"))) == [[0, 1, 2]]


def test_examples_shown_in_every_request_link_nothing() -> None:
    shown = ("A parcel is late", "shipping", "My card is lost", "cards")
    assert parts(*[request_input(conversation_request(*shown, f"question {n}")) for n in range(5)]) == [
        [n] for n in range(5)
    ]


def test_an_episode_is_one_cluster_whatever_is_asked() -> None:
    calls = [
        request_input(conversation_request(text), episode)
        for text, episode in (("a", "1"), ("b", "2"), ("c", "1"), ("d", None))
    ]
    assert parts(*calls) == [[0, 2], [1], [3]]


def test_an_episode_that_goes_on_from_another_joins_it() -> None:
    first, on = request_input(conversation_request("a"), "1"), request_input(conversation_request("a", "b", "c"), "2")
    assert parts(
        first, request_input(conversation_request("x"), "2"), on, request_input(conversation_request("y"), "1")
    ) == [[0, 1, 2, 3]]


def test_equal_inputs_alone_link_nothing() -> None:
    start = [
        request_input(conversation_request("start", system=f"Today is {day}."), f"episode of {day}")
        for day in ("Monday", "Tuesday")
    ]
    assert parts(*start) == [[0], [1]]


def test_a_greeting_that_goes_on_in_many_ways_links_nothing() -> None:
    calls = [
        request_input(conversation_request("hi")),
        *(request_input(conversation_request("hi", "Hello!", f"question {n}")) for n in range(30)),
    ]
    calls += [request_input(conversation_request("hi", "Hello!", "question 3", "Fine.", "Thanks"))]
    openings = shared_openings(calls)
    assert openings == {calls[0].text}
    assert parts(*calls, openings=openings) == [[n] for n in range(4)] + [[4, 31]] + [[n] for n in range(5, 31)]
    few = calls[:12]
    assert shared_openings(few) == frozenset()
    assert parts(*few, openings=shared_openings(few)) == [[*range(12)]]


def test_a_document_that_is_asked_about_in_many_ways_makes_one_cluster() -> None:
    document = "A long contract. " * 20
    calls = [
        request_input(conversation_request(document)),
        *(request_input(conversation_request(document, "Noted.", f"question {n}")) for n in range(30)),
    ]
    assert shared_openings(calls) == frozenset()
    assert parts(*calls) == [[*range(31)]]


def test_it_knows_equal_inputs_and_those_that_would_join() -> None:
    clusters = Conversations[None]()
    clusters.add(request_input(conversation_request("a", system="Monday")), None)
    assert clusters.contains(request_input(conversation_request("a", system="Tuesday")))
    assert not clusters.is_linked(request_input(conversation_request("a", system="Tuesday")))
    later = request_input(conversation_request("a", "b", "c"))
    assert not clusters.contains(later)
    assert clusters.is_linked(later)


def test_a_cluster_that_was_taken_links_no_more() -> None:
    clusters = group_conversations(
        [(request_input(conversation_request("a"), "trip"), 0), (request_input(conversation_request("x")), 1)],
        frozenset(),
    )
    [(place, _), _] = clusters.items()
    assert clusters.pop(place).members[0][1] == 0
    assert len(clusters) == 1
    assert not clusters.is_linked(request_input(conversation_request("a", "b", "c"), "trip"))
    assert not clusters.contains(request_input(conversation_request("a")))


turns = st.lists(st.sampled_from("ab"), min_size=1, max_size=7).filter(lambda said: len(said) % 2 == 1)
calls = st.lists(st.tuples(turns, st.sampled_from([None, "1", "2"])), min_size=1, max_size=12)


def by_definition(inputs: list[Input]) -> list[list[int]]:
    """The connected parts of the calls, spelt out."""

    def linked(one: Input, other: Input) -> bool:
        same = one.episode is not None and one.episode == other.episode
        return same or bool(one.names & set(other.earlier) or other.names & set(one.earlier))

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
    inputs = [
        request_input(conversation_request(*texts, system=str(n)), episode) for n, (texts, episode) in enumerate(said)
    ]
    random.shuffle(inputs)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert parts(*inputs) == by_definition(inputs)
