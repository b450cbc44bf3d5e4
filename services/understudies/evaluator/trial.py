"""A student on trial: its two gates, what is withheld of it, and once it serves its drift detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from understudies.datasets.inputs import Input
from understudies.evaluator.change_monitor import CanaryRestriction, ChangeMonitor
from understudies.evaluator.coverage_shift import CoverageShiftMonitor
from understudies.evaluator.evidence.call_gate import DAY, CallGate
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.expected_coverage import head_thresholds as head_candidates
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.proven_levels import ProvenLevelsTracker
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD, TrialResult
from understudies.evaluator.withholding import FailingClasses, Withholding
from understudies.events import Promotion, Request
from understudies.judges.base import Judge
from understudies.judges.registry import parse_judge
from understudies.stats.class_floor import ClassFloor
from understudies.stats.coverage import Threshold
from understudies.stats.drift import TwoTierDriftDetector
from understudies.stats.fallback import aimed_weights
from understudies.stats.levels import AgreementLevels
from understudies.stats.selective import SelectiveGate
from understudies.stats.spending import alpha_for_trial
from understudies.stats.subgroups import SubgroupMonitor

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
        promotion: Promotion,
        *,
        judge: Judge,
        candidates: Sequence[Threshold],
        used_inputs: UsedInputs,
        p0: float,
        settings: EvaluatorSettings,
        shape: ConversationShape | None = None,
        since: datetime | None = None,
        aims: tuple[int | None, int | None] = (None, None),
        expected_coverage: ExpectedCoverage | None = None,
        training_classes: Mapping[str, int] | None = None,
        teachers: Sequence[str] = (),
        carried: FailingClasses | None = None,
        repeats: tuple[int, int] = (0, 0),
    ) -> None:
        self.promotion = promotion
        self.judge = judge
        self.p0 = p0
        self.shape = shape or ConversationShape()
        self.expected_coverage = expected_coverage or ExpectedCoverage([one.confidence for one in candidates])
        self.repeats = repeats
        """How often the teacher answered an input again, and how often alike."""
        self._n_max = settings.n_max
        self._min_span = timedelta(hours=settings.min_span_hours)
        alpha = (
            alpha_for_trial(settings.alpha, _student_version(promotion.student))
            if settings.over_all_students
            else settings.alpha
        )
        heads = head_candidates([sure for sure, _ in self.expected_coverage.head_calls.values()])
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

        self.input_gate = DistinctInputGate(
            gate(candidates, alpha, aims[0]), used=used_inputs, shape=self.shape, student=promotion.student
        )
        head = gate([Threshold(one, 0.0) for one in heads], each, None) if heads else None
        self.call_gate = CallGate(
            gate(candidates, each, aims[1]),
            head,
            since=since or promotion.at,
            shape=self.shape,
            student=promotion.student,
        )
        self.withholding = Withholding(
            ClassFloor(confidences, training_classes, floor=settings.class_floor, min_verdicts=settings.class_verdicts),
            SubgroupMonitor(confidences, p_null=p0 - _LENIENCE, alpha=alpha),
            self.expected_coverage,
            carried=carried,
        )
        self.changes = ChangeMonitor.create(confidences, teachers, p0)
        self.levels = ProvenLevelsTracker(AgreementLevels(candidates, p0=p0, alpha=settings.alpha))
        self.announced: TrialResult | None = None
        self.drift: TwoTierDriftDetector | None = None
        self.audit_count = 0
        self.coverage_shift = CoverageShiftMonitor()
        self._reference_share: float | None = None
        self._restriction_unannounced = False
        self._next_look_at = promotion.at + DAY
        self._needs_decision = False
        self._last_look: TrialResult | None = None

    @property
    def student(self) -> str:
        return self.promotion.student

    @property
    def artifact(self) -> str:
        return self.promotion.artifact or ""

    @property
    def is_serving(self) -> bool:
        return self.promotion.stage == "promoted"

    @property
    def _threshold_in_force(self) -> float | None:
        return self.promotion.threshold if self.is_serving else None

    @property
    def selective_gate(self) -> SelectiveGate:
        """The gate of distinct inputs."""
        return self.input_gate.gate

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The candidates, strictest first."""
        return self.selective_gate.thresholds

    @property
    def collected(self) -> int:
        """Conversations of distinct inputs that were bet or wait for it; a lone call is one."""
        return self.input_gate.collected

    def is_new_input(self, one: Input) -> bool:
        """Whether a verdict on this input would be the first, in a conversation that the student never saw."""
        return self.input_gate.is_new_input(one)

    def can_use(self, one: Input, at: datetime) -> bool:
        """Whether a verdict on an unbiased call can still change what is decided."""
        return self.input_gate.can_use(one, self._n_max) or self.call_gate.can_use(at, self._n_max)

    def add(
        self, one: Input, observation: Observation, request: Request | None = None, *, held_out: bool = False
    ) -> bool:
        """Take in one unbiased verdict; whether it is the first of its input, and so evidence for the gate of those.

        What was `held_out` of the dataset is no call to come. `request` tells which texts are near copies.
        """
        self.withholding.add(one, observation, self._threshold_in_force)
        self._needs_decision = True
        if self.withholding.is_withheld(observation):
            return False
        first = observation.head is None and self.input_gate.can_use(one, self._n_max)
        text = None if request is None else self.shape.call_text(request)
        if first:
            copies = None if text is None else self.input_gate.near_copy_group(text, observation.at)
            self.input_gate.add(one, observation if copies is None else _with_near_copy_group(observation, copies))
        if not held_out and self.call_gate.can_use(observation.at, self._n_max):
            if self.call_gate.first_at is None:
                self._next_look_at = observation.at + DAY
            self.call_gate.add(one, observation, text)
            if observation.head is None:
                self.changes.observe_verdict(observation.at, observation.score, observation.confidence)
        return first

    def add_class_verdict(self, one: Input, observation: Observation) -> None:
        """Take in a verdict on a call that says nothing of agreement as a whole, for the class of its answer alone."""
        self.withholding.add(one, observation)
        self._needs_decision = True

    def place_bets(self, until: datetime) -> None:
        """Feed the gates with the conversations that had run as long as conversations do by then."""
        for cluster, speaks in self.input_gate.place_bets(until):
            self.levels.add_inputs(cluster, speaks)
        for cluster in self.call_gate.place_bets(until):
            self.levels.add_calls(cluster, self.student)

    def add_audited_call(self, observation: Observation, served_from: float, one: Input) -> None:
        """Feed the levels with an audited call, for the thresholds from the one that it had to reach."""
        one = one.without_openings(self.shape.openings)
        self.levels.add_audit(observation, served_from, one, unseen=self.is_new_input(one))

    def is_due(self, now: datetime) -> bool:
        """Whether a day of calls has ended since the last look."""
        return now >= self._next_look_at

    def look(self, now: datetime, *, behind: bool = False) -> TrialResult | None:
        """What is found where it is news: at the end of a day of calls, and of what is withheld or falls, at once.

        A look while calls of the day are still to be read (`behind`) is not that of its end.
        """
        if self.is_due(now) and not behind:
            self._next_look_at += DAY * ((now - self._next_look_at) // DAY + 1)
            until = self._next_look_at - DAY
            self.place_bets(until)
            if self.input_gate.has_span(self._min_span):
                self.input_gate.gate.mark()
                if self.call_gate.has_span(until, self._min_span):
                    self.call_gate.mark(until)
                self.levels.look(until, self.shape.duration, self.input_gate.used, self.student)
                self._last_look = self._gate_result()
            self._needs_decision = True
        if not self._needs_decision and not self.levels.withdrawn:
            return None
        self._needs_decision = False
        found = self._serving_result() if self.is_serving else self._trial_result()
        if found is None or (found == self._last_announced(found) and not self._restriction_unannounced):
            return None
        self._restriction_unannounced = False
        self.announced = found
        return found

    def _last_announced(self, found: TrialResult) -> TrialResult | None:
        """What was announced; before a student serves, more that is proven beyond the promise is no news."""
        known = self.announced
        return known if known is None or self.is_serving else replace(known, levels=found.levels)

    def _gate_result(self) -> TrialResult | None:
        """What the gates say as of the last look; None while they say nothing."""
        both = [a and b for a, b in zip(self.selective_gate.passed_flags, self.call_gate.passed_flags, strict=True)]
        loosest = max((place for place, passed in enumerate(both) if passed), default=None)
        head = self.call_gate.head_gate and self.call_gate.head_gate.loosest_passed
        head_threshold = head.confidence if head else None
        if self.selective_gate.is_rejected or self.call_gate.tail_gate.is_rejected:
            return TrialResult("reject")
        if loosest is not None:
            return TrialResult("promote", self.thresholds[loosest].confidence, head_threshold)
        if self.expected_coverage.share(None, head_threshold) >= _LEAST_HEAD:
            return TrialResult("promote", UNREACHABLE_THRESHOLD, head_threshold)
        over = (
            self.selective_gate.is_exhausted and not any(self.selective_gate.passed_flags)
        ) or self.call_gate.tail_gate.is_exhausted
        return TrialResult("inconclusive") if over else None

    def _trial_result(self) -> TrialResult | None:
        found = self._last_look
        if found is None or found.outcome != "promote":
            return found
        withheld = self.withholding.compute_withheld(found.threshold or 0.0)
        share = self.expected_coverage.share(found.threshold, found.head_threshold, withheld)
        if share < _LEAST_SHARE:
            return TrialResult("reject", withheld=withheld, coverage=share)
        return self._announce(found, self._loosened_threshold(found), withheld, share)

    def _loosened_threshold(self, found: TrialResult) -> float | None:
        """The threshold to serve from: never stricter than it was, but after a hold."""
        before = self.announced.threshold if self.announced and self.announced.outcome == "promote" else None
        if before is None or found.threshold is None or found.outcome != "promote":
            return found.threshold if before is None else before
        return min(before, found.threshold)

    def _serving_result(self) -> TrialResult | None:
        """What is served and withheld now; a student in service leaves by its audits, not by its gates."""
        if self.levels.contract_broken:
            return None
        now = self.announced or TrialResult("promote", self.promotion.threshold, self.promotion.head_threshold)
        found = self._last_look if self._last_look is not None and self._last_look.outcome == "promote" else None
        threshold, head_threshold = now.threshold, now.head_threshold
        held = self.changes.restriction
        if held is not None and found is not None and held.cause != "calendar":
            # Proven anew by what came after the change: at the threshold that is proven now, of the traffic of now.
            threshold, head_threshold = found.threshold, found.head_threshold
            self._reference_share = self.call_gate.share_reaching(threshold)
            self.changes.lift()
        elif held is not None and self.changes.is_day_type_proven(threshold or 0.0):
            self.changes.lift()
        elif held is None and found is not None:
            threshold = self._loosened_threshold(found)
            head_threshold = found.head_threshold if head_threshold is None else head_threshold
        withheld = self.withholding.compute_withheld(threshold or 0.0, self.changes.failing_day_types(threshold or 0.0))
        if set(withheld.groups) & {"day=weekend", "day=weekday"} and held is not None and held.cause == "calendar":
            self.changes.lift()
        share = self.expected_coverage.share(threshold, head_threshold, withheld)
        return self._announce(TrialResult("promote", threshold, head_threshold), threshold, withheld, share)

    def _announce(self, found: TrialResult, threshold: float | None, withheld: Any, share: float) -> TrialResult:
        self.withholding.withheld = withheld
        self.levels.announce(threshold)
        hold = self.changes.restriction
        return TrialResult(
            "promote",
            threshold,
            found.head_threshold,
            withheld=withheld,
            coverage=share,
            levels=self.levels.announced,
            held=hold.cause if hold else None,
        )

    def failing_classes(self) -> FailingClasses:
        """Classes of answers shown to agree less than the floor where it serves, with what each is taken for."""
        threshold = self.announced.threshold if self.announced else self.promotion.threshold
        return {} if threshold is None else self.withholding.failing_classes(threshold)

    def on_promoted(self, promotion: Promotion) -> None:
        """Watch for drift from now on; a change of share or threshold alone keeps the detectors."""
        self.promotion = promotion
        self._needs_decision = True
        if self.announced is None:
            # A trial that was opened again knows less than was proven, and must not take it back.
            self.levels.adopt(promotion, self.p0)
            self.announced = TrialResult(
                "promote",
                promotion.threshold,
                promotion.head_threshold,
                withheld=promotion.withheld,
                coverage=self.expected_coverage.share(
                    promotion.threshold, promotion.head_threshold, promotion.withheld
                ),
                levels=self.levels.announced,
            )
            self.withholding.withheld = promotion.withheld
        if self.drift is None:
            agree, n = self._counts_at(promotion.threshold)
            self.drift = TwoTierDriftDetector.after_gate(self.p0, agree, n)

    def _counts_at(self, threshold: float | None) -> tuple[int, int]:
        """Agreements and bets of distinct inputs at a candidate; none where it is none."""
        place = next((n for n, one in enumerate(self.thresholds) if one.confidence == threshold), None)
        return (0, 0) if place is None else self.selective_gate.agreement_counts(place)

    def add_audit(self, one: Input, observation: Observation, *, drawn: bool) -> bool:
        """Take in an audited verdict; whether it was drawn by lot, and so speaks for all calls that are served.

        Every call counts, repeats included: a student that is wrong on what comes often is wrong often. A spot check
        speaks for its class of answers alone.
        """
        self.withholding.add(one, observation, self._threshold_in_force)
        self._needs_decision = True
        if not drawn:
            return False
        self.audit_count += 1
        if observation.head is None:
            self.changes.observe_verdict(observation.at, observation.score, observation.confidence)
        if self.drift is not None:
            self.drift = self.drift.update(observation.score)
            # A promotion that only tells other levels must not come between the alarm and the demotion.
            self.levels.contract_broken = self.levels.contract_broken or self.drift.tier == "contract"
        return True

    def observe_confidence(self, confidence: float, at: datetime) -> bool:
        """Count a call that the student in service was asked; true where today's traffic has shifted."""
        candidate = next((one for one in self.thresholds if one.confidence == self.promotion.threshold), None)
        if candidate is None:
            return False
        self.coverage_shift.add(confidence >= candidate.confidence, at)
        return self.coverage_shift.check_shift(
            candidate.coverage if self._reference_share is None else self._reference_share
        )

    def apply_restriction(self, hold: CanaryRestriction | None) -> bool:
        """Begin a hold: the calls so far prove nothing of those to come, but for a look at a kind of day."""
        if hold is None:
            return False
        if hold.cause != "calendar":
            self.call_gate.restart(hold.at)
            self._last_look = None
        if not self.is_serving:
            self.announced = None if hold.cause != "calendar" else self.announced
        # Told even where nobody looks before it has ended: who heard of the change waits to hear that it is over.
        self._restriction_unannounced = self.is_serving
        self._needs_decision = True
        return True

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "story": self.promotion.model_dump(mode="json"),
            "judge": self.judge.name,
            "p0": self.p0,
            "shape": self.shape.state(),
            "reach": self.expected_coverage.state(),
            "repeats": list(self.repeats),
            "n_max": self._n_max,
            "min_span_s": self._min_span.total_seconds(),
            "distinct": self.input_gate.state(),
            "forward": self.call_gate.state(),
            "withholding": self.withholding.state(),
            "changes": self.changes.state(),
            "beyond": self.levels.state(),
            "next_mark": self._next_look_at.isoformat(),
            "proven": self._last_look and self._last_look.state(),
            "announced": self.announced and self.announced.state(),
            "drift": self.drift and self.drift.state(),
            "audited": self.audit_count,
            "traffic": self.coverage_shift.state(),
            "usual_share": self._reference_share,
            "hold_untold": self._restriction_unannounced,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Trial":
        """The trial that `state` was taken from; what came with later versions begins with what comes now."""
        if "distinct" not in state:
            state = _migrate_state(state)
        trial = cls.__new__(cls)
        trial.promotion = Promotion.model_validate(state["story"])
        trial.judge = parse_judge(state["judge"])
        trial.p0 = state["p0"]
        trial.shape = ConversationShape.from_state(state["shape"])
        trial.expected_coverage = ExpectedCoverage.from_state(state["reach"])
        asked, alike = state["repeats"]
        trial.repeats = asked, alike
        trial._n_max = state["n_max"]
        trial._min_span = timedelta(seconds=state["min_span_s"])
        trial.input_gate = DistinctInputGate.from_state(state["distinct"], trial.shape, trial.student)
        trial.call_gate = CallGate.from_state(state["forward"], trial.shape, trial.student)
        trial.withholding = Withholding.from_state(state["withholding"], trial.expected_coverage)
        trial.changes = ChangeMonitor.from_state(state["changes"])
        trial.levels = ProvenLevelsTracker.from_state(state["beyond"])
        trial._next_look_at = datetime.fromisoformat(state["next_mark"])
        trial._last_look = state["proven"] and TrialResult.from_state(state["proven"])
        trial.announced = state["announced"] and TrialResult.from_state(state["announced"])
        trial.drift = TwoTierDriftDetector.from_state(state["drift"]) if state["drift"] else None
        trial.audit_count = state["audited"]
        trial.coverage_shift = CoverageShiftMonitor.from_state(state["traffic"])
        trial._reference_share = state.get("usual_share")
        trial._restriction_unannounced = state.get("hold_untold", False)
        trial._needs_decision = True
        return trial


def _with_near_copy_group(piece: Observation, copies: str) -> Observation:
    return replace(piece, copies=copies)


def _student_version(student: str) -> int:
    """The trial's number among those of its task: the student's version."""
    return int(student.rpartition("@")[2])


def _migrate_state(state: dict[str, Any]) -> dict[str, Any]:
    """A snapshot from before calls were counted as well, as one of now: the calls to come are still to prove it."""
    story = Promotion.model_validate(state["story"])
    gate = SelectiveGate.from_state(state["gate"])
    shape = state.get("shape") or ConversationShape().state()
    marked = datetime.combine(date.fromisoformat(state["marked"]), time(), UTC)
    settings = EvaluatorSettings(
        alpha=gate.alpha, beta=gate.beta, n_max=state["n_max"], min_span_hours=state["min_span_s"] / 3600
    )
    reach, covered = (
        ExpectedCoverage([one.confidence for one in gate.thresholds], calls=1.0 - gate.thresholds[-1].coverage),
        0.0,
    )
    for one in gate.thresholds:
        reach.add_tail_call(one.confidence, "", one.coverage - covered)
        covered = one.coverage
    fresh = Trial(
        story,
        judge=parse_judge(state["judge"]),
        candidates=gate.thresholds,
        used_inputs=UsedInputs(),
        p0=state["p0"],
        settings=settings,
        shape=ConversationShape.from_state(shape),
        since=marked,
        expected_coverage=reach,
    )
    fresh.levels.adopt(story, state["p0"])
    fresh.on_promoted(story) if story.stage == "promoted" else None
    distinct = {key: state[key] for key in ("gate", "spent", "first", "last")}
    kept = {key: state[key] for key in ("drift", "audited", "traffic")}
    return {
        **fresh.state(),
        **kept,
        "distinct": {**distinct, "waiting": state.get("waiting", ())},
        "beyond": state.get("beyond") or fresh.levels.state(),
        "next_mark": (marked + DAY).isoformat(),
    }
