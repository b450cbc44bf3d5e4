"""Measure how fast logs are read: a file of mixed formats, its memory, and each format alone.

Run `python -m bench.readers`. The lines are the fixtures' records of every format that docs/logs.md lists, each with a
text of its own, nine in ten of them calls and one a line that is to be skipped. What is printed is
CPU time of one process on one thread; `over_json` is the ratio to parsing the same lines with orjson and doing nothing
else. The last line is one JSON object.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from understudies.importers.reader import iter_calls
from understudies.importers.record_lines import iter_records
from understudies.importers.recorded_call import RecordedCall

LOGS: Final = Path(__file__).parents[1] / "tests" / "fixtures" / "logs"
SAMPLE: Final = "The towels in room 12 were not changed."
WORDS: Final = ("towels", "window", "shower", "invoice", "breakfast", "key", "minibar", "noise", "bed", "lamp")
SKIPPED_EACH: Final = 10
MARKS: Final = 10
HALVES: Final = ("custom_id", "chat.completion", "chatcmpl-")
"""Marks of requests and answers in records of their own, left out as their memory is that of the requests."""


def fixture_lines() -> dict[str, dict[bool, list[str]]]:
    """Return the fixtures' records as lines of JSON, by file, apart by whether a call is read from them."""
    found: dict[str, dict[bool, list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "one.jsonl"
        for path in sorted(LOGS.iterdir()):
            lines: dict[bool, list[str]] = {True: [], False: []}
            for numbered in iter_records(path):
                if not isinstance(numbered, tuple):
                    continue
                line = json.dumps(numbered[1])
                alone.write_text(line)
                is_call = any(isinstance(one, RecordedCall) for one in iter_calls(alone))
                if is_call or not any(mark in line for mark in HALVES):
                    lines[is_call].append(line)
            found[path.name] = lines
    return found


def vary(line: str, number: int, rng: random.Random) -> bytes:
    """Return the line with a text of its own in place of the fixture's."""
    text = f"Room {number}: {' '.join(rng.choices(WORDS, k=rng.randint(6, 30)))} {number:x}."
    return line.replace(SAMPLE, text).encode()


def iter_lines(lines: dict[bool, list[str]], count: int, rng: random.Random) -> Iterator[bytes]:
    """Yield lines of which one in ten is to be skipped, if any is."""
    calls, others = lines[True], lines[False]
    for number in range(count):
        is_other = not calls or (others and number % SKIPPED_EACH == 0)
        yield vary(rng.choice(others if is_other else calls), number, rng)


def write_lines(path: Path, lines: Iterator[bytes]) -> int:
    """Write a file of lines; returns its bytes."""
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
    return path.stat().st_size


def resident_mb() -> float:
    """Return the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def time_reading(path: Path, count: int) -> dict[str, Any]:
    """Read a file, and return lines a second of CPU, calls, and the memory at a tenth and at the end."""
    memory: list[float] = []
    calls = 0
    began, cpu = time.perf_counter(), time.process_time()
    for seen, found in enumerate(iter_calls(path), 1):
        calls += isinstance(found, RecordedCall)
        if seen % max(count // MARKS, 1) == 0:
            memory.append(resident_mb())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    return {
        "lines_per_s": round(count / cpu),
        "us_a_line": round(cpu / count * 1e6, 1),
        "wall_s": round(wall, 1),
        "calls": calls,
        "mb_at_a_tenth": round(memory[0], 1) if memory else 0.0,
        "mb_at_the_end": round(resident_mb(), 1),
    }


def time_json(path: Path, count: int) -> float:
    """Return the microseconds of CPU that parsing a line takes."""
    cpu = time.process_time()
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
    return (time.process_time() - cpu) / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000, help="lines of the mixed log (default 100,000)")
    parser.add_argument("--each", type=int, default=0, help="lines of each format alone (default: none)")
    parser.add_argument("--rounds", type=int, default=3, help="readings of the mixed log, the best of which counts")
    asked = parser.parse_args()
    by_file, rng = fixture_lines(), random.Random(13)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        for name, lines in by_file.items() if asked.each else ():
            if not lines[True]:
                continue
            write_lines(path, iter_lines(lines, asked.each, rng))
            print(f"{name:35} {time_reading(path, asked.each)} json {time_json(path, asked.each):.1f} us", flush=True)
        mixed = {is_call: [line for lines in by_file.values() for line in lines[is_call]] for is_call in (True, False)}
        size = write_lines(path, iter_lines(mixed, asked.lines, rng))
        best: dict[str, Any] = {}
        for _ in range(asked.rounds):
            measured = time_reading(path, asked.lines)
            print(measured, flush=True)
            best = max(best or measured, measured, key=lambda one: one["lines_per_s"])
        json_us = min(time_json(path, asked.lines) for _ in range(asked.rounds))
    figures = {"lines": asked.lines, "bytes_a_line": round(size / asked.lines), **best}
    print(json.dumps({**figures, "json_us": round(json_us, 1), "over_json": round(best["us_a_line"] / json_us, 1)}))


if __name__ == "__main__":
    main()
