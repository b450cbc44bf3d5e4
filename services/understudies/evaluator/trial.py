"""A student on trial: its gates, and after the switch its drift detectors."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from understudies.evaluator.beyond import Beyond
from understudies.evaluator.inputs import Inputs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shape import Shape
from understudies.evaluator.traffic import Traffic
from understudies.evaluator.waiting import Piece, Waiting, drawn
from understudies.events import Promotion
from understudies.judges import Judge, judge_named
from understudies.stats import Judged, Levels, SelectiveGate, Threshold, TwoTierDrift, thresholds
from understudies.students import Cluster, Input

Outcome = Literal["promote", "reject", "inconclusive"]


class Trial:
    """All that is known about one student's agreement with the teacher.

    Only unbiased verdicts on inputs that it was not trained on count for its gates, one for each input. They wait until
    a day has ended: then each conversation is one bet, and later calls of it count no more.
    """

    def __init__(
        self,
        story: Promotion,
        *,
        judge: Judge,
        candidates: Sequence[Threshold],
        off_limits: Inputs,
        p0: float,
        settings: EvaluatorSettings,
        shape: Shape | None = None,
    ) -> None:
        self.story = story
        self.judge = judge
        self.p0 = p0
        self.gate = SelectiveGate(
            candidates,
            p0=p0,
            alpha=settings.alpha,
            beta=settings.beta,
            n_max=settings.n_max,
            floor=settings.class_floor,
            floor_verdicts=settings.class_verdicts,
            at_marks=True,
        )
        self.beyond = Beyond(Levels(candidates, p0=p0, alpha=settings.alpha))
        self.shape = shape or Shape()
        self._spent = off_limits
        self._waiting = Waiting()
        self._n_max = settings.n_max
        self._min_span = timedelta(hours=settings.min_span_hours)
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._marked = story.at.date()
        self.announced: tuple[Outcome, float | None] | None = None
        self.drift: TwoTierDrift | None = None
        self.audited = 0
        self.traffic = Traffic()
        self._audited_today: tuple[date, set[str]] = (story.at.date(), set())

    @property
    def student(self) -> str:
        return self.story.student

    @property
    def artifact(self) -> str:
        return self.story.artifact or ""

    @property
    def in_service(self) -> bool:
        return self.story.stage == "promoted"

    @property
    def gathered(self) -> int:
        """Conversations that were bet or wait for it; a lone call is one."""
        return self.gate.n + len(self._waiting)

    def counts(self, one: Input) -> bool:
        """Whether a verdict on this input would be the first, in a conversation that the student never saw."""
        one = one.since(self.shape.openings)
        return self._spent.fresh(one) and not self._waiting.knows(one)

    def takes(self, one: Input) -> bool:
        """Whether a verdict on this input can still change what is decided.

        Once enough conversations were bet or wait, what goes on from those that wait is taken all the same.
        """
        room = self.gathered < self._n_max
        return self.counts(one) and (room or self._waiting.continues(one.since(self.shape.openings)))

    def add(self, score: float, confidence: float, one: Input, answer_class: str | None, at: datetime) -> None:
        """Take in one piece of evidence, to be bet with all of its conversation."""
        self._waiting.add(one.since(self.shape.openings), Piece(score, confidence, at, answer_class))

    def bet(self, until: datetime) -> None:
        """Feed the gates with the conversations that had run as long as conversations do by then, each as one bet."""
        for cluster in self._waiting.due(until, self.shape.lasts):
            pieces = drawn(cluster, self.student)[: self.shape.w_max]
            calls = [Judged(one.score, one.confidence, one.answer_class) for one in pieces]
            self.gate.bet(calls, w_max=self.shape.w_max)
            self.beyond.add(cluster, pieces[0])
            self._spend(cluster)

    def _spend(self, cluster: Cluster[Piece]) -> None:
        self._spent.take(cluster)
        for _, piece in cluster.members:
            self._first = min(self._first or piece.at, piece.at)
            self._last = max(self._last or piece.at, piece.at)

    def audited_call(self, piece: Piece, served_from: float, one: Input) -> None:
        """Feed the levels with an audited call, for the thresholds from the one that it had to reach."""
        one = one.since(self.shape.openings)
        self.beyond.audit(piece, served_from, one, unseen=self.counts(one))

    def is_due(self, now: datetime) -> bool:
        """Whether a day has ended since the last look."""
        return now.date() > self._marked

    def look(self, now: datetime, *, behind: bool = False) -> tuple[Outcome, float | None, float | None] | None:
        """At the first look of a day, the decision (outcome, threshold, coverage) if it, or what it proves, is news.

        What began on that day itself waits for its end, and a look while calls of the days before are still to be read
        (`behind`) is not the first. That a level has fallen is news at any look.
        """
        if behind or not self.is_due(now):
            return self._news_beyond() if self.beyond.fallen else None
        self._marked = now.date()
        begins = datetime.combine(self._marked, time(), UTC)
        self.bet(begins)
        if not self._spans_enough():
            return None
        self.gate.mark()
        self.beyond.look(begins, self.shape.lasts, self._spent, self.student)
        return self._news() or self._news_beyond()

    def _spans_enough(self) -> bool:
        return self._first is not None and self._last is not None and self._last - self._first >= self._min_span

    def _news(self) -> tuple[Outcome, float | None, float | None] | None:
        decision, passed = self.gate.decision, self.gate.passed
        broken = self.in_service and bool(self.failing_classes)
        if broken and passed is None:
            decision = "reject"
        elif decision == "continue" or (self.in_service and decision != "promote"):
            return None
        if decision != "promote":
            passed = None
        threshold = passed.confidence if passed else None
        if (decision, threshold) == self.announced or (self._stricter_than_announced(threshold) and not broken):
            return None
        self.announced = (decision, threshold)
        self.beyond.tell(threshold, self._withheld)
        return decision, threshold, passed.coverage if passed else None

    def _news_beyond(self) -> tuple[Outcome, float | None, float | None] | None:
        """The decision in force once more, where a student in service is proven to more or to less beyond it."""
        outcome, threshold = self.announced or ("inconclusive", None)
        candidate = next((one for one in self.gate.thresholds if one.confidence == threshold), None)
        if not self.in_service or self.beyond.over or candidate is None:
            return None
        if not self.beyond.tell(threshold, self._withheld):
            return None
        return outcome, threshold, candidate.coverage

    @property
    def _withheld(self) -> list[bool]:
        return [bool(point.failing_classes) for point in self.gate.evidence()]

    @property
    def failing_classes(self) -> list[str]:
        """Classes of answers shown to agree less than the floor at the threshold in force."""
        threshold = self.story.threshold
        return self.gate.failing_classes(threshold) if threshold is not None else []

    def _stricter_than_announced(self, threshold: float | None) -> bool:
        before = self.announced[1] if self.announced else None
        return before is not None and threshold is not None and threshold > before

    def evidence_at(self, threshold: float | None) -> dict[str, Any]:
        """What the gates know, for the decision's evidence: at the threshold, and at all of them."""
        curve = [
            {
                "threshold": point.confidence,
                "coverage": round(point.coverage, 4),
                "n": point.n,
                "calls": point.calls,
                "agreement": None if point.agreement is None else round(point.agreement, 4),
                "e_value": float(f"{min(point.max_e, 1e12):.4g}"),
                "passed": point.passed,
                "failing_classes": point.failing_classes[:5],
            }
            for point in self.gate.evidence()
        ]
        chosen = next((point for point in curve if point["threshold"] == threshold), None)
        counted = {"verdicts": self.gate.n, "calls": self.gate.calls, "w_max": self.shape.w_max}
        return {**counted, "p0": self.p0, "chosen": chosen, "curve": curve}

    def promoted(self, story: Promotion) -> None:
        """Watch for drift from now on; a change of share or threshold alone keeps the detectors."""
        self.story = story
        if self.announced is None:
            # A trial that was opened again knows less than was proven, and must not take it back.
            self.announced = "promote", story.threshold
            self.beyond.adopt(story, self.p0)
        if self.drift is None:
            chosen = self.evidence_at(story.threshold)["chosen"] or {"n": 0, "agreement": None}
            agree = round(chosen["n"] * (chosen["agreement"] or 0))
            self.drift = TwoTierDrift.after_gate(self.p0, agree, chosen["n"])

    def audit(self, score: float, fingerprint: str, at: datetime) -> bool:
        """Feed one audited verdict to the drift detectors; False where the input was audited that day already.

        Repeats of one input are one piece of evidence, but not for ever: a teacher may change its mind about it.
        """
        day, inputs = self._audited_today
        if at.date() != day:
            inputs = set()
            self._audited_today = at.date(), inputs
        if fingerprint in inputs:
            return False
        inputs.add(fingerprint)
        self.audited += 1
        if self.drift is not None:
            self.drift = self.drift.update(score)
            # A promotion that only tells other levels must not come between the alarm and the demotion.
            self.beyond.over = self.beyond.over or self.drift.tier == "contract"
        return True

    def asked(self, confidence: float, at: datetime) -> bool:
        """Count a call that the student in service was asked; true where today's traffic has shifted."""
        threshold = self.story.threshold
        expected = self.story.evidence.get("coverage")
        if threshold is None or not isinstance(expected, float):
            return False
        self.traffic.add(confidence >= threshold, at)
        return self.traffic.shifted(expected)

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "story": self.story.model_dump(mode="json"),
            "judge": self.judge.name,
            "p0": self.p0,
            "gate": self.gate.state(),
            "beyond": self.beyond.state(),
            "spent": self._spent.state(),
            "shape": self.shape.state(),
            "waiting": self._waiting.state(),
            "n_max": self._n_max,
            "min_span_s": self._min_span.total_seconds(),
            "first": self._first and self._first.isoformat(),
            "last": self._last and self._last.isoformat(),
            "marked": self._marked.isoformat(),
            "announced": self.announced,
            "drift": self.drift and self.drift.state(),
            "audited": self.audited,
            "traffic": self.traffic.state(),
            "audited_today": [self._audited_today[0].isoformat(), sorted(self._audited_today[1])],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Trial":
        """The trial that `state` was taken from; one from before verdicts waited has none that wait."""
        trial = cls.__new__(cls)
        trial.story = Promotion.model_validate(state["story"])
        trial.judge = judge_named(state["judge"])
        trial.p0 = state["p0"]
        trial.gate = SelectiveGate.from_state(state["gate"])
        trial.beyond = _beyond(trial, state.get("beyond"))
        trial._spent = Inputs(**state["spent"])
        trial.shape = Shape.from_state(state["shape"]) if "shape" in state else Shape()
        trial._waiting = Waiting.from_state(state.get("waiting", ()))
        trial._n_max = state["n_max"]
        trial._min_span = timedelta(seconds=state["min_span_s"])
        trial._first = datetime.fromisoformat(state["first"]) if state["first"] else None
        trial._last = datetime.fromisoformat(state["last"]) if state["last"] else None
        trial._marked = date.fromisoformat(state["marked"])
        trial.announced = tuple(state["announced"]) if state["announced"] else None
        trial.drift = TwoTierDrift.from_state(state["drift"]) if state["drift"] else None
        trial.audited = state["audited"]
        trial.traffic = Traffic.from_state(state["traffic"])
        day, inputs = state["audited_today"]
        trial._audited_today = date.fromisoformat(day), set(inputs)
        return trial


def _beyond(trial: Trial, state: dict[str, Any] | None) -> Beyond:
    """As it was; a snapshot from before there were levels has none, and they are proven by what is yet to come."""
    if state is not None:
        return Beyond.from_state(state)
    beyond = Beyond(Levels(trial.gate.thresholds, p0=trial.p0, alpha=trial.gate.alpha))
    beyond.adopt(trial.story, trial.p0)
    return beyond


def candidates_of(confidences: Sequence[float]) -> list[Threshold]:
    """Candidate thresholds from confidences on unlabelled requests; a confidence of 0 is never served."""
    return [threshold for threshold in thresholds(confidences) if threshold.confidence > 0]
