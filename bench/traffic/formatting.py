"""How a scenario's figures are told in a line."""

from typing import Any

from bench.traffic.log_outcome import LogOutcome
from bench.traffic.scenario_summary import ScenarioSummary


def format_scenario(tally: ScenarioSummary) -> str:
    """One line: what was served, how well, where worst, and whether the promise was kept."""
    parts = [
        f"{tally.scenario:27}{len(tally.seeds):3} seeds",
        f"served {tally.pooled.share:6.1%}",
        f"agreement {_format_share(tally.pooled.agreement)} min {_format_share(tally.lowest_agreement)}",
        f"wrong {tally.mean_wrong:5.1f} a log",
        f"worst day {_format_share(tally.worst_day)}",
        f"worst group {_format_worst_group(tally)}",
        f"worst class {_format_worst_class(tally)}",
        f"{tally.promise_kept}" + (f", nothing served in {tally.idle_count}" if tally.idle_count else ""),
        f"by student before any change: {tally.promise_kept_before_change}",
    ]
    return "  ".join(parts + _format_change(tally.to_json()["change"]))


def format_seed(scenario: str, seed: LogOutcome) -> str:
    """One line for a log."""
    verdict = "nothing served" if not seed.all.served else "kept" if seed.all.is_promise_kept else "BROKEN"
    change = ""
    if seed.in_force:
        taken = f"after {seed.withdrawn_after_days} d" if seed.withdrawn_after_days is not None else "never"
        change = f", taken back {taken}, {seed.wrong_until} of {seed.wrong_since} wrong answers until then"
    return (
        f"{scenario} seed {seed.seed}: {seed.seconds:.0f} s, served {seed.all.share:.1%} "
        f"at {_format_share(seed.all.agreement)}, {verdict}{change}"
    )


def _format_change(change: dict[str, Any] | None) -> list[str]:
    if change is None or not change["in_service"]:
        return ["no student was in service at the change"] if change else []
    return [
        f"change: taken back in {change['answered']} of {change['in_service']}, after {change['days_median']} d "
        f"(max {change['days_max']}), wrong answers until then {change['wrong_until_mean']} "
        f"(max {change['wrong_until_max']})"
    ]


def _format_worst_group(tally: ScenarioSummary) -> str:
    worst = tally.worst_group
    return "-" if worst is None else f"{worst[0]} {_format_share(worst[1].agreement)}"


def _format_worst_class(tally: ScenarioSummary) -> str:
    worst = tally.worst_class
    return "-" if worst is None else f"{worst[0]} {worst[1].wrong} of {worst[1].calls} wrong"


def _format_share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
