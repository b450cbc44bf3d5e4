"""Which inputs are spent: what a student reads, an episode, a conversation."""

import json

from tests.support.conversations import conversation_request, request_input

from understudies.datasets.conversations import Conversations
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.events import fingerprint, request_of


def fresh_after(first: Input, second: Input) -> bool:
    inputs = UsedInputs()
    inputs.mark_used(first)
    return inputs.is_unused(second)


def test_another_date_in_the_system_prompt_is_the_same_input() -> None:
    monday, tuesday = (
        conversation_request("Where is my card?", system=f"Today is {day}.") for day in ("Monday", "Tuesday")
    )
    assert fingerprint(monday) != fingerprint(tuesday)
    assert not fresh_after(request_input(monday), request_input(tuesday))
    assert not fresh_after(request_input(monday), request_input(conversation_request("where is  my CARD?")))
    assert fresh_after(request_input(monday), request_input(conversation_request("Where is my money?")))


def test_another_context_is_another_input_unless_it_was_said_before() -> None:
    gold, silver = (
        Input(f"{plan}-print", "text:may-i", ("text:hello",), reading=f"read:{plan}") for plan in ("gold", "silver")
    )
    assert not fresh_after(gold, Input("other", "text:may-i", reading="read:gold"))
    assert fresh_after(Input("a", "text:may-i", reading="read:gold"), Input("b", "text:may-i", reading="read:silver"))
    assert not fresh_after(gold, Input("c", "text:hello", reading="read:silver"))
    assert not fresh_after(Input("c", "text:hello", reading="read:silver"), silver)


def test_a_conversation_counts_once_whichever_turn_comes_first() -> None:
    first, second = (
        conversation_request("Where is my card?"),
        conversation_request("Where is my card?", "On its way.", "Since when?"),
    )
    third = conversation_request("Where is my card?", "On its way.", "Since when?", "Monday.", "Thanks!")
    for earlier, later in ((first, second), (second, third), (first, third)):
        assert not fresh_after(request_input(earlier), request_input(later))
        assert not fresh_after(request_input(later), request_input(earlier))


def test_examples_shown_in_every_request_do_not_make_them_one() -> None:
    shown = ("A parcel is late", "shipping")
    assert fresh_after(
        request_input(conversation_request(*shown, "My card is lost")),
        request_input(conversation_request(*shown, "Refund me")),
    )


def test_calls_of_one_episode_count_once() -> None:
    one, other = conversation_request("Where is my card?"), conversation_request("Change my pin")
    assert fresh_after(request_input(one), request_input(other))
    assert not fresh_after(request_input(one, "trip-1"), request_input(other, "trip-1"))
    assert fresh_after(request_input(one, "trip-1"), request_input(other, "trip-2"))


def test_requests_without_a_user_are_told_apart_by_their_fingerprint() -> None:
    one, other = (request_of({"messages": [{"role": "system", "content": text}]}) for text in ("a", "b"))
    assert fresh_after(request_input(one), request_input(other))
    assert not fresh_after(request_input(one), request_input(one))


def test_a_snapshot_has_the_inputs_in_the_order_in_which_they_came() -> None:
    inputs = UsedInputs()
    for name in "cab":
        inputs.mark_used(Input(name, earlier=(f"before {name}",)))
    assert inputs.state() == {"own": ["c", "a", "b"], "earlier": ["before c", "before a", "before b"]}


def test_state_round_trips_through_json() -> None:
    inputs = UsedInputs(["learned"])
    inputs.mark_used(request_input(conversation_request("a", "b", "c"), "trip"))
    restored = UsedInputs(**json.loads(json.dumps(inputs.state())))
    assert restored.state() == inputs.state()
    assert not restored.is_unused(request_input(conversation_request("a")))


def test_a_conversation_is_spent_as_a_whole() -> None:
    clusters = Conversations[None]()
    for request in (conversation_request("a"), conversation_request("a", "b", "c")):
        clusters.add(request_input(request, "trip"), None)
    [cluster] = clusters
    inputs = UsedInputs()
    assert inputs.is_unused(cluster)
    inputs.mark_used(cluster)
    assert not inputs.is_unused(cluster)
    assert not inputs.is_unused(request_input(conversation_request("a", "b", "c", "d", "e")))
    assert not inputs.is_unused(request_input(conversation_request("another input"), "trip"))
    assert inputs.is_unused(request_input(conversation_request("another input")))


def test_a_snapshot_from_when_episodes_were_names_of_inputs_is_read() -> None:
    inputs = UsedInputs(own=["episode:trip", "a fingerprint"], earlier=[])
    assert not inputs.is_unused(Input("another", episode="trip"))
    assert not inputs.is_unused(Input("a fingerprint"))
    assert inputs.is_unused(Input("another", episode="other"))
