"""Traffic on which honest guesses fail: what is served there, how well, and whether the promise is kept.

    python bench/trust.py                                       every scenario, 20 seeds each: hours
    python bench/trust.py --seeds 3 --scenarios stationary,head-outside
    python bench/trust.py --seeds 20 --jobs 2 --json trust.json
    python bench/trust.py --scenarios recorded --recorded ../shared/data/banking77.jsonl.gz
    python bench/trust.py --list

Each seed of a scenario is one made-up log, played by `understudies.backtest` through all five services; as the log has
the teacher's answer to every call, the truth about each served one is known. The promise counts as kept in a log where
agreement by call, over all that students served, is not below 95% beyond chance (one-sided exact binomial test at 5%).
Also for each student on what it served before anything changed. One line a scenario; progress on stderr; the last line
is one JSON object. What became of each log, by day, group, class and student, is written by --json alone.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.traffic.formatting import format_scenario, format_seed
from bench.traffic.log_outcome import LogOutcome
from bench.traffic.many_students import format_years, simulate_many_students
from bench.traffic.replay import ReplayJob, generate_log, replay_log
from bench.traffic.scenario_summary import ScenarioSummary
from bench.traffic.scenarios import SCENARIOS

_RECORDED_SEEDS = 3
_LOGS_PER_PROCESS = 5
_SCENARIO_NAMES = (*SCENARIOS, "many-students", "recorded")


def main() -> None:
    options = _parse_options()
    if options.list:
        print("\n".join(_SCENARIO_NAMES))
        return
    # Terminated, it ends as by Ctrl-C: no worker is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        for name in options.scenarios:
            if figures := _scenario_figures(name, options):
                found[name] = figures
                _write_figures(found, began, options)
    except KeyboardInterrupt:
        sys.exit("stopped")
    told = {name: {key: value for key, value in one.items() if key != "each"} for name, one in found.items()}
    print(json.dumps(_all_figures(told, began, options)))


def _write_figures(found: dict[str, Any], began: float, options: argparse.Namespace) -> None:
    """What is known so far, as a run of hours may be stopped."""
    if options.json:
        options.json.write_text(json.dumps(_all_figures(found, began, options)) + "\n", "utf-8")


def _all_figures(found: dict[str, Any], began: float, options: argparse.Namespace) -> dict[str, Any]:
    seconds = round(time.perf_counter() - began)
    return {"seeds": options.seeds, "days": options.days, "seconds": seconds, "scenarios": found}


def _scenario_figures(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a scenario, once its line is printed; nothing where it is left out."""
    if name == "many-students":
        years = simulate_many_students(options.seeds)
        print("\n".join(format_years(years)), flush=True)
        return years
    jobs = _scenario_jobs(name, options)
    if not jobs:
        return {}
    tally = _summarise(name, jobs, _replay_jobs(name, jobs, options.jobs))
    print(format_scenario(tally), flush=True)
    return tally.to_json()


def _scenario_jobs(name: str, options: argparse.Namespace) -> list[ReplayJob]:
    if name != "recorded":
        return [ReplayJob(name, seed, options.days, options.broker) for seed in range(1, options.seeds + 1)]
    if not options.recorded.is_file():
        print(f"recorded: left out, {str(options.recorded)!r} is no file; name a log by --recorded", flush=True)
        return []
    seeds = range(1, min(options.seeds, _RECORDED_SEEDS) + 1)
    return [ReplayJob(name, seed, options.days, options.broker, options.recorded) for seed in seeds]


def _replay_jobs(name: str, jobs: Sequence[ReplayJob], at_once: int) -> Iterator[LogOutcome]:
    """Processes end after some logs, for they keep about 100 MB of each; executors that renew theirs hang in 3.11."""
    some = at_once * _LOGS_PER_PROCESS
    for first in range(0, len(jobs), some):
        pool = ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn"))
        try:
            for outcome in pool.map(replay_log, jobs[first : first + some]):
                print(format_seed(name, outcome), file=sys.stderr, flush=True)
                yield outcome
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _summarise(name: str, jobs: Sequence[ReplayJob], outcomes: Iterator[LogOutcome]) -> ScenarioSummary:
    if name == "recorded":
        return ScenarioSummary(name, list(outcomes))
    logs = [generate_log(job) for job in jobs]
    watched = frozenset(label for log in logs for label in log.watched_classes)
    return ScenarioSummary(name, list(outcomes), watched, changes=any(log.changed_at for log in logs))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="logs a scenario (20)")
    parser.add_argument(
        "--scenarios", type=_parse_scenarios, default=list(_SCENARIO_NAMES), help="names, with commas (all)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time (1)")
    parser.add_argument("--days", type=float, default=14, help="days of a log (14)")
    parser.add_argument("--json", type=Path, help="write the JSON object with every log to this file")
    parser.add_argument("--recorded", type=Path, default=Path("../shared/data/banking77.jsonl.gz"))
    parser.add_argument("--broker", action="store_true", help="play on the embedded broker and store, half as fast")
    parser.add_argument("--list", action="store_true", help="print the scenarios' names and end")
    return parser.parse_args()


def _parse_scenarios(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in _SCENARIO_NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no scenario is called {unknown[0]!r}; there are: {', '.join(_SCENARIO_NAMES)}"
        )
    return names


if __name__ == "__main__":
    main()
