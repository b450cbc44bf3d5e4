"""How soon the loop answers a teacher that changes its mind: audited verdicts until what is wrong is served no more.

    python bench/drift.py --seeds 5

Plays the demo's drifting task through the whole loop, once a seed. Beside it, in the same run, the detector alone on
verdicts of the same two agreements. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudies.backtest.generator.demo_log import generate_demo_log
from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.run import BacktestOptions, backtest_log
from understudies.stats.drift import DriftDetector

TASK = "language-routing"
CHANGES_AT = 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    found = [run_loop(seed) for seed in range(1, options.seeds + 1)]
    known = [one["audited"] for one in found if one["audited"] is not None]
    after = statistics.mean(one["agreement_after_change"] for one in found)
    figures = {
        "seeds": options.seeds,
        "answered": len(known),
        "audited_verdicts_mean": statistics.mean(known) if known else None,
        "audited_verdicts_max": max(known, default=None),
        "false_alarms_before_the_change": sum(one["early"] for one in found),
        "agreement_after_change": round(after, 3),
        "detector_alone_mean": round(run_detector_alone(after), 1),
    }
    print(json.dumps(figures))


def run_loop(seed: int) -> dict[str, Any]:
    """Audited verdicts between the change and the first answer to it, whole days counted: so many at most.

    The student is demoted by a contract alarm, or what it says in place of the new name is withheld.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        generate_demo_log(path, seed=seed)
        lines = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["task"] == TASK]
        path.write_text("\n".join(lines), "utf-8")
        with ProgressDisplay() as progress:
            report = asyncio.run(backtest_log(path, BacktestOptions(seed=seed), progress)).to_dict()
    changed = datetime.fromtimestamp(json.loads(lines[int(len(lines) * CHANGES_AT)])["created"], UTC)
    day = changed.date().isoformat()
    series = report["tasks"][TASK]["series"]
    answers = [one for one in report["decisions"] if _is_response(one)]
    early = [one for one in answers if one["event"] == "drift_contract" and one["at"][:10] < day]
    late = [one for one in answers if one["at"] >= changed.isoformat()[:19]]
    until = late[0]["at"][:10] if late else "9999"
    since = [one for one in series if day <= one["at"][:10] <= until and one["served"]]
    served, agreed = sum(one["served"] for one in since), sum(one["agreed_served"] for one in since)
    audited = sum(one["audited"] for one in since) if late and not early else None
    how = late[0]["event"] if late else "never"
    print(f"seed {seed}: changed {changed:%d %H:%M}, {len(early)} early, {audited} audited verdicts until {how}")
    return {"audited": audited, "early": len(early), "agreement_after_change": agreed / served if served else 0.65}


def _is_response(decision: dict[str, Any]) -> bool:
    """Whether a decision demotes, or withholds what the student answers wrongly."""
    withheld = decision["evidence"].get("withheld") or {}
    return decision["event"] == "drift_contract" or (decision["event"] == "gate_promote" and bool(withheld["answers"]))


def run_detector_alone(agreement: float, runs: int = 400) -> float:
    """Mean verdicts to the alarm of the detector alone, from a fresh start at the given agreement."""
    rng = random.Random(7)
    delays = []
    for _ in range(runs):
        detector, n = DriftDetector(0.95, 1000), 0
        while not detector.has_alarm:
            detector, n = detector.update(float(rng.random() < agreement)), n + 1
        delays.append(n)
    return statistics.mean(delays)


if __name__ == "__main__":
    main()
