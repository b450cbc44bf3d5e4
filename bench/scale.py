"""A backtest of many calls: CPU and memory by the number of calls, beside an older build in turns.

    python -m bench.scale                                      10,000 and 100,000 calls in 10 tasks, once each
    python -m bench.scale --calls 10000,100000,1000000
    python -m bench.scale --old ../old --old-python ../old/.venv/bin/python --rounds 3

Each figure is of one `understudies backtest` as a user starts it, with all processes that it starts: CPU is that of the
kernel's accounts (user and system), memory the largest sum of their proportional set sizes (PSS, which counts a page
that several share once), taken every half second; `peak_anonymous_mb` is the largest sum without pages of files, which
are those of libraries and other processes may share. The log is made up and the same for the same numbers. The last
line is one JSON object.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.traffic.many_calls import DAYS, TASKS, generate_calls, write_log

SAMPLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Build:
    """A build to measure: the folder of its sources, and the interpreter with what it needs."""

    name: str
    folder: Path
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which its sources come before an installed build."""
        paths = [str(self.folder / part) for part in ("services", "schemas")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one backtest took; `report` is a digest of what it found, without times and versions."""

    build: str
    calls: int
    cpu_s: float
    cpu_ms_per_call: float
    wall_s: float
    peak_mb: float
    peak_anonymous_mb: float
    served_share: float
    agreement_served: float | None
    report: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default="10000,100000", help="sizes of the logs, with commas (10000,100000)")
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--days", type=float, default=DAYS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="rounds of all builds in turns (1)")
    parser.add_argument("--old", type=Path, help="the folder of an older build, measured in turns")
    parser.add_argument("--old-python", default=sys.executable, help="its interpreter, if it needs other packages")
    parser.add_argument("--old-most", type=int, default=100_000, help="the most calls given to the older build")
    parser.add_argument("--keep", type=Path, help="a folder for the logs and reports")
    options = parser.parse_args()
    builds = [Build("new", Path(__file__).parents[1], sys.executable)]
    if options.old is not None:
        builds.append(Build("old", options.old.resolve(), options.old_python))
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = list(measure_all(options, builds, folder))
    print(json.dumps({"measured": [asdict(one) for one in found], "growth": growth(found)}))


def measure_all(options: argparse.Namespace, builds: list[Build], folder: Path) -> Iterator[Measured]:
    """Measure every build on every log in turns."""
    for calls in [int(size) for size in options.calls.split(",")]:
        log = folder / f"calls-{calls}-{options.tasks}-{options.days:g}-{options.seed}.jsonl"
        if not log.exists():
            write_log(log, generate_calls(calls, tasks=options.tasks, days=options.days, seed=options.seed))
        for _ in range(options.rounds):
            for build in builds:
                if build.name == "old" and calls > options.old_most:
                    continue
                measured = measure_backtest(build, log, folder, calls)
                print(json.dumps(asdict(measured)), file=sys.stderr, flush=True)
                yield measured


def measure_backtest(build: Build, log: Path, folder: Path, calls: int) -> Measured:
    """Play a log with a build as a user does."""
    output = folder / f"report-{build.name}-{calls}.json"
    command = [build.python, "-m", "understudies.cli", "backtest", str(log), "--teacher-price", "0.03"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--json", str(output)],
        env=build.environment,
        cwd=build.folder,
        stdout=subprocess.DEVNULL,
    )
    peak = anonymous = 0
    while process.poll() is None:
        sizes = tree_memory(process.pid)
        peak, anonymous = max(peak, sizes.total), max(anonymous, sizes.anonymous)
        time.sleep(SAMPLE_S)
    if process.returncode != 0:
        sys.exit(f"the backtest of the {build.name} build failed with code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads(output.read_bytes())
    return Measured(
        build.name,
        calls,
        round(cpu, 1),
        round(1000 * cpu / calls, 3),
        round(time.perf_counter() - began, 1),
        round(peak / 1e6, 1),
        round(anonymous / 1e6, 1),
        report["served_share"],
        report["agreement_served"],
        digest(report),
    )


def digest(report: dict[str, Any]) -> str:
    """A digest of a report without what differs from run to run of the same log."""
    told = {key: value for key, value in report.items() if key not in ("seconds", "version", "input")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


class TreeMemory(NamedTuple):
    """The proportional set sizes of some processes together in bytes, and those of their pages that are of no file."""

    total: int
    anonymous: int


def tree_memory(pid: int) -> TreeMemory:
    """The memory of a process and all its descendants together."""
    total = anonymous = 0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            threads = list(Path(f"/proc/{one}/task").iterdir())
            waiting += [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {
            name: 1024 * int(rest.split()[0])
            for name, _, rest in (line.partition(":") for line in rollup.splitlines()[1:])
        }
        total += sizes["Pss"]
        anonymous += sizes["Pss_Anon"]
    return TreeMemory(total, anonymous)


def growth(found: list[Measured]) -> dict[str, float] | None:
    """CPU a call and memory of the longest log of the new build over those of the next shorter one."""
    best: dict[int, Measured] = {}
    for one in found:
        if one.build == "new" and (one.calls not in best or one.cpu_s < best[one.calls].cpu_s):
            best[one.calls] = one
    sizes = sorted(best)
    if len(sizes) < 2:
        return None
    longest, shorter = best[sizes[-1]], best[sizes[-2]]
    return {
        "cpu_per_call": round(longest.cpu_ms_per_call / shorter.cpu_ms_per_call, 3),
        "memory": round(longest.peak_mb / shorter.peak_mb, 3),
    }


if __name__ == "__main__":
    main()
