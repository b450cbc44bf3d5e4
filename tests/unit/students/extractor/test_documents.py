import json
import random
from typing import Any

import pytest
from tests.support.chat_messages import user_request
from tests.support.datasets import example
from tests.support.invoices import LAYOUTS, make_invoices, unseen_layout

from understudies.datasets.dataset import Example
from understudies.events import Message
from understudies.judges.registry import parse_judge
from understudies.students.extractor.student import ExtractorStudent

JUDGE = parse_judge("json")


@pytest.fixture(scope="module")
def student() -> ExtractorStudent:
    return ExtractorStudent.fit(make_invoices(200, seed=1), JUDGE, seed=1)


async def judge(student: ExtractorStudent, examples: list[Example]) -> list[tuple[float, bool]]:
    """The confidence of each answer, and whether it is right."""
    answers = await student.answer([one.request for one in examples])
    return [
        (answer.confidence, JUDGE.judge(one.answer, answer.message).agreed)
        for one, answer in zip(examples, answers, strict=True)
    ]


def served_threshold(held_out: list[tuple[float, bool]]) -> float:
    """The least confidence of right answers above every wrong one, the lowest twentieth left out."""
    worst = max((confidence for confidence, right in held_out if not right), default=0.0)
    above = sorted(confidence for confidence, right in held_out if right and confidence > worst)
    return above[len(above) // 20]


def test_each_field_of_an_invoice_gets_its_way(student: ExtractorStudent) -> None:
    assert student.plan.description == {
        "invoice_number": "copied as text",
        "customer": "copied as text",
        "contact.name": "copied as text",
        "contact.phone": "copied as text",
        "issued": "copied as date",
        "due": "derived: days(issued, 30)",
        "currency": "chosen",
        "lines": "items",
        "lines[].description": "copied as text",
        "lines[].quantity": "copied as integer_plain",
        "lines[].unit_price": "copied as number",
        "lines[].amount": "derived: product(quantity, unit_price)",
        "line_count": "derived: count(lines)",
        "total": "copied as number, checked: total(lines[].amount)",
    }


async def test_invoices_of_known_layouts_are_answered_as_the_teacher_writes_them(student: ExtractorStudent) -> None:
    later = make_invoices(80, seed=2)
    answers = await student.answer([one.request for one in later])
    exact = [answer.text == one.answer.text for answer, one in zip(answers, later, strict=True)]
    assert sum(exact) >= 0.95 * len(later)


@pytest.mark.parametrize("left_out", range(len(LAYOUTS)))
async def test_an_unseen_layout_is_not_served_wrongly(left_out: int) -> None:
    known = [layout for number, layout in enumerate(LAYOUTS) if number != left_out]
    student = ExtractorStudent.fit(make_invoices(120, seed=1, layouts=known), JUDGE, seed=1)
    usual = await judge(student, make_invoices(60, seed=2, layouts=known))
    threshold = served_threshold(usual)
    assert sum(confidence >= threshold for confidence, _ in usual) >= 0.85 * len(usual)
    unseen = make_invoices(30, seed=3, layouts=[LAYOUTS[left_out], unseen_layout])
    assert all(right for confidence, right in await judge(student, unseen) if confidence >= threshold)


async def test_it_comes_back_from_its_files(student: ExtractorStudent) -> None:
    loaded = ExtractorStudent.from_files(student.to_files())
    later = [one.request for one in make_invoices(10, seed=4)]
    assert await loaded.answer(later) == await student.answer(later)
    assert loaded.to_files() == student.to_files()


INVOICE = """Rechnung Nr. INV-4711
Rechnungsdatum: 3.4.2026
Kunde: Novak Logistics

Pos. 1: 2 x staplers zu je 10,00 EUR
Pos. 2: 5 x desk lamps zu je 4,00 EUR

Gesamtbetrag: 40,00 EUR
Zahlbar ohne Abzug innerhalb von 30 Tagen.
"""


async def ask(student: ExtractorStudent, text: str) -> tuple[dict[str, Any], float]:
    [answer] = await student.answer([user_request(text, system="Name the intent.")])
    return json.loads(answer.text), answer.confidence


async def test_objects_that_are_grouped_in_doubt_lower_the_confidence(student: ExtractorStudent) -> None:
    fields, usual = await ask(student, INVOICE)
    assert [line["description"] for line in fields["lines"]] == ["staplers", "desk lamps"]
    for doubtful in (
        INVOICE.replace("10,00 EUR", "10,00 EUR zu je 12,00 EUR"),
        INVOICE.replace("2 x staplers", "2 x staplers 3 x staplers"),
        INVOICE.replace("5 x desk lamps", "desk lamps"),
    ):
        _, confidence = await ask(student, doubtful)
        assert confidence < usual - 0.1, doubtful


async def test_a_total_that_does_not_add_up_lowers_the_confidence(student: ExtractorStudent) -> None:
    _, usual = await ask(student, INVOICE)
    fields, confidence = await ask(student, INVOICE.replace("Gesamtbetrag: 40,00", "Gesamtbetrag: 47,00"))
    assert fields["total"] == 47.0
    assert confidence < usual - 0.02


async def test_lines_that_no_training_text_had_lower_the_confidence(student: ExtractorStudent) -> None:
    _, usual = await ask(student, INVOICE)
    fields, confidence = await ask(student, INVOICE.replace("Rechnungsdatum", "Datum").replace("Kunde:", "Firma:"))
    assert fields["total"] == 40.0
    assert confidence < usual - 0.01


def make_orders_of_lines(n: int, *, seed: int) -> list[Example]:
    """Orders in words: a note is optional, the size is told by the wording, and the unit never differs."""
    rng = random.Random(seed)
    made = []
    for number in range(n):
        lines, items = [], []
        for _ in range(rng.randrange(0, 4)):
            item: dict[str, Any] = {
                "sku": f"{rng.choice('ABC')}{rng.randrange(100, 999)}",
                "quantity": rng.randrange(2, 60),
            }
            large, note = rng.random() < 0.5, f"desk {rng.randrange(900)}" if rng.random() < 0.5 else None
            item |= {"size": "L" if large else "S", "unit": "piece", "ship": {"note": note}}
            if note is None:
                del item["ship"]
            lines.append(
                f"{item['quantity']} {'big' if large else 'small'} {item['sku']}{f' for {note}' if note else ''}"
            )
            items.append(item)
        text = f"Please send:\n{chr(10).join(lines)}\nThanks" if lines else "Please send nothing this week, thanks"
        made.append(example(text, Message(role="assistant", content=json.dumps({"lines": items})), number))
    return made


async def test_objects_have_optional_chosen_and_constant_fields() -> None:
    student = ExtractorStudent.fit(make_orders_of_lines(240, seed=1), JUDGE, seed=1)
    assert student.plan.description == {
        "lines": "items",
        "lines[].sku": "copied as text",
        "lines[].quantity": "copied as integer_plain",
        "lines[].size": "chosen",
        "lines[].unit": "constant",
        "lines[].ship.note": "copied as text",
    }
    later = make_orders_of_lines(60, seed=2)
    assert any(one.answer.text == '{"lines": []}' for one in later)
    loaded = ExtractorStudent.from_files(student.to_files())
    answers = await loaded.answer([one.request for one in later])
    exact = [answer.text == one.answer.text for answer, one in zip(answers, later, strict=True)]
    assert sum(exact) >= 0.95 * len(later)


def test_a_list_that_one_layout_alone_has_can_be_learned() -> None:
    def letter(number: int) -> Example:
        text = f"Hello,\nit is about case {number}.\nWe write to tell you that all is well.\nGoodbye"
        return example(text, Message(role="assistant", content=json.dumps({"case": number, "parts": []})), number)

    def table(number: int) -> Example:
        parts = [{"part": f"P{number * 37 % 1000 + i}", "is_new": number % 2 == 0} for i in range(2)]
        rows = "\n".join(f"{one['part']} | {'new' if one['is_new'] else 'used'}" for one in parts)
        text = f"case = {number}\npart | state\n{rows}\nend of table"
        return example(text, Message(role="assistant", content=json.dumps({"case": number, "parts": parts})), number)

    student = ExtractorStudent.fit(
        [letter(number) if number % 5 < 3 else table(number) for number in range(100, 200)], JUDGE, seed=1
    )
    assert student.plan.description["parts[].is_new"] == "chosen"
