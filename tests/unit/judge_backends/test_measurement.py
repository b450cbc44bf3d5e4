import json
from pathlib import Path

import pytest

from understudies.cli.judge import describe_measurement
from understudies.judge_backends.install import install_judge_backends
from understudies.judge_backends.measurement import MarkedPair, measure_judge, read_marks
from understudies.judges.fallible import judge_error
from understudies.judges.registry import parse_judge
from understudies.judges.semantic import SemanticJudge
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


def shown(pair: MarkedPair, *, agreed: bool, judge: str = "semantic", number: int = 0) -> MarkedPair:
    """The pair as the console gives it."""
    return pair.model_copy(update={"agreed": agreed, "judge": judge, "verdict": f"{number}"})


def test_no_threshold_is_learned_below_that_of_the_agreements_that_were_marked() -> None:
    """Of a judge with the threshold 0.9 people mark agreements: what lies below 0.9 nobody has seen."""
    pairs = [pair for pair in marked() if pair.agree]
    texts = [f"The {thing} costs {price} euros." for thing in THINGS for price in (10, 20, 30, 40, 50)]
    close = [MarkedPair(teacher=text, student=text.replace("costs", "cost"), agree=True) for text in texts]
    measured = measure_judge(parse_judge("semantic"), [shown(pair, agreed=True) for pair in close])
    assert isinstance(measured.judge, SemanticJudge)
    assert measured.judge.threshold >= 0.9
    lower = [shown(pair, agreed=True, judge="semantic[threshold:0.8]") for pair in close]
    measured = measure_judge(parse_judge("semantic"), lower)
    assert isinstance(measured.judge, SemanticJudge)
    assert measured.judge.threshold >= 0.9, "no pair is known that reaches 0.8 alone"
    chosen = [shown(pair, agreed=False) for pair in pairs]
    assert measure_judge(parse_judge("semantic"), chosen).marks.of == 0, "somebody chose these disagreements"


def test_agreements_of_another_judge_are_no_sample_of_this_ones() -> None:
    pairs = [shown(pair, agreed=True, judge="exact") for pair in marked() if pair.agree]
    assert measure_judge(parse_judge("semantic[threshold:0.5]"), pairs).marks.of == 0


def test_a_false_agreement_that_comes_often_counts_as_often() -> None:
    """Users live by calls: one false pair that is every fifth call is no share of one in a hundred."""
    pairs = [shown(pair, agreed=True, judge="semantic[threshold:0.5]") for pair in marked() if pair.agree]
    common = MarkedPair(teacher="It is open on Monday.", student="It is open on  Monday", agree=False)
    pairs += [shown(common, agreed=True, judge="semantic[threshold:0.5]")] * 30
    pairs = [pair.model_copy(update={"verdict": f"{number}"}) for number, pair in enumerate(pairs)]
    assert judge_error(measure_judge(parse_judge("semantic"), pairs).judge, 0.05) > 0.1
    for teacher in ("It is open on Sunday.", "It is open on Friday."):  # in either half
        other = common.model_copy(update={"teacher": teacher, "student": teacher.replace("open", "Open")})
        again = [*pairs[:-30], *(other.model_copy(update={"verdict": f"{number}"}) for number in range(30))]
        assert judge_error(measure_judge(parse_judge("semantic"), again).judge, 0.05) > 0.1


def test_of_two_marks_of_one_call_the_contradiction_holds(tmp_path: Path) -> None:
    line = '{"teacher": "a", "student": "b", "verdict": "1", "agree": '
    path = tmp_path / "marks.jsonl"
    path.write_text(f"{line}false}}\n{line}true}}\n")
    [pair] = read_marks(path)
    assert not pair.agree


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
