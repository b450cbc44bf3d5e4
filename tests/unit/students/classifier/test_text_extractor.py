"""What the classifier reads of a request."""

import pytest
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import intents

from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.students.base import classifier_text
from understudies.students.classifier.discriminative_terms import extract_terms, find_discriminative_terms
from understudies.students.classifier.sentences import MAX_TEXT_CHARS
from understudies.students.classifier.student import ClassifierStudent
from understudies.students.classifier.text_extractor import TextExtractor, candidate_extractors

EXAMPLES = examples_decided_by_record(600)
SYSTEM = SystemTemplate.learn([example.request for example in EXAMPLES])


def agreement(student: ClassifierStudent) -> float:
    held_out = [example for example in EXAMPLES if example.split == "evidence"]
    answers = student._answer([student.extractor(example.request) for example in held_out])
    return sum(a.text == e.answer.text for a, e in zip(answers, held_out, strict=True)) / len(held_out)


def fitted(system: SystemTemplate | None) -> ClassifierStudent:
    train, validation = ([e for e in EXAMPLES if e.split == split] for split in ("train", "validation"))
    return ClassifierStudent.fit(train, validation, seed=1, system=system)


def test_what_decides_in_the_system_prompt_is_learnt() -> None:
    student = fitted(None)
    assert agreement(student) >= 0.95
    assert ClassifierStudent.from_files(student.to_files()).extractor == student.extractor
    assert student.to_files() == fitted(None).to_files()
    assert agreement(fitted(NO_CONTEXT)) < 0.75


def test_without_a_context_the_text_alone_is_read() -> None:
    data = intents(90)
    student = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=1)
    assert student.extractor == TextExtractor()
    assert not {"context.json", "reading.json"} & set(student.to_files())
    request = data.examples[0].request
    assert student.extractor(request) == classifier_text(request)


def test_terms_that_tell_answers_apart_are_found_and_no_others() -> None:
    contexts = [SYSTEM.context(example.request) for example in EXAMPLES]
    terms = find_discriminative_terms(contexts, [example.answer.text for example in EXAMPLES])
    assert {"gold", "silver", "plan: gold"} <= set(terms)
    assert all("gold" in term or "silver" in term for term in terms)
    assert find_discriminative_terms(contexts, [str(n % 3) for n in range(600)]) == ()
    assert find_discriminative_terms([], []) == find_discriminative_terms(["", ""], ["a", "b"]) == ()
    assert extract_terms("Plan: gold today", frozenset({"plan: gold", "gold", "silver"})) == "gold plan_gold"


def test_a_long_text_leaves_room_for_its_context_and_the_other_way_round() -> None:
    example = EXAMPLES[0]
    said = [*example.request.messages[:1], example.request.messages[1].model_copy(update={"content": "x " * 9_000})]
    request = example.request.model_copy(update={"messages": tuple(said)})
    read = TextExtractor(SYSTEM, None)(request)
    assert len(read) <= MAX_TEXT_CHARS
    assert read.endswith(SYSTEM.context(request))


def test_a_short_context_may_be_read_whole_and_a_long_one_by_its_terms_alone() -> None:
    requests = [example.request for example in EXAMPLES]
    labels = [example.answer.text for example in EXAMPLES]
    assert [reading.terms is None for reading in candidate_extractors(SYSTEM, requests, labels)] == [False, False, True]
    longer = SYSTEM.model_copy(update={"characters": 5_000})
    assert [reading.terms is None for reading in candidate_extractors(longer, requests, labels)] == [False, False]
    assert candidate_extractors(NO_CONTEXT, requests, labels) == [TextExtractor()]


def test_a_damaged_reading_is_refused() -> None:
    with pytest.raises(ArtifactError, match="text extractor is invalid"):
        TextExtractor.from_files({"reading.json": b"[]"})
