"""Whether a task's answers are labels with explanations is learned from them, and carefully."""

from collections.abc import Callable

import pytest
from tests.support.chat_messages import assistant_message

from understudies.judges.choice import choose_judge

LABELS = ("billing", "refund", "card arrival")


def chosen(answer: Callable[[str, int], str], count: int = 60) -> str:
    return choose_judge([assistant_message(answer(LABELS[n % 3], n)) for n in range(count)]).name


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (lambda label, n: f"{label} - because the customer asks about invoice {n}", "label[before:dash]"),
        (lambda label, n: f"{label.title()} — case {n} is about it", "label[before:dash]"),
        (lambda label, n: f"{label}: the customer mentions order {n}", "label[before:colon]"),
        (lambda label, n: f"**{label}**: the customer, who wants {n}, is angry", "label[before:colon]"),
        (lambda label, n: f"{label} (confidence: 0.{n})", "label[before:bracket]"),
        (lambda label, n: f"{label.title()}. The customer is asking for {n}.", "label[before:stop]"),
        (lambda label, n: f"{label}, because they said {n}", "label[before:comma]"),
        (lambda label, n: f"{label}\n\nThe message mentions order {n}, so it fits.", "label[before:line]"),
        (lambda label, n: f"{label} | reason {n}", "label[before:bar]"),
        (lambda label, n: f"Label: {label}\nReason: order {n}", "label[field:label]"),
        (lambda label, n: f"**Reasoning:** it says {n}\n**Final answer:** {label}", "label[field:final answer]"),
        (lambda label, n: f"Answer: {label} - the customer asks for {n}", "label[field:answer;before:dash]"),
        (lambda label, n: label if n % 4 else f"{label} - order {n}", "label[before:dash]"),
        (
            lambda label, n: f"{label}{(' - ', ': ', ' (')[n % 5 % 3]}it is about {n})",
            "label[before:bar,bracket,colon,dash,semicolon]",
        ),
    ],
)
def test_a_label_with_an_explanation_is_read_alone(answer: Callable[[str, int], str], name: str) -> None:
    assert chosen(answer) == name


@pytest.mark.parametrize(
    "answer",
    [
        lambda label, n: f"The customer asks about {label} in message {n}.",
        lambda label, n: f"{('The', 'A', 'This')[n % 3]} customer is asking for {n}: {label}",
        lambda label, n: f"{('Dear Ann', 'Hello', 'Hi')[n % 3]}, your order {n} is on its way.",
        lambda label, n: f"{('Hello', 'Dear customer')[n % 2]},\n\nyour order {n} was sent.",
        lambda label, n: f"{('Sure', 'Certainly')[n % 2]}! Here is what was said about {n}.",
        lambda label, n: f"{('fix', 'feat', 'docs')[n % 3]}: handle the missing header of file {n}",
        lambda label, n: f"{('Summary', 'Note')[n % 2]}: the customer is asking about {n}",
        lambda label, n: f"Category: {label}\nPriority: {('low', 'high')[n % 2]}\nSummary: it is about {n}",
        lambda label, n: f"# {label}\n\nThe chapter is about {n}.",
        lambda label, n: f"billing - because of invoice {n}",
        lambda label, n: f"ticket {n} - because the customer asks about it",
    ],
)
def test_prose_and_what_is_more_than_an_explanation_is_compared_whole(answer: Callable[[str, int], str]) -> None:
    assert chosen(answer) == "exact"


def test_a_closed_set_is_read_whole() -> None:
    assert chosen(lambda label, n: f"{label} (confidence: {('high', 'low')[n % 2]})") == "label"


def test_of_two_readings_the_one_that_tells_more_apart_is_taken() -> None:
    def answer(label: str, n: int) -> str:
        return f"{('yes', 'yes, partly', 'no')[n % 3]}: because it is about {n}, as the customer says"

    assert chosen(answer) == "label[before:colon]"
    assert chosen(lambda label, n: f"{('x', 'y')[n % 2]}: {label} - it is about {n}") == "label[before:dash]"


def test_a_few_answers_show_nothing() -> None:
    assert chosen(lambda label, n: f"{label} - because the customer asks about {n}", count=9) == "exact"


def test_one_answer_in_twenty_may_be_otherwise() -> None:
    def answer(every: int) -> Callable[[str, int], str]:
        return lambda label, n: f"No idea about {n}" if n % every == 0 else f"{label} - it is about {n}"

    assert chosen(answer(20)) == "label[before:dash]"
    assert chosen(answer(10)) == "exact"
