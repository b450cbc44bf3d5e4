"""The trial of a student: its two gates, what is withheld, and once it serves its drift detectors."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from understudies.datasets.inputs import Input
from understudies.evaluator.change_monitor import CanaryRestriction, ChangeMonitor
from understudies.evaluator.coverage_shift import ConfidentShareMonitor
from understudies.evaluator.evidence.call_gate import DAY, CallGate
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.missing_verdicts import MissingVerdicts, too_many_missing
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.proven_levels import ProvenLevelsTracker
from understudies.evaluator.evidence.trial_gates import create_gates, trial_alpha
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.succession_proof import SuccessionProof
from understudies.evaluator.trial_migration import group_monitors, migrate_trial
from understudies.evaluator.trial_result import TrialResult, joint_result
from understudies.evaluator.withholding import FailingClasses, Withholding
from understudies.events import Promotion, ProvenLevels, Request
from understudies.judges.base import Judge
from understudies.judges.fallible import demanded_agreement, judge_materials, split_alpha
from understudies.judges.materials import JudgeUnavailableError, keep_material
from understudies.judges.registry import parse_judge
from understudies.persistence.fields import As, Seconds
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.class_floor import ClassFloor
from understudies.stats.coverage import Threshold, thin_thresholds
from understudies.stats.drift import TwoTierDriftDetector
from understudies.stats.levels import AgreementLevels
from understudies.stats.selective import SelectiveGate
from understudies.stats.subgroups import SubgroupMonitor

_log = logging.getLogger(__name__)
_MIN_SHARE: Final = 0.01
"""Below this share of the calls serving is not worthwhile, and the student is rejected."""
_SUBGROUP_TOLERANCE: Final = 0.05
"""How far below the required agreement a subgroup of calls may agree."""


def _judge_name(judge: Judge) -> str:
    return judge.name


class Trial(SavedState):
    """The evidence on one student's agreement with the teacher, and the decisions drawn from it.

    Two gates must pass at a threshold: that of distinct inputs, and that of the calls since the dataset, which is
    evaluated when whole days of calls have ended. Each errs with probability at most alpha if its own model of traffic
    holds, so a threshold that passes both errs with probability at most alpha if either model holds.
    """

    promotion: Annotated[Promotion, Key("story")]
    judge: Annotated[Judge, As(str, read=parse_judge, write=_judge_name)]
    _materials: Annotated[tuple[str, ...], Key("judge_materials", default=tuple)]
    """What the judge needs beside its name: rules that change meanwhile leave this trial its own."""
    p0: float
    """The agreement by the judge that the gates demand: the promised one, and the judge's error on top."""
    judge_error: Annotated[float | None, Key(default=float)]
    """What the judge's error takes from the agreement that is proven; None if it is not known well enough."""
    alpha: Annotated[float, Key(default=lambda: 0.05)]
    """The error budget that gate and judge share."""
    shape: ConversationShape
    expected_coverage: Annotated[ExpectedCoverage, Key("reach")]
    repeats: tuple[int, int]
    """The number of times that the teacher answered an input again, and how many of those answers agreed."""
    _n_max: int
    _min_span: Annotated[Seconds, Key("min_span_s")]
    input_gate: Annotated[DistinctInputGate, Key("distinct")]
    call_gate: Annotated[CallGate, Key("forward")]
    withholding: Withholding
    changes: ChangeMonitor
    levels: Annotated[ProvenLevelsTracker, Key("beyond")]
    announced: TrialResult | None
    _announced_at: Annotated[datetime | None, Key(default=lambda: None)]
    drift: TwoTierDriftDetector | None
    audit_count: Annotated[int, Key("audited")]
    confident_share: ConfidentShareMonitor
    _restriction_unannounced: Annotated[bool, Key("hold_untold", default=bool)]
    _missing_verdicts: MissingVerdicts
    _next_look_at: Annotated[datetime, Key("next_mark")]
    _last_look: Annotated[TrialResult | None, Key("proven")]
    succession: Annotated[SuccessionProof | None, Key(default=lambda: None)]

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
        start: int | None = None,
        expected_coverage: ExpectedCoverage | None = None,
        training_classes: Mapping[str, int] | None = None,
        closed_set: bool = True,
        teachers: Sequence[str] = (),
        carried: FailingClasses | None = None,
        repeats: tuple[int, int] = (0, 0),
    ) -> None:
        self.promotion = promotion
        self.judge = judge
        self._materials = _materials_at_hand(judge)
        demanded = demanded_agreement(judge, p0, settings.alpha)
        self.alpha = settings.alpha
        self.judge_error = None if demanded is None else demanded - p0
        # A judge that proves nothing is tried all the same: people need its verdicts to measure it by.
        self.p0 = p0 = p0 if demanded is None else demanded
        self.shape = shape or ConversationShape()
        self.expected_coverage = expected_coverage or ExpectedCoverage(
            [candidate.confidence for candidate in candidates]
        )
        self.repeats = repeats
        self._n_max = settings.n_max
        self._min_span = timedelta(hours=settings.min_span_hours)
        confidences = [candidate.confidence for candidate in candidates]
        alpha = split_alpha(judge, trial_alpha(settings, promotion.student))
        gates = create_gates(candidates, self.expected_coverage, p0=p0, alpha=alpha, settings=settings, start=start)
        self.input_gate = DistinctInputGate(gates.inputs, used=used_inputs, shape=self.shape, student=promotion.student)
        self.call_gate = CallGate(
            gates.calls, gates.head, since=since or promotion.at, shape=self.shape, student=promotion.student
        )
        self.withholding = Withholding(
            ClassFloor(confidences, training_classes, floor=settings.class_floor, min_verdicts=settings.class_verdicts),
            SubgroupMonitor(confidences, p_null=p0 - _SUBGROUP_TOLERANCE, alpha=alpha),
            self.expected_coverage,
            carried=carried,
            closed_set=closed_set,
        )
        self.changes = ChangeMonitor.create(confidences, teachers, p0)
        self.levels = self._create_levels()
        self.announced = None
        self._announced_at = None
        self.drift = None
        self.audit_count = 0
        self.confident_share = ConfidentShareMonitor()
        self._restriction_unannounced = False
        self._missing_verdicts = MissingVerdicts()
        self._next_look_at = promotion.at + DAY
        self._needs_decision = False
        self._last_look = None
        self.succession = None

    def _create_levels(self) -> ProvenLevelsTracker:
        alpha = split_alpha(self.judge, self.alpha)
        return ProvenLevelsTracker(AgreementLevels(thin_thresholds(self.thresholds), p0=self.p0, alpha=alpha))

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
    def is_announced(self) -> bool:
        """Return whether its promotion was announced and holds still: it may begin to serve at any time."""
        if self.announced is None:
            return self.promotion.stage == "qualified"
        return self.announced.outcome == "promote"

    @property
    def promised(self) -> float:
        """The agreement that is promised once the gates pass."""
        return self.p0 - (self.judge_error or 0.0)

    def _promised_levels(self) -> ProvenLevels:
        """Return the announced levels less the judge's error: what of them people would see."""
        return tuple((level - (self.judge_error or 0.0), threshold) for level, threshold in self.levels.announced)

    @property
    def _threshold_in_force(self) -> float | None:
        return self.promotion.threshold if self.is_serving else None

    @property
    def selective_gate(self) -> SelectiveGate:
        """The gate of distinct inputs."""
        return self.input_gate.gate

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The candidate thresholds, strictest first."""
        return self.selective_gate.thresholds

    @property
    def collected(self) -> int:
        """The number of conversations of distinct inputs that were bet or are pending; a lone call counts as one."""
        return self.input_gate.collected

    def is_new_input(self, call_input: Input) -> bool:
        """Return whether an input is new to the trial, in a conversation that the student has not seen."""
        return self.input_gate.is_new_input(call_input)

    def can_use(self, call_input: Input, at: datetime) -> bool:
        """Return whether a verdict on an unbiased call can still affect the decision."""
        return self.input_gate.can_use(call_input, self._n_max) or self.call_gate.can_use(at, self._n_max)

    def add(
        self, call_input: Input, observation: Observation, request: Request | None = None, *, held_out: bool = False
    ) -> bool:
        """Add one unbiased verdict; return whether it is the first of its input, and so evidence for the input gate.

        A `held_out` example of the dataset does not count as a call to come. `request` is used to find near copies.
        """
        self.withholding.add(call_input, observation, self._threshold_in_force)
        self._needs_decision = True
        if not held_out and observation.head is None and not self.withholding.is_withheld(observation):
            self.changes.observe_verdict(observation.at, observation.score, observation.confidence)
        return self.add_evidence(call_input, observation, request, held_out=held_out)

    def add_evidence(
        self, call_input: Input, observation: Observation, request: Request | None = None, *, held_out: bool = False
    ) -> bool:
        """Add one unbiased verdict to the gates alone; return whether it is the first of its input.

        Used for calls on which the student itself was asked, of which a sample at its audit rate is unbiased.
        """
        if self.withholding.is_withheld(observation):
            return False
        is_first = observation.head is None and self.input_gate.can_use(call_input, self._n_max)
        text = None if request is None else self.shape.call_text(request)
        if is_first:
            near_copies = None if text is None else self.input_gate.near_copy_group(text, observation.at)
            self.input_gate.add(
                call_input, observation if near_copies is None else _with_near_copy_group(observation, near_copies)
            )
        if not held_out and self.call_gate.can_use(observation.at, self._n_max):
            first_at = self.call_gate.first_at
            if first_at is None or (observation.at < first_at and not self.call_gate.looked_days):
                # Days are counted from the earliest call, which need not be read first.
                self._next_look_at = observation.at + DAY
            self.call_gate.add(call_input, observation, text)
        return is_first

    def count_verdict(self, at: datetime, *, given: bool) -> None:
        """Count a sampled call that the judge was asked of."""
        self._missing_verdicts.count(at, given=given)

    def _discard_unjudged_day(self, until: datetime) -> None:
        """Leave out the calls since the last look of which many have no verdict.

        A judge that is away, or whose budget is spent, at some hours would let the others speak for the whole day.
        """
        asked, missing = self._missing_verdicts.take(until)
        if too_many_missing(asked, missing):
            _log.warning(
                "the judge %s gave no verdict on %d of %d calls of a day, which proves nothing of student %s",
                self.judge.name,
                missing,
                asked,
                self.student,
            )
            self.call_gate.discard(until)

    def add_class_verdict(self, call_input: Input, observation: Observation) -> None:
        """Add a verdict on a biased call, as evidence for the class of its answer only."""
        self.withholding.add(call_input, observation)
        self._needs_decision = True

    def place_bets(self, until: datetime) -> None:
        """Feed the gates with the conversations that were complete by then, given their usual duration."""
        for conversation, representative in self.input_gate.place_bets(until):
            self.levels.add_inputs(conversation, representative)
        for conversation in self.call_gate.place_bets(until):
            self.levels.add_calls(conversation, self.student)

    def add_audited_call(self, observation: Observation, served_from: float, call_input: Input) -> None:
        """Feed an audited call to the proven levels, for the thresholds from the one that it had to reach on."""
        call_input = call_input.without_openings(self.shape.openings)
        unseen = self.is_new_input(call_input)
        self.levels.add_audit(observation, served_from, call_input, unseen=unseen, pace=self._audit_pace)

    @property
    def next_look_at(self) -> datetime | None:
        """When the gates are evaluated next, by whole days since the first call; None before that call."""
        return None if self.call_gate.first_at is None else self._next_look_at

    def is_due(self, now: datetime) -> bool:
        """Return whether a day of calls has ended since the last look, or since that at the proof of a succession."""
        return now >= self._next_look_at or (self.succession is not None and self.succession.is_due(now))

    def look(self, now: datetime, *, behind: bool = False) -> TrialResult | None:
        """Return the result if it changed: at a day's end, or at once when more is withheld or levels are withdrawn.

        While calls of the day are still to be read (`behind`), the look at its end is postponed.
        """
        if self.succession is not None and not behind:
            self.succession.look(now, self.input_gate, self.expected_coverage, self._min_span)
        if now >= self._next_look_at and not behind:
            self._next_look_at += DAY * ((now - self._next_look_at) // DAY + 1)
            until = self._next_look_at - DAY
            self._discard_unjudged_day(until)
            self.place_bets(until)
            # Where only inputs of the head came, their gate decides alone.
            if self.input_gate.is_empty or self.input_gate.has_span(self._min_span):
                self.input_gate.gate.mark()
                if self.call_gate.has_span(until, self._min_span):
                    self.call_gate.mark(until)
                self.levels.look(until, self.shape.duration, self.input_gate.used, self.student)
                self._last_look = joint_result(self.input_gate, self.call_gate, self.expected_coverage)
            self._needs_decision = True
        if not self._needs_decision and not self.levels.withdrawn:
            return None
        self._needs_decision = False
        result = self._serving_result() if self.is_serving else self._trial_result()
        if result is None or (result == self._last_announced(result) and not self._restriction_unannounced):
            return None
        self._restriction_unannounced = False
        self.announced, self._announced_at = result, now
        return result

    def alarm_time(self, at: datetime) -> datetime:
        """Return when an alarm is raised that a call of that time gave: after all that was decided before it.

        Calls are read late, and consumers go by the time: an alarm from before the last decision or promotion would
        count as answered by it.
        """
        decided = self._announced_at and self._announced_at + timedelta.resolution
        return max(filter(None, (at, self.promotion.at, decided)))

    def _last_announced(self, result: TrialResult) -> TrialResult | None:
        """Return the last announced result.

        Before the student serves, a change of the levels proven above the contract is not worth announcing.
        """
        announced = self.announced
        return announced if announced is None or self.is_serving else replace(announced, levels=result.levels)

    def _trial_result(self) -> TrialResult | None:
        result = self._last_look
        if result is None or result.outcome != "promote":
            return result
        if self.judge_error is None:
            return TrialResult("inconclusive")
        withheld = self.withholding.compute_withheld(result.threshold or 0.0)
        share = self.expected_coverage.share(result.threshold, result.head_threshold, withheld)
        if share < _MIN_SHARE:
            return TrialResult("reject", withheld=withheld, coverage=share)
        # A change discards what was proven before it, so this was proven since.
        self.changes.lift()
        return self._announce(result, self._loosened_threshold(result), withheld, share)

    def _loosened_threshold(self, result: TrialResult) -> float | None:
        """Return the threshold to serve from: never stricter than announced, except after a restriction."""
        announced = self.announced.threshold if self.announced and self.announced.outcome == "promote" else None
        if announced is None or result.threshold is None or result.outcome != "promote":
            return result.threshold if announced is None else announced
        return min(announced, result.threshold)

    def _serving_result(self) -> TrialResult | None:
        """Return what is served and withheld now.

        A serving student is demoted by its audits, never by its gates.
        """
        if self.levels.contract_broken:
            return None
        current = self.announced or TrialResult("promote", self.promotion.threshold, self.promotion.head_threshold)
        proven = self._last_look if self._last_look is not None and self._last_look.outcome == "promote" else None
        threshold, head_threshold = current.threshold, current.head_threshold
        restriction = self.changes.restriction
        if restriction is not None and proven is not None and restriction.cause != "calendar":
            # Proven again by evidence after the change: serve at the threshold proven now, on current traffic.
            threshold, head_threshold = proven.threshold, proven.head_threshold
            self._measure_reference(threshold)
            self.changes.lift()
        elif restriction is not None and self.changes.is_day_type_proven(threshold or 0.0):
            self.changes.lift()
        elif restriction is None and proven is not None:
            threshold = self._loosened_threshold(proven)
            head_threshold = proven.head_threshold if head_threshold is None else head_threshold
        withheld = self.withholding.compute_withheld(threshold or 0.0, self.changes.failing_day_types(threshold or 0.0))
        if (
            set(withheld.groups) & {"day=weekend", "day=weekday"}
            and restriction is not None
            and restriction.cause == "calendar"
        ):
            self.changes.lift()
        share = self.expected_coverage.share(threshold, head_threshold, withheld)
        return self._announce(TrialResult("promote", threshold, head_threshold), threshold, withheld, share)

    def _announce(self, result: TrialResult, threshold: float | None, withheld: Any, share: float) -> TrialResult:
        self.withholding.withheld = withheld
        self.levels.announce(threshold)
        restriction = self.changes.restriction
        return TrialResult(
            "promote",
            threshold,
            result.head_threshold,
            withheld=withheld,
            coverage=share,
            levels=self._promised_levels(),
            held=restriction.cause if restriction else None,
        )

    def failing_classes(self) -> FailingClasses:
        """Return the classes below the floor at the serving threshold, with the answers given in their place."""
        threshold = self.announced.threshold if self.announced else self.promotion.threshold
        return {} if threshold is None else self.withholding.failing_classes(threshold)

    def on_promoted(self, promotion: Promotion) -> None:
        """Watch for drift from now on; a change of share or threshold alone keeps the detectors."""
        if promotion.threshold != self.promotion.threshold:
            self.confident_share.change_threshold(self.thresholds, promotion.threshold, self.call_gate.share_reaching)
        self.promotion = promotion
        self._needs_decision = True
        if self.announced is None:
            # A reopened trial has less evidence than was proven before, and must not withdraw it.
            error = self.judge_error or 0.0
            levels = tuple((level + error, threshold) for level, threshold in promotion.levels)
            self.levels.adopt(promotion.model_copy(update={"levels": levels}), self.p0)
            self.announced = TrialResult(
                "promote",
                promotion.threshold,
                promotion.head_threshold,
                withheld=promotion.withheld,
                coverage=self.expected_coverage.share(
                    promotion.threshold, promotion.head_threshold, promotion.withheld
                ),
                levels=self._promised_levels(),
            )
            self.withholding.withheld = promotion.withheld
        if self.drift is None:
            agree, n = self._counts_at(promotion.threshold)
            self.drift = TwoTierDriftDetector.after_gate(self.p0, agree, n)

    def _counts_at(self, threshold: float | None) -> tuple[int, int]:
        """Return the agreements and bets of distinct inputs at a candidate; zeros if it is not a candidate."""
        index = next(
            (position for position, candidate in enumerate(self.thresholds) if candidate.confidence == threshold), None
        )
        return (0, 0) if index is None else self.selective_gate.agreement_counts(index)

    def add_audit(self, call_input: Input, observation: Observation, *, drawn: bool) -> bool:
        """Add an audited verdict; return whether it was randomly sampled, and so represents all served calls.

        Every call counts, repeats included: a student that is wrong on a frequent input is wrong often. A spot check is
        evidence for its class of answers only.
        """
        self.withholding.add(call_input, observation, self._threshold_in_force)
        self._needs_decision = True
        if not drawn:
            return False
        self.audit_count += 1
        if observation.head is None:
            self.changes.observe_verdict(observation.at, observation.score, observation.confidence)
        if self.drift is not None:
            self.drift = self.drift.update(observation.score, self._audit_pace)
            # A promotion that only changes levels must not come between the alarm and the demotion.
            self.levels.contract_broken = self.levels.contract_broken or self.drift.tier == "contract"
        return True

    @property
    def has_more_audits(self) -> bool:
        """Return whether it serves, and more of its answers are audited than usual: as evidence for a proof."""
        return self.is_serving and bool(self.promotion.evidence.get("more_audits"))

    @property
    def _audit_pace(self) -> float:
        """How many times as often as usual its answers are audited, while a proof needs more audits; at least 1."""
        usual = float(str(self.promotion.evidence.get("usual_audit_rate") or 0.0))
        return max(1.0, self.promotion.audit_rate / usual) if usual > 0.0 else 1.0

    def _measure_reference(self, threshold: float | None) -> None:
        self.confident_share.measure_reference(self.thresholds, threshold, self.call_gate.share_reaching)

    @property
    def expected_confident_share(self) -> float | None:
        """The share of calls that reaches the threshold in force, as it was proven; None without such a threshold."""
        return self.confident_share.expected_share(self.thresholds, self.promotion.threshold)

    def observe_confidence(self, confidence: float, at: datetime) -> bool:
        """Count a call on which the serving student was asked; return whether traffic has shifted."""
        return self.confident_share.observe(confidence, at, self.thresholds, self.promotion.threshold)

    def apply_restriction(self, restriction: CanaryRestriction | None) -> bool:
        """Begin a restriction; return whether there is one.

        Except for a kind of day, which only needs some verdicts on it, earlier calls are no evidence for the calls to
        come.
        """
        if restriction is None:
            return False
        if restriction.cause != "calendar":
            self.call_gate.restart(restriction.at)
            self._last_look = self.succession = None
        if not self.is_serving:
            self.announced = None if restriction.cause != "calendar" else self.announced
        # Announce the end even if no look occurs before it: consumers that read of the change wait for its end.
        self._restriction_unannounced = self.is_serving
        self._needs_decision = True
        return True

    def add_succession(self, model: str, call_input: Input, observation: Observation, request: Request) -> None:
        """Add the verdict by the answer of a model that is to succeed the teacher; see `SuccessionProof`."""
        proof = self._proof_against(model, observation.at)
        if proof is not None:
            proof.add(call_input, observation, self.shape.call_text(request), self._n_max)

    def count_succession_verdict(self, model: str, at: datetime, *, given: bool) -> None:
        """Count a call answered by such a model that the judge was asked of."""
        proof = self._proof_against(model, at)
        if proof is not None:
            proof.count_verdict(at, given=given)

    def _proof_against(self, model: str, at: datetime) -> SuccessionProof | None:
        """Return the proof against a model, begun anew if it is another than before; None against the teacher."""
        if model in self.changes.teachers:
            return None
        if self.succession is None or self.succession.model != model:
            gate = self.call_gate.without_evidence(at - timedelta.resolution)
            self.succession = SuccessionProof(model, gate, self.withholding.without_verdicts())
        return self.succession

    def succeed_teacher(self, retired: Collection[str], at: datetime, model: str | None = None) -> bool:
        """Go on with what is proven against the successor, as which `model` now answers; return whether it is proven.

        What is withheld stays withheld, and levels above the contract are to be proven anew. Without the proof nothing
        changes.
        """
        proof = self.succession
        if proof is None or proof.result is None or not proof.is_proven or model not in (None, proof.model):
            return False
        if self.judge_error is None or self.levels.contract_broken:
            return False
        kept = self.withholding.withheld
        self.call_gate, self.withholding, self.withholding.withheld = proof.call_gate, proof.withholding, kept
        # Calls that are read late are of the teacher before.
        self.call_gate.since = at
        self._next_look_at = proof.next_look_at or at + DAY
        self._last_look = proof.result
        self.levels = self._create_levels()
        self.changes.on_succession(proof.model, retired, at)
        self.succession = None
        self.announced = proof.result if self.is_serving else None
        if self.is_serving:
            self._measure_reference(proof.result.threshold)
        self._restriction_unannounced = self.is_serving
        self._needs_decision = True
        return True

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot of an older version.

        One written before calls were counted as well has yet to have confirmed by calls what is proven.
        """
        return group_monitors(state) if "distinct" in state else migrate_trial(group_monitors(state), cls)

    def _on_restored(self) -> None:
        for text in self._materials:
            keep_material(text)
        self.input_gate.attach(self.shape, self.student)
        self.call_gate.attach(self.shape, self.student)
        self.withholding.attach(self.expected_coverage)
        if self.succession is not None:
            self.succession.attach(self.shape, self.student, self.expected_coverage)
        self._needs_decision = True


def _with_near_copy_group(observation: Observation, copies: str) -> Observation:
    return replace(observation, copies=copies)


def _materials_at_hand(judge: Judge) -> tuple[str, ...]:
    """Return the texts that the judge needs beside its name, as far as this process has them."""
    try:
        return judge_materials(judge)
    except JudgeUnavailableError:
        return ()
