"""Measure a judge on pairs of answers that people marked: its false agreements, its threshold, its position bias."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.events import Message, position
from understudies.judges.backends import RubricAnswer, ask_rubric
from understudies.judges.base import Judge, Judgement
from understudies.judges.field_judges import FieldJudges
from understudies.judges.human_marks import HumanMarks
from understudies.judges.json_value import JsonJudge
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.judges.rubric import RubricJudge
from understudies.judges.semantic import SemanticJudge
from understudies.runtime.errors import ConfigurationError
from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper

_LEARNING_SHARE: Final = 0.5
"""The share of marks that a threshold is learned from; the others measure the judge with it."""
_THRESHOLDS: Final = tuple(round(step / 100, 2) for step in range(50, 100))
_MAX_FALSE_SHARE: Final = 0.0125
"""False agreements to accept when a threshold is learned: a quarter of what 95% leaves."""
_SHOWN_ALPHA: Final = 0.025
"""Half of the usual alpha, to tell which of several counts is the worst."""
_THREADS: Final = 8
_MAX_BYTES: Final = 256 * 1024 * 1024


class MarkedPair(BaseModel, frozen=True):
    """Two answers to one request, and whether a person sees them as agreeing.

    `judge` and `agreed` are the judge by which the console showed the pair, and what it said; `verdict` tells calls
    with the same answers apart. Pairs without them count as drawn at random by whoever marked them.
    """

    model_config = ConfigDict(extra="ignore")

    teacher: str
    student: str
    agree: bool = Field(strict=True)
    judge: str | None = None
    agreed: bool | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class OrderBias:
    """How often a model said yes with the teacher's answer first, and second; how often its replies differed."""

    asked: int
    yes_in_order: int
    yes_reversed: int
    differed: int
    without_verdict: int


@dataclass(frozen=True, slots=True)
class JudgeMeasurement:
    """A judge against people: counts of pairs by what both said, and the cost of asking.

    `judge` has these counts in its name. `missed` are disagreements of the judge where people see none.
    """

    judge: Judge
    marks: HumanMarks
    disagreements: int
    missed: int
    failed: int
    cost_usd: Decimal
    bias: OrderBias | None

    @property
    def judged(self) -> int:
        return self.marks.of + self.disagreements

    @property
    def alike(self) -> int:
        """The number of pairs of which judge and people say the same."""
        return self.judged - self.marks.false - self.missed

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Clopper-Pearson interval of the share of pairs of which both say the same."""
        return clopper_pearson_lower(self.alike, self.judged, 0.025), clopper_pearson_upper(
            self.alike, self.judged, 0.025
        )


def read_marks(path: Path) -> list[MarkedPair]:
    """Read marks from JSON lines with `teacher`, `student` and `agree`; raises ConfigurationError, naming the line."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{str(path)!r} is larger than {_MAX_BYTES >> 20} MiB")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the marks in {str(path)!r}: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pairs.append(MarkedPair.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise ConfigurationError(
                f"{path}, line {number}: {problem['msg']}; a line is "
                '{"teacher": "...", "student": "...", "agree": true}'
            ) from None
    # A call that is marked twice is one piece of evidence; calls with the same two answers are several.
    return _distinct(pairs, lambda pair: pair.verdict or (pair.teacher, pair.student))


def _distinct(pairs: Iterable[MarkedPair], key: Callable[[MarkedPair], object]) -> list[MarkedPair]:
    """Return one pair for each key; it agrees if all do."""
    distinct: dict[object, MarkedPair] = {}
    for pair in pairs:
        known = distinct.setdefault(key(pair), pair)
        if known.agree and not pair.agree:
            distinct[key(pair)] = pair
    return list(distinct.values())


def measure_judge(judge: Judge, pairs: Sequence[MarkedPair]) -> JudgeMeasurement:
    """Measure a judge that errs; one by meaning learns its threshold from half of the pairs first.

    Call it in a thread without an event loop. Raises ConfigurationError for a judge that does not err.
    """
    with_threshold = _threshold_setter(judge)
    if with_threshold is None and not isinstance(judge, RubricJudge):
        raise ConfigurationError(
            f"the judge {judge.name!r} defines what agreement is and does not err; measure semantic, llm[NAME], or "
            "json with fields that are compared by meaning"
        )
    drawn = {pair for pair in pairs if _is_drawn(pair, judge)}
    measuring = list(pairs)
    if with_threshold is not None:
        learning = [pair for pair in pairs if pair in drawn and _is_for_learning(pair)]
        measuring = [pair for pair in pairs if not _is_for_learning(pair)]
        judge = with_threshold(_learn_threshold(with_threshold, learning, _lowest_threshold(drawn)))
    judgements = dict(zip(pairs, _judge_all(judge, pairs), strict=True))
    judged = [(pair, one) for pair in measuring if (one := judgements[pair]) is not None]
    # A disagreement that somebody chose to mark tells nothing of how often agreements are false.
    agreed = [pair for pair in pairs if pair in drawn and (one := judgements[pair]) is not None and one.agreed]
    marks = _worst_marks(agreed, frozenset(measuring))
    disagreed = [pair for pair, one in judged if not one.agreed]
    return JudgeMeasurement(
        judge=_with_marks(judge, marks),
        marks=marks,
        disagreements=len(disagreed),
        missed=sum(pair.agree for pair in disagreed),
        failed=len(measuring) - len(judged),
        cost_usd=sum((one.cost_usd for _, one in judged), Decimal(0)),
        bias=_measure_bias(judge, measuring) if isinstance(judge, RubricJudge) else None,
    )


def _is_drawn(pair: MarkedPair, judge: Judge) -> bool:
    """Return whether nobody chose a pair: the console shows the agreements of a judge at random, disagreements not.

    Agreements of another judge are no sample of this one's; one with a lower threshold has all of this one's.
    """
    if pair.agreed is None or pair.judge is None:
        return pair.agreed is not False
    return pair.agreed and _kind(_drawn_by(pair)) == _kind(judge)


def _drawn_by(pair: MarkedPair) -> Judge | None:
    try:
        return parse_judge(pair.judge or "")
    except ValueError:
        return None


def _kind(judge: Judge | None) -> Judge | None:
    """Return the judge without its marks and threshold."""
    if isinstance(judge, SemanticJudge):
        return SemanticJudge()
    if isinstance(judge, JsonJudge) and judge.fields.has_semantic:
        return replace(judge, fields=FieldJudges(judge.fields.kinds))
    return replace(judge, marks=HumanMarks()) if isinstance(judge, RubricJudge) else judge


def _lowest_threshold(drawn: Iterable[MarkedPair]) -> float:
    """Return the threshold of the judges by which the pairs were drawn: none below it was shown to anybody."""
    judges = {pair.judge: _drawn_by(pair) for pair in drawn if pair.judge is not None}.values()
    own = [judge.fields if isinstance(judge, JsonJudge) else judge for judge in judges]
    return max((one.threshold for one in own if isinstance(one, SemanticJudge | FieldJudges)), default=0.0)


def _worst_marks(agreed: Sequence[MarkedPair], measuring: frozenset[MarkedPair]) -> HumanMarks:
    """Return the counts with the largest error: of calls, or of distinct answers, as the gates count both.

    All calls count as well, those that a threshold was learned from included: a false agreement that comes often may
    be among these alone.
    """
    held_out = [pair for pair in agreed if pair in measuring]
    samples = held_out, _distinct(held_out, lambda pair: (pair.teacher, pair.student)), agreed
    counts = [HumanMarks(sum(not pair.agree for pair in sample), len(sample)) for sample in samples]
    return max(counts, key=lambda count: count.error_bound(_SHOWN_ALPHA))


def _is_for_learning(pair: MarkedPair) -> bool:
    return position(f"{pair.teacher}\0{pair.student}", "threshold") < _LEARNING_SHARE


def _threshold_setter(judge: Judge) -> Callable[[float], Judge] | None:
    if isinstance(judge, SemanticJudge):
        return lambda threshold: SemanticJudge(threshold)
    if isinstance(judge, JsonJudge) and judge.fields.has_semantic:
        return lambda threshold: replace(judge, fields=replace(judge.fields, threshold=threshold, marks=HumanMarks()))
    return None


def _with_marks(judge: Judge, marks: HumanMarks) -> Judge:
    if isinstance(judge, JsonJudge):
        return replace(judge, fields=replace(judge.fields, marks=marks))
    assert isinstance(judge, SemanticJudge | RubricJudge)
    return replace(judge, marks=marks)


def _learn_threshold(with_threshold: Callable[[float], Judge], pairs: Sequence[MarkedPair], lowest: float) -> float:
    """Return the lowest threshold from which on few agreements are false; the highest if there is none.

    It is one that pairs reach which reach no higher one, and at least `lowest`: below, nothing is known.
    """
    best, reached = max(lowest, _THRESHOLDS[-1]), 0
    for threshold in reversed(_THRESHOLDS):
        if threshold < lowest:
            break
        judge = with_threshold(threshold)
        agreed = [pair for pair, one in zip(pairs, _judge_all(judge, pairs), strict=True) if one and one.agreed]
        false = sum(not pair.agree for pair in agreed)
        if false > _MAX_FALSE_SHARE * len(agreed):
            break
        if len(agreed) > reached:
            best, reached = threshold, len(agreed)
    return best


def _judge_all(judge: Judge, pairs: Sequence[MarkedPair]) -> list[Judgement | None]:
    def judge_one(pair: MarkedPair) -> Judgement | None:
        teacher, student = (Message(role="assistant", content=text) for text in (pair.teacher, pair.student))
        try:
            return judge.judge(teacher, student)
        except JudgeUnavailableError:
            return None

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(judge_one, pairs))


def _measure_bias(judge: RubricJudge, pairs: Sequence[MarkedPair]) -> OrderBias:
    """Count what the model said in each order; its answers are remembered, so that nothing is asked twice."""

    def ask(pair: MarkedPair) -> RubricAnswer | None:
        try:
            return ask_rubric(judge.spec, pair.teacher, pair.student)
        except JudgeUnavailableError:
            return None

    differing = [pair for pair in pairs if pair.teacher.split() != pair.student.split()]
    with ThreadPoolExecutor(_THREADS) as threads:
        answers = [answer for answer in threads.map(ask, differing) if answer is not None]
    return OrderBias(
        asked=len(answers),
        yes_in_order=sum(answer.in_order is True for answer in answers),
        yes_reversed=sum(answer.reversed is True for answer in answers),
        differed=sum(answer.in_order is not answer.reversed for answer in answers),
        without_verdict=sum(None in (answer.in_order, answer.reversed) for answer in answers),
    )
