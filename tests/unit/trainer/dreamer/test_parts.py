from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.datasets import dataset, example, intents

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message
from understudies.judges.registry import parse_judge
from understudies.runtime.hours import parse_hours
from understudies.trainer.dreamer.checks import InputChecks
from understudies.trainer.dreamer.off_peak import is_off_peak, quiet_hours
from understudies.trainer.dreamer.weak_spots import find_weak_spots
from understudies.trainer.dreamer.writer import can_be_varied, input_text, parse_inputs, with_input, writing_body
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, TrainingData

LABEL = parse_judge("label")
CHEAPEST = [trainer for trainer in TRAINERS if trainer.variant == "without encoder"]


def weak_spots(data: Dataset) -> dict[str, list[Example]]:
    found = find_weak_spots(TrainingData(data, LABEL, 0), TrainerSettings(encoder=False), 0.95, CHEAPEST)
    return {
        kind: [one.example for one in found if one.reason == kind]
        for kind in ("disagreement", "escalation", "rare", "sparse")
    }


@pytest.mark.parametrize(
    ("window", "hours"), [("22-2", {22, 23, 0, 1}), ("9-11", {9, 10}), ("0-0", set(range(24))), (" 23-0 ", {23})]
)
def test_a_window_ends_before_its_second_hour(window: str, hours: set[int]) -> None:
    assert parse_hours(window) == hours


@pytest.mark.parametrize("window", ["", "22", "22-24", "22:30-6", "night", "22-6-7", "-1-3"])
def test_what_is_no_window_is_refused_with_an_example(window: str) -> None:
    with pytest.raises(ValueError, match="such as '22-6'"):
        parse_hours(window)


def test_the_quiet_hours_are_those_with_the_fewest_calls() -> None:
    # Calls from 8 to 24 o'clock alone, in a zone two hours ahead; what was written at night does not count.
    zone = datetime(2026, 1, 1, tzinfo=UTC)
    day = [
        example(f"hour {hour} call {number}", assistant_message("a"), number).model_copy(
            update={"at": zone + timedelta(hours=hour, minutes=number)}
        )
        for hour in range(8, 24)
        for number in range(15)
    ]
    night = [one.model_copy(update={"at": zone + timedelta(hours=3), "synthetic": True, "calls": 500}) for one in day]
    assert quiet_hours([*day, *night]) == set(range(8))
    assert is_off_peak(zone + timedelta(hours=7, minutes=59), None, day)
    assert not is_off_peak(zone + timedelta(hours=8), None, day)
    assert is_off_peak(zone + timedelta(hours=8), "8-9", day)
    assert quiet_hours(day[:100]) == frozenset()


@pytest.mark.parametrize(
    ("reply", "inputs"),
    [
        ('["one", " two ", "", 3]', ["one", "two"]),
        ('Here you are:\n```json\n["one [sic]", "two"]\n```', ["one [sic]", "two"]),
        ('1. one\n2) "two"\n- three\nThat is all.', ["one", "two", "three"]),
        ("[broken, json]\n* four", ["four"]),
        ("I cannot help with that.", []),
    ],
)
def test_a_list_is_read_however_it_is_written(reply: str, inputs: list[str]) -> None:
    assert parse_inputs(reply) == inputs


def test_only_one_question_in_plain_text_is_varied() -> None:
    asked = user_request("where is my card", system="Name the intent.")
    assert can_be_varied(asked)
    other = with_input(asked, "where is my dog")
    assert (input_text(other), other.system, other.temperature) == ("where is my dog", asked.system, asked.temperature)
    answered = Message(role="assistant", content="it is coming")
    talk = asked.model_copy(update={"messages": (*asked.messages, answered, asked.messages[-1])})
    picture = Message(role="user", content=[{"type": "text", "text": "what is this"}])
    assert not can_be_varied(talk)
    assert not can_be_varied(asked.model_copy(update={"messages": (picture,)}))


def test_weak_spots_are_real_examples_of_the_training_split() -> None:
    rare = [(f"please tell me of my pets {word}", assistant_message("pets")) for word in ("dog", "cat", "hen", "cow")]
    odd = [("quantum flapdoodle zanzibar xylophone", assistant_message("refund"))]
    wrong = [(f"money back for order number {number}", assistant_message("card arrival")) for number in range(8)]
    usual = [(one.request.messages[-1].text, one.answer) for one in intents(300).examples]
    data = dataset([*usual, *rare * 3, *odd, *wrong])
    train = tuple(one.model_copy(update={"split": "train"}) for one in data.examples)
    written = tuple(one.model_copy(update={"synthetic": True, "fingerprint": "f" * 64}) for one in train[:50])
    spots = weak_spots(Dataset(data.task, (*train, *written)))
    assert not any(one.synthetic for of_kind in spots.values() for one in of_kind)
    texts = {kind: {input_text(one.request) for one in of_kind} for kind, of_kind in spots.items()}
    assert texts["disagreement"] & {text for text, _ in wrong}
    assert {one.answer.text for one in spots["rare"]} == {"pets"}
    assert odd[0][0] in texts["sparse"] | texts["disagreement"]
    everything = [one.fingerprint for of_kind in spots.values() for one in of_kind]
    assert max(Counter(everything).values()) == 1


def test_examples_of_validation_and_evidence_are_no_weak_spots() -> None:
    data = intents(300)
    allowed = {one.fingerprint for one in data.in_split("train")}
    found = weak_spots(data)
    assert {one.fingerprint for of_kind in found.values() for one in of_kind} <= allowed
    assert found["sparse"]


def test_a_task_that_no_cheap_student_suits_has_sparse_regions_alone() -> None:
    data = intents(200, lambda intent, number: assistant_message(f"a letter of its own, {number * 7919}"))
    found = weak_spots(data)
    assert found["sparse"]
    assert not found["disagreement"] + found["escalation"] + found["rare"]


def test_what_is_shown_to_the_writer_is_shortened() -> None:
    data = intents(30)
    [spot, *_] = find_weak_spots(TrainingData(data, LABEL, 0), TrainerSettings(encoder=False), 0.95, CHEAPEST)
    long = user_request("word " * 5000, system="do it " * 5000)
    spot = type(spot)(spot.example.model_copy(update={"request": long}), spot.reason)
    body = writing_body(spot, ["x" * 50_000], 5)
    assert len(str(body)) < 12_000
    assert "Write 5 new messages." in body["messages"][-1]["content"]


def test_inputs_are_new_and_of_a_usual_length() -> None:
    data = intents(60)
    held_out = next(one for one in data.examples if one.split != "train")
    checks = InputChecks(data.examples, LABEL)
    assert checks.input_error("x") == "its length is unusual for the task"
    assert checks.input_error("x" * 10_000) == "its length is unusual for the task"
    assert checks.input_error(input_text(held_out.request).upper()) == "it is a copy of another input"
    assert checks.input_error("money back for order number 4711") == "it is a near copy of another input"
    fresh = "someone stole what I bought yesterday"
    assert checks.input_error(fresh) is None
    assert checks.input_error(fresh) == "it is a copy of another input"
    assert checks.input_error(fresh + " please") == "it is a near copy of another input"


def test_answers_are_of_the_task_and_given_twice() -> None:
    checks = InputChecks(intents(60).examples, LABEL)
    asked = user_request("someone stole what I bought")
    refund, card = assistant_message("refund"), assistant_message("card arrival")
    assert checks.answer_error(asked, refund, assistant_message("Refund")) is None
    assert checks.answer_error(asked, refund, card) == "the teacher did not agree with itself"
    assert checks.answer_error(asked, assistant_message(""), refund) == "the answer is empty"
    stranger = assistant_message("theft")
    assert checks.answer_error(asked, stranger, stranger) == "the answer is none of the task's"


def test_answers_of_an_open_task_may_be_new() -> None:
    data = intents(60, lambda intent, number: assistant_message(f"text {number}"))
    letter = assistant_message("another letter")
    assert InputChecks(data.examples, parse_judge("exact")).answer_error(user_request("a"), letter, letter) is None


def test_answers_have_the_form_that_is_asked_for() -> None:
    data = intents(60, lambda intent, number: assistant_message(f'{{"number": {number}}}'))
    asked = user_request("someone").model_copy(update={"response_format": {"type": "json_object"}})
    prose = assistant_message("no JSON at all")
    error = InputChecks(data.examples, parse_judge("json")).answer_error(asked, prose, prose)
    assert error is not None
    assert "JSON" in error
