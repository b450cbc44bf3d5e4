"""An authorised student gets the dataset of its task: one example an input, in the split of its fingerprint."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.observer_harness import ObserverHarness, run_observer
from tests.support.sample_events import START, make_invocation, make_promotion

from understudies.datasets.dataset import Example
from understudies.datasets.teacher_lineage import terms_of
from understudies.events import Invocation, Message, Response, Route, encode, fingerprint, request_of, split_of
from understudies.events.invocation import Reason

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[ObserverHarness]:
    async with run_observer(tmp_path) as scene:
        yield scene


def routed(reason: Reason) -> Route:
    return Route(reason=reason)


def texts(examples: tuple[Example, ...]) -> list[str]:
    return [example.request.messages[0].text for example in examples]


DRAWING: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
THOUGHT: list[dict[str, Any]] = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}]


async def test_the_dataset_holds_what_the_teacher_answered_oldest_first(scene: ObserverHarness) -> None:
    calls = [make_invocation(f"question {n}", f"answer {n}", at=START - n * MINUTE) for n in range(100)]
    await scene.publish_and_wait(*calls)
    authorised = make_promotion()
    await scene.publish_and_wait(authorised)
    story, dataset = scene.last_collected(), scene.read_last_dataset()
    assert texts(dataset.examples) == [f"question {n}" for n in reversed(range(100))]
    assert [example.answer.text for example in dataset.examples] == [f"answer {n}" for n in reversed(range(100))]
    assert all(example.split == split_of(example.fingerprint) for example in dataset.examples)
    assert {example.id for example in dataset.examples} == {call.id for call in calls}
    assert (story.student, story.at, story.task) == (authorised.student, authorised.at, authorised.task)
    assert story.dataset is not None
    assert story.dataset.endswith(f"{story.evidence['digest']}.jsonl")
    assert story.evidence["examples"] == 100
    assert story.evidence["counts"] == dataset.counts
    assert story.evidence["teachers"] == ["teacher-1"]
    assert story.evidence["profile"] is not None


async def test_only_the_tasks_own_answers_of_the_teacher_count(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        make_invocation("mine"),
        make_invocation("by the student", served_by="student", student="triage@0"),
        make_invocation("failed", response=None, error="timeout"),
        make_invocation("thoughts alone", response=Response(message=Message(role="assistant"), finish_reason="stop")),
        make_invocation(
            "goes on",
            response=Response(message=Message(role="assistant", content="so far"), finish_reason="pause_turn"),
        ),
        make_invocation(
            "drawn",
            response=Response(message=Message(role="assistant", content=[{"type": "text", "text": "Here:"}, DRAWING])),
        ),
        make_invocation("thought about", response=Response(message=Message(role="assistant", content=THOUGHT))),
        make_invocation("another task's", task="other"),
        make_invocation("too late", at=START + MINUTE),
        make_invocation("audited", origin="audit", audits="x", route=routed("audit")),
        make_invocation("by a successor", origin="succession", audits="x", route=routed("audit")),
        make_invocation("from a file", origin="imported"),
    )
    await scene.publish_and_wait(make_promotion())
    assert sorted(texts(scene.read_last_dataset().examples)) == ["audited", "from a file", "mine", "thought about"]


async def test_a_conversation_lands_whole_in_the_split_of_its_first_call(scene: ObserverHarness) -> None:
    asked = [
        conversation(f"case {case}", "On its way.", "Since when?", "Monday.", "Thanks!", turn=turn, case=case)
        for case in range(20)
        for turn in range(3)
    ]
    # Asked again later, a first turn is still the first.
    again = asked[0].model_copy(update={"id": "again", "at": START})
    await scene.publish_and_wait(*asked, again, make_promotion())
    split = {example.fingerprint: example.split for example in scene.read_last_dataset().examples}
    assert len(split) == 60
    assert all(split[call.fingerprint] == split_of(asked[n - n % 3].fingerprint) for n, call in enumerate(asked))


def conversation(*said: str, turn: int, case: int) -> Invocation:
    """A call of a conversation, which holds the turns before it."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said[: 1 + 2 * turn])]
    request = request_of({"messages": messages})
    call = make_invocation(
        f"case {case}, {turn}", at=START - timedelta(hours=1, minutes=case) + turn * timedelta(seconds=9)
    )
    return call.model_copy(update={"request": request, "fingerprint": fingerprint(request)})


async def test_the_latest_answer_to_an_input_wins(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        make_invocation("same", "old", at=START - 2 * MINUTE),
        make_invocation("other", "x", at=START - 1.5 * MINUTE),
        make_invocation("same", "new", at=START - MINUTE),
    )
    await scene.publish_and_wait(make_promotion())
    assert [example.answer.text for example in scene.read_last_dataset().examples] == ["x", "new"]
    assert scene.last_collected().evidence["calls"] == 3


async def test_an_example_tells_how_many_calls_had_its_input_and_what_they_were_answered(
    scene: ObserverHarness,
) -> None:
    # They come in another order than they were made.
    for minute in (3, 1, 4, 2, 0):
        await scene.publish_and_wait(make_invocation("often", f"answer {minute}", at=START - (10 - minute) * MINUTE))
    await scene.publish_and_wait(make_invocation("once", "x", at=START - MINUTE), make_promotion())
    often, once = scene.read_last_dataset().examples
    assert (often.answer.text, often.calls) == ("answer 4", 5)
    assert [answer.text for answer in often.repeats] == [f"answer {minute}" for minute in range(4)]
    assert (once.answer.text, once.calls, once.repeats) == ("x", 1, ())


async def test_of_many_answers_the_twenty_before_the_last_are_kept(scene: ObserverHarness) -> None:
    calls = [make_invocation("often", f"answer {n:02}", at=START - (40 - n) * MINUTE) for n in range(30)]
    await scene.publish_and_wait(*reversed(calls), make_promotion())
    [example] = scene.read_last_dataset().examples
    assert (example.answer.text, example.calls) == ("answer 29", 30)
    assert [answer.text for answer in example.repeats] == [f"answer {n:02}" for n in range(9, 29)]


async def test_a_synthetic_answer_is_no_repeat(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        make_invocation("same", "real", at=START - 3 * MINUTE),
        make_invocation("same", "made up", at=START - 2 * MINUTE, origin="synthetic"),
        make_invocation("same", "real too", at=START - MINUTE),
        make_promotion(),
    )
    [example] = scene.read_last_dataset().examples
    assert (example.answer.text, [answer.text for answer in example.repeats]) == ("real too", ["real"])


async def test_one_answer_given_twice_is_repeated_once(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        make_invocation("same", "x", at=START - MINUTE), make_invocation("same", "x"), make_promotion()
    )
    [example] = scene.read_last_dataset().examples
    assert (example.calls, [answer.text for answer in example.repeats]) == (2, ["x"])


async def test_what_is_withheld_is_biased_and_an_unproven_head_is_not(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        *[make_invocation(reason, route=routed(reason)) for reason in ("withheld", "unproven", "unconfirmed")],
        make_promotion(),
    )
    unbiased = {e.request.messages[0].text: e.unbiased for e in scene.read_last_dataset().examples}
    assert unbiased == {"withheld": False, "unproven": True, "unconfirmed": False}


async def test_synthetic_examples_only_ever_train(scene: ObserverHarness) -> None:
    made = [make_invocation(f"made up {n}", origin="synthetic") for n in range(60)]
    real = make_invocation("made up 0", "real answer", at=START - 10 * MINUTE)
    await scene.publish_and_wait(real, *made)
    await scene.publish_and_wait(make_promotion())
    dataset = scene.read_last_dataset()
    kept = {text for text in texts(dataset.examples) if text != "made up 0"}
    expected = {call.request.messages[0].text for call in made if split_of(fingerprint(call.request)) == "train"}
    assert kept == expected - {"made up 0"}
    (answer,) = [e.answer.text for e in dataset.examples if e.request.messages[0].text == "made up 0"]
    assert answer == "real answer"


async def test_an_input_is_unbiased_if_the_teacher_was_ever_chosen_without_regard_to_confidence(
    scene: ObserverHarness,
) -> None:
    await scene.publish_and_wait(
        make_invocation("no route"),
        make_invocation("control", route=routed("control")),
        make_invocation("escalated", route=routed("low_confidence")),
        make_invocation("after an error", route=routed("student_error")),
        make_invocation("critical", route=routed("critical")),
        make_invocation("over budget", route=routed("over_budget")),
        make_invocation("unsuitable", route=routed("unsuitable")),
        make_invocation("both", at=START - MINUTE, route=routed("no_student")),
        make_invocation("both", route=routed("low_confidence")),
    )
    await scene.publish_and_wait(make_promotion())
    unbiased = {e.request.messages[0].text: e.unbiased for e in scene.read_last_dataset().examples}
    assert unbiased == {
        "no route": True,
        "control": True,
        "escalated": False,
        "after an error": False,
        "critical": False,
        "over budget": False,
        "unsuitable": False,
        "both": True,
    }


async def test_answers_from_before_a_drift_are_left_out(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(
        make_invocation("old", at=START - 2 * MINUTE), make_invocation("new", at=START - MINUTE)
    )
    since = (START - MINUTE).isoformat()
    await scene.publish_and_wait(make_promotion(version=2, evidence={"since": since}))
    assert texts(scene.read_last_dataset().examples) == ["new"]


async def test_calls_of_the_same_batch_are_collected(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(make_promotion(), *[make_invocation(f"question {n}") for n in range(10)])
    assert len(scene.promotions) == 2


async def test_an_authorisation_handled_again_gives_the_same_dataset(scene: ObserverHarness, tmp_path: Path) -> None:
    await scene.publish_and_wait(*[make_invocation(f"question {n}") for n in range(30)])
    authorised = make_promotion()
    await scene.publish_and_wait(authorised)
    first = scene.last_collected()
    await scene.publish_and_wait(make_invocation("later", at=START + MINUTE))
    await scene.store.command("TRUNCATE TABLE promotions")
    await scene.publish_and_wait(authorised)
    assert [story.stage for story in scene.promotions] == ["authorised", "collected", "authorised", "collected"]
    assert scene.last_collected().dataset == first.dataset
    assert len(list((tmp_path / "datasets").iterdir())) == 1


async def test_a_student_that_went_on_is_not_collected_again(scene: ObserverHarness) -> None:
    authorised = make_promotion()
    await scene.publish_and_wait(authorised)
    await scene.publish_and_wait(authorised)
    assert [story.stage for story in scene.promotions] == ["authorised", "collected", "authorised"]


async def test_a_task_without_answers_gives_an_empty_dataset(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(make_promotion(task="silent"))
    assert scene.read_last_dataset().examples == ()
    assert scene.last_collected().evidence["counts"] == {}


async def test_stored_calls_that_no_longer_parse_are_counted_and_left_out(scene: ObserverHarness) -> None:
    line = encode(make_invocation("good"))
    broken = encode(make_invocation("broken")).replace(b'"messages":[', b'"messages":"gone","was":[')
    await scene.store.insert("invocations", [line, broken])
    await scene.publish_and_wait(make_promotion())
    assert texts(scene.read_last_dataset().examples) == ["good"]
    assert scene.last_collected().evidence["unreadable"] == 1


async def test_a_dataset_takes_the_newest_inputs_up_to_its_limit(tmp_path: Path) -> None:
    async with run_observer(tmp_path, max_examples=3) as scene:
        await scene.publish_and_wait(*[make_invocation(f"question {n}", at=START - n * MINUTE) for n in range(10)])
        await scene.publish_and_wait(make_promotion())
        assert texts(scene.read_last_dataset().examples) == ["question 2", "question 1", "question 0"]


async def test_an_input_is_for_training_alone_until_a_call_that_may_be_evidence_has_it(scene: ObserverHarness) -> None:
    earlier = START - MINUTE
    await scene.publish_and_wait(
        make_invocation("of an old log", at=earlier, origin="imported", training_only=True),
        make_invocation("asked since", at=earlier, origin="imported", training_only=True),
        make_invocation("asked since"),
        make_invocation("student unsure since", at=earlier, origin="imported", training_only=True),
        make_invocation("student unsure since", route=routed("low_confidence")),
        make_invocation("of a young log", origin="imported"),
    )
    await scene.publish_and_wait(make_promotion())
    examples = scene.read_last_dataset().examples
    assert {example.request.messages[0].text: example.training_only for example in examples} == {
        "of an old log": True,
        "asked since": None,
        "student unsure since": True,
        "of a young log": None,
    }
    assert all(example.unbiased for example in examples)


@pytest.mark.parametrize(
    ("said", "consent"),
    [
        (["yes", "yes"], True),
        (["Yes"], True),
        (["yes", None], None),
        (["yes", "perhaps"], None),
        ([None], None),
        (["no"], False),
        (["yes", "no"], False),
        (["FALSE", "yes"], False),
    ],
)
async def test_an_example_has_consent_if_all_its_calls_have_it_and_none_if_one_is_refused(
    scene: ObserverHarness, said: list[str | None], consent: bool | None
) -> None:
    calls = [
        make_invocation("mine", at=START - number * MINUTE, tags={} if word is None else {"consent": word})
        for number, word in enumerate(said)
    ]
    await scene.publish_and_wait(*calls, make_promotion())
    [example] = scene.read_last_dataset().examples
    assert example.consent is consent


async def test_an_example_says_whether_its_teachers_answers_may_train(scene: ObserverHarness) -> None:
    teachers = ("gpt-5-mini", "deepseek-r1", "own-model")
    calls = [make_invocation(f"asked of {name}", model=name) for name in teachers]
    await scene.publish_and_wait(*calls, make_promotion())
    found = scene.read_last_dataset()
    assert {example.teacher: example.terms for example in found.examples} == {name: terms_of(name) for name in teachers}
    assert found.terms == {name: terms_of(name).sentence for name in teachers}
    old = found.examples[0].model_copy(update={"terms": None})
    assert old.known_terms == terms_of(old.teacher), "of a dataset that was written before terms were kept"
