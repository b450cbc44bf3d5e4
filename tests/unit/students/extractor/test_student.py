import asyncio
import json
import random
import subprocess
import sys
from typing import Any

import pytest
from tests.support.chat_messages import user_request
from tests.support.datasets import example
from tests.support.orders import UNSEEN_LAYOUT, make_orders, write_json, write_tool_call

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.events import Message, Request
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer
from understudies.students.extractor.crf import LabelModel
from understudies.students.extractor.obstacles import NotExtractable
from understudies.students.extractor.student import ExtractorStudent

TRAIN = make_orders(240, seed=1)
LATER = make_orders(80, seed=2)
JUDGE = parse_judge("json")
RULES = " ".join(f"Follow rule {chr(97 + n % 26)}{chr(97 + n // 26)} of the house." for n in range(60))


@pytest.fixture(scope="module")
def student() -> ExtractorStudent:
    return ExtractorStudent.fit(TRAIN, JUDGE, seed=1)


async def ask(student: ExtractorStudent, examples: list[Example]) -> list[Answer]:
    return await student.answer([example.request for example in examples])


async def test_orders_are_answered_as_the_teacher_writes_them(student: ExtractorStudent) -> None:
    answers = await ask(student, LATER)
    exact = [answer.text == order.answer.text for answer, order in zip(answers, LATER, strict=True)]
    assert sum(exact) >= 0.95 * len(LATER)
    wrong = [answer.confidence for answer, ok in zip(answers, exact, strict=True) if not ok]
    assert all(confidence < 0.98 for confidence in wrong)


async def test_an_unseen_layout_is_answered_without_confidence(student: ExtractorStudent) -> None:
    usual = sorted(answer.confidence for answer in await ask(student, LATER))
    unseen = [answer.confidence for answer in await ask(student, make_orders(40, seed=3, layouts=[UNSEEN_LAYOUT]))]
    assert max(unseen) < usual[len(usual) // 10]


async def test_it_comes_back_from_its_files_byte_for_byte(student: ExtractorStudent) -> None:
    files = student.to_files()
    loaded = ExtractorStudent.from_files(files)
    assert loaded.to_files() == files
    assert await ask(loaded, LATER[:10]) == await ask(student, LATER[:10])
    assert ExtractorStudent.fit(TRAIN, JUDGE, seed=1).to_files() == files, "training again gives the same artifact"


@pytest.mark.parametrize("damage", ["missing", "garbled", "no tagger", "empty tagger"])
def test_damaged_files_are_an_artifact_error(student: ExtractorStudent, damage: str) -> None:
    files = dict(student.to_files())
    if damage == "missing":
        del files["extractor.json"]
    elif damage == "garbled":
        files["extractor.json"] = b'{"plans": 3}'
    elif damage == "no tagger":
        del files["tagger.crfsuite"]
    else:
        files["tagger.crfsuite"] = b""
    with pytest.raises(ArtifactError, match="train it again"):
        ExtractorStudent.from_files(files)


@pytest.fixture(scope="module")
def encoding_student() -> ExtractorStudent:
    """A student that uses the encoder."""
    return ExtractorStudent.fit(TRAIN, JUDGE, seed=1, encoder=True)


async def test_with_the_encoder_it_answers_as_well_and_comes_back_from_its_files(
    encoding_student: ExtractorStudent,
) -> None:
    answers = await ask(encoding_student, LATER)
    right = [answer.text == order.answer.text for answer, order in zip(answers, LATER, strict=True)]
    assert sum(right) >= 0.95 * len(LATER)
    files = encoding_student.to_files()
    loaded = ExtractorStudent.from_files(files)
    assert loaded.to_files() == files
    assert await ask(loaded, LATER[:10]) == answers[:10]
    assert (await ask(loaded, LATER[:1]))[0] == answers[0], "alone as among others"


def test_damaged_scores_are_an_artifact_error(encoding_student: ExtractorStudent) -> None:
    files = encoding_student.to_files()
    with pytest.raises(ArtifactError, match="the scores of labels are damaged"):
        ExtractorStudent.from_files({**files, "label-scores.npz": b"no archive"})


def test_requests_too_long_for_the_encoder_are_named() -> None:
    long = [
        one.model_copy(update={"request": user_request(f"{one.request.messages[-1].text} {RULES} {RULES}")})
        for one in TRAIN[:60]
    ]
    with pytest.raises(NotExtractable, match="too long for the encoder"):
        ExtractorStudent.fit(long, JUDGE, seed=1, encoder=True)


def test_its_held_out_answers_are_told(student: ExtractorStudent) -> None:
    held_out = student.out_of_sample
    assert held_out is not None
    assert len(held_out.confidences) == len(held_out.agreed) >= len(TRAIN)
    assert held_out.agreed.mean() > 0.8
    assert ExtractorStudent.from_files(student.to_files()).out_of_sample is None


def test_answering_needs_no_library_of_training() -> None:
    code = (
        "import sys\n"
        "from understudies.students.extractor.student import ExtractorStudent\n"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_calls_of_a_tool_are_answered_by_calls(student: ExtractorStudent) -> None:
    train = make_orders(240, seed=1, write=write_tool_call)
    judge = choose_judge([example.answer for example in train])
    of_tools = ExtractorStudent.fit(train, judge, seed=1)
    later = make_orders(20, seed=2, write=write_tool_call)
    for order, answer in zip(later, await ask(of_tools, later), strict=True):
        assert answer.message.tool_calls is not None
        assert answer.message.tool_calls[0].id == "call_0"
        assert judge.judge(order.answer, answer.message).agreed or answer.confidence < 0.98


def wanting(order: Example, **fields: object) -> Request:
    return Request.model_validate({**order.request.model_dump(), **fields})


def schema(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


ASKED = {"reference": {"type": "string", "pattern": "^PO-"}, "quantity": {"type": "integer"}}


@pytest.mark.parametrize(
    ("properties", "valid"),
    [
        (ASKED, True),
        (ASKED | {"quantity": {"type": "string"}}, False),
        (ASKED | {"reference": {"type": "string", "pattern": "^INV-"}}, False),
        (ASKED | {"weight": {"type": "number"}}, False),
    ],
)
async def test_an_answer_that_does_not_fit_the_schema_has_no_confidence(
    student: ExtractorStudent, properties: dict[str, object], valid: bool
) -> None:
    declared = {"type": "json_schema", "json_schema": {"name": "order", "schema": schema(**properties)}}
    [free] = await ask(student, LATER[:1])
    [answer] = await student.answer([wanting(LATER[0], response_format=declared)])
    assert answer.text == free.text
    assert answer.confidence == (free.confidence if valid else 0.0)
    assert free.confidence > 0.5


@pytest.mark.parametrize(
    ("name", "parameters", "valid"),
    [
        ("book_order", schema(**ASKED), True),
        ("book_order", schema(weight={"type": "number"}), False),
        ("other", schema(**ASKED), False),
    ],
)
async def test_a_call_that_does_not_fit_its_tool_has_no_confidence(
    name: str, parameters: dict[str, object], valid: bool
) -> None:
    train = make_orders(120, seed=1, write=write_tool_call)
    of_tools = ExtractorStudent.fit(train, choose_judge([example.answer for example in train]), seed=1)
    tool = {"type": "function", "function": {"name": name, "parameters": parameters}}
    [answer] = await of_tools.answer([wanting(LATER[0], tools=[tool])])
    assert (answer.confidence > 0.5) is valid


@pytest.mark.parametrize("text", ["", "   ", "word " * 5_000, "x" * 30_000])
async def test_what_has_no_tokens_or_too_many_gets_no_answer(student: ExtractorStudent, text: str) -> None:
    [answer] = await student.answer([user_request(text, system="")])
    assert (answer.text, answer.confidence) == ("", 0.0)


def test_answers_drawn_at_random_are_not_extracted() -> None:
    rng = random.Random(5)
    answers = [order.answer for order in TRAIN]
    rng.shuffle(answers)
    drawn = [order.model_copy(update={"answer": answer}) for order, answer in zip(TRAIN, answers, strict=True)]
    with pytest.raises(NotExtractable, match=r"field (reference|item|total|quantity|delivery)"):
        ExtractorStudent.fit(drawn, JUDGE, seed=1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("free text", "0 of 60 answers are objects of simple fields.*the answer is not JSON in 60"),
        (json.dumps({"rows": [[1], [2]]}), "rows is a list of lists, or of objects and other values in 60"),
    ],
)
def test_other_answers_are_declined_with_the_reason(content: str, why: str) -> None:
    others = [
        order.model_copy(update={"answer": order.answer.model_copy(update={"content": content})})
        for order in TRAIN[:60]
    ]
    with pytest.raises(NotExtractable, match=why):
        ExtractorStudent.fit(others, JUDGE, seed=1)


def test_fields_that_lack_too_often_together_are_named() -> None:
    rng = random.Random(4)

    def write(fields: dict[str, Any]) -> Message:
        spoilt = int(rng.random() / 0.15)
        if spoilt < 4:
            name = ("reference", "item", "quantity", "total")[spoilt]
            fields[name] = f"{name}-{rng.randrange(10**6)}" if isinstance(fields[name], str) else rng.random()
        return write_json(fields)

    with pytest.raises(NotExtractable, match=r"half are needed: field .*a value stands nowhere") as caught:
        ExtractorStudent.fit(make_orders(240, seed=1, write=write), JUDGE, seed=1)
    assert str(caught.value).count("field ") == 4


def test_lists_in_another_order_than_the_text_are_named() -> None:
    calls = [
        example(f"first part {n} then part {n + 500}", write_json({"lines": [{"n": n + 500}, {"n": n}]}), n)
        for n in range(100, 160)
    ]
    with pytest.raises(NotExtractable, match=r"all values of 0 of 60 .* half are needed: they overlap, or are in ano"):
        ExtractorStudent.fit(calls, JUDGE, seed=1)


def test_a_few_wrong_answers_of_the_teacher_do_not_stop_it() -> None:
    rng = random.Random(6)
    noisy = [
        order.model_copy(update={"answer": rng.choice(TRAIN).answer}) if rng.random() < 0.08 else order
        for order in TRAIN
    ]
    student = ExtractorStudent.fit(noisy, JUDGE, seed=1)
    assert student.plan.description["total"] == "copied as number_point"


async def test_numbers_that_training_never_showed_are_not_read(student: ExtractorStudent) -> None:
    for written in ("€-1,030.50", "€3.125", "€1.2k", "€1.030,50"):
        text = f"Order PO-7001\nArticle: staplers\nQty: 12\nShip to: Graz\nTotal: {written}\n"
        [answer] = await student.answer([user_request(text, system="Name the intent.")])
        total = json.loads(answer.text).get("total") if answer.confidence > 0 else None
        assert total in (None, 3.125), (written, answer)


async def test_a_field_that_never_lacks_is_not_left_out(student: ExtractorStudent) -> None:
    text = "Order PO-7001\nArticle: staplers\nQty: 12\nShip to: Graz\nTotal: on request\n"
    [answer] = await student.answer([user_request(text, system="Name the intent.")])
    assert answer.confidence == 0.0


def test_texts_that_are_all_near_copies_can_be_learned() -> None:
    orders = [
        order.model_copy(update={"request": user_request(f"{RULES}\n{order.request.messages[-1].text}")})
        for order in TRAIN
    ]
    ExtractorStudent.fit(orders, JUDGE, seed=1)


async def test_one_text_alone_can_be_learned() -> None:
    order = TRAIN[0]
    student = ExtractorStudent.fit([order] * 40, JUDGE, seed=1)
    [answer] = await ask(student, [order])
    assert answer.text == order.answer.text


async def test_requests_answered_in_words_lower_the_confidence() -> None:
    refusal = Message(role="assistant", content="We do not ship that to Oslo.")
    others = make_orders(300, seed=9)
    mixed = [
        order.model_copy(update={"answer": refusal}) if "Oslo" in order.answer.text and number % 2 else order
        for number, order in enumerate(others)
    ]
    student = ExtractorStudent.fit(mixed, JUDGE, seed=1)
    usual = [answer.confidence for answer in await ask(student, LATER)]
    assert max(usual) < 0.99, "some answers of JSON were wrong, and nothing tells which"


async def test_answers_in_threads_are_those_on_the_loop(student: ExtractorStudent) -> None:
    alone = [(await ask(student, [order]))[0] for order in LATER]
    batches = [asyncio.create_task(ask(student, LATER)) for _ in range(3)]
    meanwhile = [(await ask(student, [order]))[0] for order in LATER]
    assert meanwhile == alone
    assert await asyncio.gather(*batches) == [alone] * 3


async def test_an_object_that_is_sometimes_null_is_answered() -> None:
    def write(fields: dict[str, Any]) -> Message:
        due = fields["delivery"].pop("due")
        return write_json(fields | {"appointment": {"date": due, "kind": "fixed"} if due else None})

    student = ExtractorStudent.fit(make_orders(240, seed=1, write=write), JUDGE, seed=1)
    later = make_orders(60, seed=2, write=write)
    exact = [answer.text == order.answer.text for answer, order in zip(await ask(student, later), later, strict=True)]
    assert sum(exact) >= 0.95 * len(later)


async def test_labels_are_answered_in_the_order_of_the_teacher() -> None:
    def write(fields: dict[str, Any]) -> Message:
        facts = {
            "abroad": fields["delivery"]["city"] != "Basel",
            "dated": fields["delivery"]["due"] is not None,
            "euro": fields["currency"] == "EUR",
            "paper": fields["item"] in ("sticky notes", "a4 paper"),
            "bulk": fields["quantity"] == 1250,
        }
        return write_json({"reference": fields["reference"], "tags": [name for name, holds in facts.items() if holds]})

    student = ExtractorStudent.fit(make_orders(400, seed=1, write=write), JUDGE, seed=1)
    assert student.plan.description["tags"] == "multi-label"
    later = make_orders(60, seed=2, write=write)
    answers = await ask(ExtractorStudent.from_files(student.to_files()), later)
    assert sum(answer.text == order.answer.text for answer, order in zip(answers, later, strict=True)) >= 0.9 * len(
        later
    )


def test_a_model_without_any_label_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one labelled item"):
        LabelModel.fit([])


KINDS = ("novel", "essay", "album", "textbook", "saga", "series")
RATINGS = (
    "rate this {} {} stars",
    "a {} that deserves {} stars",
    "{} : {}",
    "my new {} gets {}",
    "the old {} is worth {} stars",
)


async def test_neighbouring_parts_of_one_value_are_joined() -> None:
    generator = random.Random(4)
    train = []
    for number in range(200):
        kind, stars = generator.choice(KINDS), str(generator.randint(1, 6))
        text = f"{generator.choice(RATINGS).format(kind, stars)} no. {number}"
        train.append(example(text, write_json({"kind": kind, "stars": stars})))
    student = ExtractorStudent.fit(train, JUDGE, seed=1)
    [answer] = await student.answer([user_request("rate this essay novel 3 stars no. 201")])
    assert json.loads(answer.text) == {"kind": "essay novel", "stars": "3"}
    assert answer.confidence > 0
