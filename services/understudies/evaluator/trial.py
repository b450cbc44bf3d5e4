"""A student on trial: its two gates, what is withheld of it, and after the switch its drift detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from understudies.evaluator.beyond import Beyond
from understudies.evaluator.changes import Changes, Hold
from understudies.evaluator.distinct import Distinct
from understudies.evaluator.finding import UNREACHED, Finding
from understudies.evaluator.forward import DAY, Forward
from understudies.evaluator.inputs import Inputs
from understudies.evaluator.reach import Reach
from understudies.evaluator.reach import candidates as head_candidates
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shape import Shape
from understudies.evaluator.traffic import Traffic
from understudies.evaluator.waiting import Piece
from understudies.evaluator.withholding import Failing, Withholding
from understudies.events import Promotion, Request
from understudies.judges import Judge, judge_named
from understudies.stats import (
    ClassFloor,
    Levels,
    SelectiveGate,
    Subgroups,
    Threshold,
    TwoTierDrift,
    aimed_weights,
    spent_alpha,
    thresholds,
)
from understudies.students import Input

_LEAST_SHARE: Final = 0.01
"""Less than this share of the calls is not worth serving: then everything is withheld."""
_LEAST_HEAD: Final = 0.05
"""The share of the calls that a proven head must have to be served where nothing else is proven."""
_LENIENCE: Final = 0.05
"""How far below the promise a group of calls may agree."""


class Trial:
    """All that is known about one student's agreement with the teacher.

    Two gates must pass at a threshold: that of distinct inputs, and that of the calls since the dataset, which is
    looked at when whole days of calls have ended. Each errs with probability at most alpha where its own view of
    traffic holds, so what passes both is wrong no more often where either does.
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
        since: datetime | None = None,
        aims: tuple[int | None, int | None] = (None, None),
        reach: Reach | None = None,
        trained: Mapping[str, int] | None = None,
        teachers: Sequence[str] = (),
        carried: Failing | None = None,
        repeats: tuple[int, int] = (0, 0),
    ) -> None:
        self.story = story
        self.judge = judge
        self.p0 = p0
        self.shape = shape or Shape()
        self.reach = reach or Reach([one.confidence for one in candidates])
        self.repeats = repeats
        """How often the teacher answered an input again, and how often alike."""
        self._n_max = settings.n_max
        self._min_span = timedelta(hours=settings.min_span_hours)
        alpha = spent_alpha(settings.alpha, _number(story.student)) if settings.over_all_students else settings.alpha
        heads = head_candidates([sure for sure, _ in self.reach.head.values()])
        # One error budget for both strata of the calls to come, as what is served is served of both.
        each = alpha / 2 if heads else alpha
        confidences = [one.confidence for one in candidates]

        def gate(of: Sequence[Threshold], level: float, aim: int | None) -> SelectiveGate:
            weights = None if aim is None else aimed_weights(len(of), aim)
            return SelectiveGate(
                of,
                p0=p0,
                alpha=level,
                beta=settings.beta,
                n_max=settings.n_max,
                weights=weights,
                at_marks=True,
            )

        self.distinct = Distinct(
            gate(candidates, alpha, aims[0]), off_limits=off_limits, shape=self.shape, student=story.student
        )
        head = gate([Threshold(one, 0.0) for one in heads], each, None) if heads else None
        self.forward = Forward(
            gate(candidates, each, aims[1]), head, since=since or story.at, shape=self.shape, student=story.student
        )
        self.withholding = Withholding(
            ClassFloor(confidences, trained, floor=settings.class_floor, least=settings.class_verdicts),
            Subgroups(confidences, p_null=p0 - _LENIENCE, alpha=alpha),
            self.reach,
            carried=carried,
        )
        self.changes = Changes.of(confidences, teachers, p0)
        self.beyond = Beyond(Levels(candidates, p0=p0, alpha=settings.alpha))
        self.announced: Finding | None = None
        self.drift: TwoTierDrift | None = None
        self.audited = 0
        self.traffic = Traffic()
        self._usual_share: float | None = None
        self._hold_untold = False
        self._next_mark = story.at + DAY
        self._news_due = False
        self._proven: Finding | None = None

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
    def _in_force(self) -> float | None:
        return self.story.threshold if self.in_service else None

    @property
    def gate(self) -> SelectiveGate:
        """The gate of distinct inputs."""
        return self.distinct.gate

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The candidates, strictest first."""
        return self.gate.thresholds

    @property
    def gathered(self) -> int:
        """Conversations of distinct inputs that were bet or wait for it; a lone call is one."""
        return self.distinct.gathered

    def counts(self, one: Input) -> bool:
        """Whether a verdict on this input would be the first, in a conversation that the student never saw."""
        return self.distinct.counts(one)

    def takes(self, one: Input, at: datetime) -> bool:
        """Whether a verdict on an unbiased call can still change what is decided."""
        return self.distinct.takes(one, self._n_max) or self.forward.takes(at, self._n_max)

    def add(self, one: Input, piece: Piece, request: Request | None = None, *, held_out: bool = False) -> bool:
        """Take in one unbiased verdict; whether it is the first of its input, and so evidence for the gate of those.

        What was `held_out` of the dataset is no call to come. `request` tells which texts are near copies.
        """
        self.withholding.add(one, piece, self._in_force)
        self._news_due = True
        if self.withholding.skips(piece):
            return False
        first = piece.head is None and self.distinct.takes(one, self._n_max)
        text = None if request is None else self.shape.said(request)
        if first:
            copies = None if text is None else self.distinct.group(text, piece.at)
            self.distinct.add(one, piece if copies is None else _in_group(piece, copies))
        if not held_out and self.forward.takes(piece.at, self._n_max):
            if self.forward.first is None:
                self._next_mark = piece.at + DAY
            self.forward.add(one, piece, text)
            if piece.head is None:
                self.changes.verdict(piece.at, piece.score, piece.confidence)
        return first

    def suspect(self, one: Input, piece: Piece) -> None:
        """Take in a verdict on a call that says nothing of agreement as a whole, for the class of its answer alone."""
        self.withholding.add(one, piece)
        self._news_due = True

    def bet(self, until: datetime) -> None:
        """Feed the gates with the conversations that had run as long as conversations do by then."""
        for cluster, speaks in self.distinct.bet(until):
            self.beyond.add(cluster, speaks)
        for cluster in self.forward.bet(until):
            self.beyond.call(cluster, self.student)

    def audited_call(self, piece: Piece, served_from: float, one: Input) -> None:
        """Feed the levels with an audited call, for the thresholds from the one that it had to reach."""
        one = one.since(self.shape.openings)
        self.beyond.audit(piece, served_from, one, unseen=self.counts(one))

    def is_due(self, now: datetime) -> bool:
        """Whether a day of calls has ended since the last look."""
        return now >= self._next_mark

    def look(self, now: datetime, *, behind: bool = False) -> Finding | None:
        """What is found where it is news: at the end of a day of calls, and of what is withheld or falls, at once.

        A look while calls of the day are still to be read (`behind`) is not that of its end.
        """
        if self.is_due(now) and not behind:
            self._next_mark += DAY * ((now - self._next_mark) // DAY + 1)
            until = self._next_mark - DAY
            self.bet(until)
            if self.distinct.spans(self._min_span):
                self.distinct.gate.mark()
                if self.forward.spans(until, self._min_span):
                    self.forward.mark(until)
                self.beyond.look(until, self.shape.lasts, self.distinct.spent, self.student)
                self._proven = self._found()
            self._news_due = True
        if not self._news_due and not self.beyond.fallen:
            return None
        self._news_due = False
        found = self._in_service() if self.in_service else self._on_trial()
        if found is None or (found == self._known(found) and not self._hold_untold):
            return None
        self._hold_untold = False
        self.announced = found
        return found

    def _known(self, found: Finding) -> Finding | None:
        """What was announced; before a student serves, more that is proven beyond the promise is no news."""
        known = self.announced
        return known if known is None or self.in_service else replace(known, levels=found.levels)

    def _found(self) -> Finding | None:
        """What the gates say as of the last look; None while they say nothing."""
        both = [a and b for a, b in zip(self.gate.passing, self.forward.passing, strict=True)]
        loosest = max((place for place, passed in enumerate(both) if passed), default=None)
        head = self.forward.head and self.forward.head.passed
        head_threshold = head.confidence if head else None
        if self.gate.rejected or self.forward.tail.rejected:
            return Finding("reject")
        if loosest is not None:
            return Finding("promote", self.thresholds[loosest].confidence, head_threshold)
        if self.reach.share(None, head_threshold) >= _LEAST_HEAD:
            return Finding("promote", UNREACHED, head_threshold)
        over = (self.gate.spent and not any(self.gate.passing)) or self.forward.tail.spent
        return Finding("inconclusive") if over else None

    def _on_trial(self) -> Finding | None:
        found = self._proven
        if found is None or found.outcome != "promote":
            return found
        withheld = self.withholding.found(found.threshold or 0.0)
        share = self.reach.share(found.threshold, found.head_threshold, withheld)
        if share < _LEAST_SHARE:
            return Finding("reject", withheld=withheld, coverage=share)
        return self._told(found, self._loosest(found), withheld, share)

    def _loosest(self, found: Finding) -> float | None:
        """The threshold to serve from: never stricter than it was, but after a hold."""
        before = self.announced.threshold if self.announced and self.announced.outcome == "promote" else None
        if before is None or found.threshold is None or found.outcome != "promote":
            return found.threshold if before is None else before
        return min(before, found.threshold)

    def _in_service(self) -> Finding | None:
        """What is served and withheld now; a student in service leaves by its audits, not by its gates."""
        if self.beyond.over:
            return None
        now = self.announced or Finding("promote", self.story.threshold, self.story.head_threshold)
        found = self._proven if self._proven is not None and self._proven.outcome == "promote" else None
        threshold, head_threshold = now.threshold, now.head_threshold
        held = self.changes.hold
        if held is not None and found is not None and held.cause != "calendar":
            # Proven anew by what came after the change: at the threshold that is proven now, of the traffic of now.
            threshold, head_threshold = found.threshold, found.head_threshold
            self._usual_share = self.forward.share(threshold)
            self.changes.end()
        elif held is not None and self.changes.day_is_good(threshold or 0.0):
            self.changes.end()
        elif held is None and found is not None:
            threshold = self._loosest(found)
            head_threshold = found.head_threshold if head_threshold is None else head_threshold
        withheld = self.withholding.found(threshold or 0.0, self.changes.bad_days(threshold or 0.0))
        if set(withheld.groups) & {"day=weekend", "day=weekday"} and held is not None and held.cause == "calendar":
            self.changes.end()
        share = self.reach.share(threshold, head_threshold, withheld)
        return self._told(Finding("promote", threshold, head_threshold), threshold, withheld, share)

    def _told(self, found: Finding, threshold: float | None, withheld: Any, share: float) -> Finding:
        self.withholding.held = withheld
        self.beyond.tell(threshold)
        hold = self.changes.hold
        return Finding(
            "promote",
            threshold,
            found.head_threshold,
            withheld=withheld,
            coverage=share,
            levels=self.beyond.told,
            held=hold.cause if hold else None,
        )

    def failing(self) -> Failing:
        """Classes of answers shown to agree less than the floor where it serves, with what each is taken for."""
        threshold = self.announced.threshold if self.announced else self.story.threshold
        return {} if threshold is None else self.withholding.failing(threshold)

    def promoted(self, story: Promotion) -> None:
        """Watch for drift from now on; a change of share or threshold alone keeps the detectors."""
        self.story = story
        self._news_due = True
        if self.announced is None:
            # A trial that was opened again knows less than was proven, and must not take it back.
            self.beyond.adopt(story, self.p0)
            self.announced = Finding(
                "promote",
                story.threshold,
                story.head_threshold,
                withheld=story.withheld,
                coverage=self.reach.share(story.threshold, story.head_threshold, story.withheld),
                levels=self.beyond.told,
            )
            self.withholding.held = story.withheld
        if self.drift is None:
            agree, n = self._at(story.threshold)
            self.drift = TwoTierDrift.after_gate(self.p0, agree, n)

    def _at(self, threshold: float | None) -> tuple[int, int]:
        """Agreements and bets of distinct inputs at a candidate; none where it is none."""
        place = next((n for n, one in enumerate(self.thresholds) if one.confidence == threshold), None)
        return (0, 0) if place is None else self.gate.counts(place)

    def audit(self, one: Input, piece: Piece, *, drawn: bool) -> bool:
        """Take in an audited verdict; whether it was drawn by lot, and so speaks for all calls that are served.

        Every call counts, repeats included: a student that is wrong on what comes often is wrong often. A spot check
        speaks for its class of answers alone.
        """
        self.withholding.add(one, piece, self._in_force)
        self._news_due = True
        if not drawn:
            return False
        self.audited += 1
        if piece.head is None:
            self.changes.verdict(piece.at, piece.score, piece.confidence)
        if self.drift is not None:
            self.drift = self.drift.update(piece.score)
            # A promotion that only tells other levels must not come between the alarm and the demotion.
            self.beyond.over = self.beyond.over or self.drift.tier == "contract"
        return True

    def asked(self, confidence: float, at: datetime) -> bool:
        """Count a call that the student in service was asked; true where today's traffic has shifted."""
        candidate = next((one for one in self.thresholds if one.confidence == self.story.threshold), None)
        if candidate is None:
            return False
        self.traffic.add(confidence >= candidate.confidence, at)
        return self.traffic.shifted(candidate.coverage if self._usual_share is None else self._usual_share)

    def held_for(self, hold: Hold | None) -> bool:
        """Begin a hold: the calls so far prove nothing of those to come, but for a look at a kind of day."""
        if hold is None:
            return False
        if hold.cause != "calendar":
            self.forward.restart(hold.at)
            self._proven = None
        if not self.in_service:
            self.announced = None if hold.cause != "calendar" else self.announced
        # Told even where nobody looks before it has ended: who heard of the change waits to hear that it is over.
        self._hold_untold = self.in_service
        self._news_due = True
        return True

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "story": self.story.model_dump(mode="json"),
            "judge": self.judge.name,
            "p0": self.p0,
            "shape": self.shape.state(),
            "reach": self.reach.state(),
            "repeats": list(self.repeats),
            "n_max": self._n_max,
            "min_span_s": self._min_span.total_seconds(),
            "distinct": self.distinct.state(),
            "forward": self.forward.state(),
            "withholding": self.withholding.state(),
            "changes": self.changes.state(),
            "beyond": self.beyond.state(),
            "next_mark": self._next_mark.isoformat(),
            "proven": self._proven and self._proven.state(),
            "announced": self.announced and self.announced.state(),
            "drift": self.drift and self.drift.state(),
            "audited": self.audited,
            "traffic": self.traffic.state(),
            "usual_share": self._usual_share,
            "hold_untold": self._hold_untold,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Trial":
        """The trial that `state` was taken from; what came with later versions begins with what comes now."""
        if "distinct" not in state:
            state = _of_this_version(state)
        trial = cls.__new__(cls)
        trial.story = Promotion.model_validate(state["story"])
        trial.judge = judge_named(state["judge"])
        trial.p0 = state["p0"]
        trial.shape = Shape.from_state(state["shape"])
        trial.reach = Reach.from_state(state["reach"])
        asked, alike = state["repeats"]
        trial.repeats = asked, alike
        trial._n_max = state["n_max"]
        trial._min_span = timedelta(seconds=state["min_span_s"])
        trial.distinct = Distinct.from_state(state["distinct"], trial.shape, trial.student)
        trial.forward = Forward.from_state(state["forward"], trial.shape, trial.student)
        trial.withholding = Withholding.from_state(state["withholding"], trial.reach)
        trial.changes = Changes.from_state(state["changes"])
        trial.beyond = Beyond.from_state(state["beyond"])
        trial._next_mark = datetime.fromisoformat(state["next_mark"])
        trial._proven = state["proven"] and Finding.from_state(state["proven"])
        trial.announced = state["announced"] and Finding.from_state(state["announced"])
        trial.drift = TwoTierDrift.from_state(state["drift"]) if state["drift"] else None
        trial.audited = state["audited"]
        trial.traffic = Traffic.from_state(state["traffic"])
        trial._usual_share = state.get("usual_share")
        trial._hold_untold = state.get("hold_untold", False)
        trial._news_due = True
        return trial


def candidates_of(confidences: Sequence[float]) -> list[Threshold]:
    """Candidate thresholds from confidences on unlabelled requests; a confidence of 0 is never served."""
    return [threshold for threshold in thresholds(confidences) if threshold.confidence > 0]


def _in_group(piece: Piece, copies: str) -> Piece:
    return replace(piece, copies=copies)


def _number(student: str) -> int:
    """The trial's number among those of its task: the student's version."""
    return int(student.rpartition("@")[2])


def _of_this_version(state: dict[str, Any]) -> dict[str, Any]:
    """A snapshot from before calls were counted as well, as one of now: the calls to come are still to prove it."""
    story = Promotion.model_validate(state["story"])
    gate = SelectiveGate.from_state(state["gate"])
    shape = state.get("shape") or Shape().state()
    marked = datetime.combine(date.fromisoformat(state["marked"]), time(), UTC)
    settings = EvaluatorSettings(
        alpha=gate.alpha, beta=gate.beta, n_max=state["n_max"], min_span_hours=state["min_span_s"] / 3600
    )
    reach, covered = Reach([one.confidence for one in gate.thresholds], calls=1.0 - gate.thresholds[-1].coverage), 0.0
    for one in gate.thresholds:
        reach.tail_call(one.confidence, "", one.coverage - covered)
        covered = one.coverage
    fresh = Trial(
        story,
        judge=judge_named(state["judge"]),
        candidates=gate.thresholds,
        off_limits=Inputs(),
        p0=state["p0"],
        settings=settings,
        shape=Shape.from_state(shape),
        since=marked,
        reach=reach,
    )
    fresh.beyond.adopt(story, state["p0"])
    fresh.promoted(story) if story.stage == "promoted" else None
    distinct = {key: state[key] for key in ("gate", "spent", "first", "last")}
    kept = {key: state[key] for key in ("drift", "audited", "traffic")}
    return {
        **fresh.state(),
        **kept,
        "distinct": {**distinct, "waiting": state.get("waiting", ())},
        "beyond": state.get("beyond") or fresh.beyond.state(),
        "next_mark": (marked + DAY).isoformat(),
    }
