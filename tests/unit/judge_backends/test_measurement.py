import json
from pathlib import Path

import pytest

from understudies.cli.judge import describe_measurement
from understudies.judge_backends.install import install_judge_backends
from understudies.judge_backends.measurement import MarkedPair, measure_judge, read_marks
from understudies.judges.registry import parse_judge
from understudies.runtime.errors import ConfigurationError

install_judge_backends()
THINGS = ["lamp", "chair", "table", "sofa", "carpet", "clock", "mirror", "shelf", "desk", "bed", "stool", "vase"]
PLACES = ["Delft", "Gouda", "Leiden", "Breda", "Zwolle", "Arnhem", "Utrecht", "Haarlem", "Venlo", "Assen"]


def marked() -> list[MarkedPair]:
    """Paraphrases that people see as the same, and answers about something else that they do not."""
    pairs = []
    for thing in THINGS:
        for place in PLACES:
            said = f"The {thing} will be delivered to {place} on Friday."
            pairs.append(
                MarkedPair(teacher=said, student=f"On Friday the {thing} gets delivered to {place}.", agree=True)
            )
            pairs.append(MarkedPair(teacher=said, student=f"Please call our shop about your {thing}.", agree=False))
    return pairs


def test_the_threshold_is_learned_from_some_marks_and_the_error_measured_on_others() -> None:
    measured = measure_judge(parse_judge("semantic"), marked())
    assert measured.marks.of > 40
    assert measured.marks.false <= 0.05 * measured.marks.of
    assert measured.judged < 0.7 * len(marked()), "what the threshold was learned from measures nothing"
    assert parse_judge(measured.judge.name) == measured.judge
    low, high = measured.interval
    assert low <= measured.alike / measured.judged <= high


def test_a_judge_by_field_is_measured_on_whole_answers() -> None:
    pairs = [
        MarkedPair(
            teacher=json.dumps({"text": one.teacher, "n": 1}),
            student=json.dumps({"text": one.student, "n": 1}),
            agree=one.agree,
        )
        for one in marked()
    ]
    measured = measure_judge(parse_judge("json.text=semantic"), pairs)
    assert measured.judge.name.startswith("json[semantic:text;threshold:")
    assert measured.marks.of > 40


def test_random_marks_leave_a_judge_that_proves_nothing() -> None:
    pairs = [pair.model_copy(update={"agree": number % 2 == 0}) for number, pair in enumerate(marked()[::2])]
    measured = measure_judge(parse_judge("semantic"), pairs)
    text = "\n".join(describe_measurement(measured, 0.95, 0.05))
    assert "to prove 95%" in text
    assert "judge =" not in text


def test_a_judge_that_defines_agreement_is_not_measured() -> None:
    with pytest.raises(ConfigurationError, match="defines what agreement is"):
        measure_judge(parse_judge("label"), marked())


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    path.write_text('{"teacher": "a", "student": "b", "agree": true}\n{"teacher": "a", "agree": "yes"}\n')
    with pytest.raises(ConfigurationError, match="line 2"):
        read_marks(path)
    path.write_text('{"teacher": "a", "student": "b", "agree": true}\n' * 3)
    assert len(read_marks(path)) == 1, "one pair is one piece of evidence"
