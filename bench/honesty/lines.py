"""How a scenario's figures are told in a line."""

from typing import Any

from bench.honesty.outcome import Outcome
from bench.honesty.tally import Tally


def line_of(tally: Tally) -> str:
    """One line: what was served, how well, where worst, and whether the promise was kept."""
    parts = [
        f"{tally.scenario:27}{len(tally.seeds):3} seeds",
        f"served {tally.pooled.share:6.1%}",
        f"agreement {_share(tally.pooled.agreement)} min {_share(tally.least)}",
        f"wrong {tally.wrong:5.1f} a log",
        f"worst day {_share(tally.worst_day)}",
        f"worst group {_group(tally)}",
        f"worst class {_class(tally)}",
        f"{tally.kept}" + (f", nothing served in {tally.idle}" if tally.idle else ""),
        f"by student before any change: {tally.kept_before}",
    ]
    return "  ".join(parts + _change(tally.plain()["change"]))


def seed_line(scenario: str, seed: Outcome) -> str:
    """One line for a log."""
    verdict = "nothing served" if not seed.all.served else "kept" if seed.all.kept else "BROKEN"
    change = ""
    if seed.in_force:
        taken = f"after {seed.answered_days} d" if seed.answered_days is not None else "never"
        change = f", taken back {taken}, {seed.wrong_until} of {seed.wrong_since} wrong answers until then"
    return (
        f"{scenario} seed {seed.seed}: {seed.seconds:.0f} s, served {seed.all.share:.1%} "
        f"at {_share(seed.all.agreement)}, {verdict}{change}"
    )


def _change(change: dict[str, Any] | None) -> list[str]:
    if change is None or not change["in_service"]:
        return ["no student was in service at the change"] if change else []
    return [
        f"change: taken back in {change['answered']} of {change['in_service']}, after {change['days_median']} d "
        f"(max {change['days_max']}), wrong answers until then {change['wrong_until_mean']} "
        f"(max {change['wrong_until_max']})"
    ]


def _group(tally: Tally) -> str:
    worst = tally.worst_group
    return "-" if worst is None else f"{worst[0]} {_share(worst[1].agreement)}"


def _class(tally: Tally) -> str:
    worst = tally.worst_class
    return "-" if worst is None else f"{worst[0]} {worst[1].wrong} of {worst[1].calls} wrong"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
