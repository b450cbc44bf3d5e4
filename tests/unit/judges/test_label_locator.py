import time

import pytest
from tests.support.chat_messages import assistant_message

from understudies.judges.label import LabelLocator
from understudies.judges.registry import parse_judge


@pytest.mark.parametrize(
    ("name", "teacher", "student"),
    [
        ("before:dash", "billing - because of an invoice", "Billing – the customer was charged twice"),
        ("before:dash", "card-arrival — it is late", "card arrival"),
        ("before:dash", "**Refund** -> wants money", "refund - x"),
        ("before:colon", "**Billing: it is about an invoice**", "billing: charged"),
        ("before:bracket", "billing (confidence: 0.9)", "billing (confidence: 0.8)"),
        ("before:stop", "Yes. It is allowed.", "yes! Because 1.5 is below 2."),
        ("before:comma", "no, because it is 1,250", "No, it is not"),
        ("before:line", "\n5-10\n\nThe text says so.", "5-10"),
        ("before:semicolon,bar", "refund | wants money", "refund; it broke"),
        ("field:label", "Label: billing\nReason: an invoice", "**Label:** Billing\n**Reason:** charged twice"),
        ("field:answer", "Reason: it says so\nAnswer:\nyes", "# Answer\nno\nANSWER = yes"),
        ("field:answer;before:comma", "Answer: yes, because", "- **Answer**: **yes**, as told"),
        ("field:label", "Label: billing\nReason: an invoice", "billing"),
    ],
)
def test_the_explanation_does_not_count(name: str, teacher: str, student: str) -> None:
    assert parse_judge(f"label[{name}]").judge(assistant_message(teacher), assistant_message(student)).agreed


@pytest.mark.parametrize(
    ("name", "teacher", "student"),
    [
        ("before:dash", "billing - because", "refund - because"),
        ("before:dash", "not billing - because", "billing - because"),
        ("before:dash", "5-10 - because", "5 - 10 because"),
        ("before:colon", "12:30: lunch", "12:45: lunch"),
        ("before:dash", "- because", "- since"),
        ("before:line", "yes\nno", "no\nyes"),
        ("field:label", "Label: billing\nReason: x", "Label: refund\nReason: x"),
        ("field:label", "Label: a\nLabel: b", "Label: a\nLabel: c"),
        ("field:label", "Reason: x", "Reason: y"),
    ],
)
def test_the_label_does(name: str, teacher: str, student: str) -> None:
    assert not parse_judge(f"label[{name}]").judge(assistant_message(teacher), assistant_message(student)).agreed


def test_what_is_not_the_label_is_told_apart_from_it() -> None:
    assert LabelLocator().locate("a - b") == ("a - b", "")
    assert LabelLocator(before=frozenset({"dash"})).locate("a - b\nc") == ("a", "- b\nc")
    assert LabelLocator("label").locate("Reason: x\nLabel: a\nNote: y") == ("a", "Reason: x\nNote: y")


@pytest.mark.parametrize("hostile", ["\n", " ", "- ", "Label:", "*", "\nLabel: a", "( ", "—"])
def test_a_megabyte_is_read_in_linear_time(hostile: str) -> None:
    long = hostile * (1_000_000 // len(hostile))
    began = time.process_time()
    for name in ("label[before:bar,bracket,colon,comma,dash,semicolon,stop]", "label[field:label;before:dash]"):
        assert not parse_judge(name).judge(assistant_message("billing"), assistant_message(long)).agreed
    assert time.process_time() - began < 10
