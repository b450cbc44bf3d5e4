"""Which inputs are spent: what a student reads, an episode, a conversation."""

import json

from tests.support.conversations import asked, named

from understudies.evaluator.inputs import Inputs
from understudies.events import fingerprint, request_of
from understudies.students import Clusters, Input


def fresh_after(first: Input, second: Input) -> bool:
    inputs = Inputs()
    inputs.take(first)
    return inputs.fresh(second)


def test_another_date_in_the_system_prompt_is_the_same_input() -> None:
    monday, tuesday = (asked("Where is my card?", system=f"Today is {day}.") for day in ("Monday", "Tuesday"))
    assert fingerprint(monday) != fingerprint(tuesday)
    assert not fresh_after(named(monday), named(tuesday))
    assert not fresh_after(named(monday), named(asked("where is  my CARD?")))
    assert fresh_after(named(monday), named(asked("Where is my money?")))


def test_another_context_is_another_input_unless_it_was_said_before() -> None:
    gold, silver = (
        Input(f"{plan}-print", "text:may-i", ("text:hello",), reading=f"read:{plan}") for plan in ("gold", "silver")
    )
    assert not fresh_after(gold, Input("other", "text:may-i", reading="read:gold"))
    assert fresh_after(Input("a", "text:may-i", reading="read:gold"), Input("b", "text:may-i", reading="read:silver"))
    assert not fresh_after(gold, Input("c", "text:hello", reading="read:silver"))
    assert not fresh_after(Input("c", "text:hello", reading="read:silver"), silver)


def test_a_conversation_counts_once_whichever_turn_comes_first() -> None:
    first, second = asked("Where is my card?"), asked("Where is my card?", "On its way.", "Since when?")
    third = asked("Where is my card?", "On its way.", "Since when?", "Monday.", "Thanks!")
    for earlier, later in ((first, second), (second, third), (first, third)):
        assert not fresh_after(named(earlier), named(later))
        assert not fresh_after(named(later), named(earlier))


def test_examples_shown_in_every_request_do_not_make_them_one() -> None:
    shown = ("A parcel is late", "shipping")
    assert fresh_after(named(asked(*shown, "My card is lost")), named(asked(*shown, "Refund me")))


def test_calls_of_one_episode_count_once() -> None:
    one, other = asked("Where is my card?"), asked("Change my pin")
    assert fresh_after(named(one), named(other))
    assert not fresh_after(named(one, "trip-1"), named(other, "trip-1"))
    assert fresh_after(named(one, "trip-1"), named(other, "trip-2"))


def test_requests_without_a_user_are_told_apart_by_their_fingerprint() -> None:
    one, other = (request_of({"messages": [{"role": "system", "content": text}]}) for text in ("a", "b"))
    assert fresh_after(named(one), named(other))
    assert not fresh_after(named(one), named(one))


def test_a_snapshot_has_the_inputs_in_the_order_in_which_they_came() -> None:
    inputs = Inputs()
    for name in "cab":
        inputs.take(Input(name, earlier=(f"before {name}",)))
    assert inputs.state() == {"own": ["c", "a", "b"], "earlier": ["before c", "before a", "before b"]}


def test_state_round_trips_through_json() -> None:
    inputs = Inputs(["learned"])
    inputs.take(named(asked("a", "b", "c"), "trip"))
    restored = Inputs(**json.loads(json.dumps(inputs.state())))
    assert restored.state() == inputs.state()
    assert not restored.fresh(named(asked("a")))


def test_a_conversation_is_spent_as_a_whole() -> None:
    clusters = Clusters[None]()
    for request in (asked("a"), asked("a", "b", "c")):
        clusters.add(named(request, "trip"), None)
    [cluster] = clusters
    inputs = Inputs()
    assert inputs.fresh(cluster)
    inputs.take(cluster)
    assert not inputs.fresh(cluster)
    assert not inputs.fresh(named(asked("a", "b", "c", "d", "e")))
    assert not inputs.fresh(named(asked("another input"), "trip"))
    assert inputs.fresh(named(asked("another input")))


def test_a_snapshot_from_when_episodes_were_names_of_inputs_is_read() -> None:
    inputs = Inputs(own=["episode:trip", "a fingerprint"], earlier=[])
    assert not inputs.fresh(Input("another", episode="trip"))
    assert not inputs.fresh(Input("a fingerprint"))
    assert inputs.fresh(Input("another", episode="other"))
