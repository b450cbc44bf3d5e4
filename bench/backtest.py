"""The whole loop on a recorded log: share served, agreement, cost, time and memory.

    python bench/backtest.py ../shared/data/banking77.jsonl.gz --teacher-price 0.03

Beside it, in the same run and on the same machine, what the loop costs over its parts: the time of reading the log, and
of one fit of the classifier on as many examples as the last student had. The last line is one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from understudies.events import split_of
from understudies.importers.reader import read_calls
from understudies.students.base import request_text
from understudies.students.classifier.model import fit_classifier
from understudies.students.encoder.runtime import is_encoder_installed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calls", type=Path, nargs="?", default=Path("../shared/data/banking77.jsonl.gz"))
    parser.add_argument("--teacher-price", default="0.03")
    options = parser.parse_args()
    report, seconds, peak_gb = run_backtest_command(options.calls, options.teacher_price)
    reading, fitting = measure_parts(options.calls)
    late = report["last_fifth"]
    figures = {
        "calls": report["calls"],
        "encoder": is_encoder_installed(),
        "seconds": round(seconds, 1),
        "calls_per_second": round(report["calls"] / seconds, 1),
        "seconds_over_one_fit": round(seconds / fitting, 1),
        "reading_seconds": round(reading, 2),
        "fit_seconds": round(fitting, 2),
        "peak_gb": round(peak_gb, 2),
        "served_share": report["served_share"],
        "agreement_served": report["agreement_served"],
        "cost_reduction": report["cost_reduction"],
        "last_fifth": {key: late[key] for key in ("served_share", "agreement_served", "cost_reduction")},
        "students": sum(decision["event"] == "trained" for decision in report["decisions"]),
    }
    print(json.dumps(figures))


def run_backtest_command(calls: Path, price: str) -> tuple[dict[str, Any], float, float]:
    """The report, the seconds and the peak memory (GB, largest process) of a backtest as a user starts it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        began = time.perf_counter()
        command = [sys.executable, "-m", "understudies.cli", "backtest", str(calls)]
        subprocess.run([*command, "--teacher-price", price, "--json", str(path)], check=True)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        return json.loads(path.read_bytes()), seconds, peak


def measure_parts(path: Path) -> tuple[float, float]:
    """Seconds of reading the log, and of one fit on the training split of its first half."""
    began = time.perf_counter()
    calls = read_calls(path).calls
    reading = time.perf_counter() - began
    half = [call for call in calls[: len(calls) // 2] if split_of(call.fingerprint) == "train"]
    texts, labels = [request_text(call.request) for call in half], [call.response.message.text for call in half]
    began = time.perf_counter()
    fit_classifier(texts, labels, seed=7, encoder=is_encoder_installed())
    return reading, time.perf_counter() - began


if __name__ == "__main__":
    main()
