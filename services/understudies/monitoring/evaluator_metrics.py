"""Report the trials that an evaluator knows."""

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from understudies.evaluator.trial import Trial
from understudies.judges.backends import BACKENDS
from understudies.monitoring import names
from understudies.monitoring.families import Families
from understudies.status.reader import TrialSource
from understudies.status.trial_progress import measure_gate_agreement, measure_progress


class EvaluatorCollector(Collector):
    """The figures of every trial, from the state of the evaluator, on each collection."""

    def __init__(self, evaluation: TrialSource) -> None:
        self._evaluation = evaluation

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        found = Families(names.EVALUATOR_METRICS)
        for trial in self._evaluation.trials.values():
            _add_trial(found, trial)
        for (judge, cause), count in sorted(BACKENDS.health.missing.items()):
            found.add(names.JUDGE_MISSING, count, judge, cause)
        yield from found


def _add_trial(found: Families, trial: Trial) -> None:
    task, student = trial.promotion.task, trial.student
    found.add(names.REQUIRED, trial.p0, task, student)
    agreement = measure_gate_agreement(trial)
    if agreement is not None:
        found.add(names.GATE_AGREEMENT, agreement.share, task, student)
        found.add(names.GATE_BOUND, agreement.lower, task, student)
    progress = None if trial.is_serving else measure_progress(trial)
    if progress is not None:
        found.add(names.EVIDENCE, progress.input_evidence, task, student, "inputs")
        found.add(names.EVIDENCE, progress.call_evidence, task, student, "calls")
        found.add(names.EVIDENCE_NEEDED, progress.evidence_needed, task, student)
    if trial.next_look_at is not None:
        found.add(names.NEXT_LOOK, trial.next_look_at.timestamp(), task, student)
    if trial.drift is not None:
        for tier, detector in (("contract", trial.drift.contract), ("warn", trial.drift.warn)):
            found.add(names.DRIFT_EVIDENCE, detector.statistic, task, student, tier)
            found.add(names.DRIFT_THRESHOLD, detector.threshold * detector.pace, task, student, tier)
    if trial.is_serving and trial.confident_share.coverage_shift.asked:
        found.add(names.CONFIDENT_SHARE, trial.confident_share.coverage_shift.share, task, student)
        found.add(names.CONFIDENT_EXPECTED, trial.expected_confident_share, task, student)
