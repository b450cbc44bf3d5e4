"""The router against nginx, a bare proxy and the proxies that others use, in front of the same instant upstream.

    python bench/router.py --parts throughput,latency,ttft,streams,steady,memory,workers,crowded,peers

Everything runs on this machine, over loopback, each server as one worker: an upstream (nginx that returns a chat
completion of 0.5 kB), a broker, the router as a user starts it, and the load. Every call is recorded and published
while it is measured, and at the end the events on the broker are counted: a run that lost one is void. Needs nginx and
wrk; the peers rolter (Rust), ferrogw (Go), LiteLLM and Portkey are installed into the cache folder, and left out, with
the reason, where that fails. `--checkout old=FOLDER` has another version of the router take turns with this one.
The last line is one JSON object; times in milliseconds unless their name says otherwise.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxies.cpu_quota import is_available, limit_cpu
from bench.proxies.many_streams import run_many_streams
from bench.proxies.nginx import start_instant_upstream, start_plain_proxy
from bench.proxies.open_loop import run_open_loop
from bench.proxies.peers import PeerProxy, start_ferrogw, start_litellm, start_portkey, start_rolter
from bench.proxies.process import ROOT, BenchProcess, free_port, start_process
from bench.proxies.recorded_events import TopicReader
from bench.proxies.streaming import time_streams
from bench.proxies.wrk import LoadResult, run_wrk
from tests.support.tansu_broker import TansuBroker

PEERS = ("rolter", "ferrogw", "litellm", "portkey")
PARTS = ("throughput", "latency", "ttft", "streams", "steady", "memory", "workers", "crowded", "peers")
_CORE_SHARE = 0.3
_STREAM_TOKENS, _STREAM_GAP_MS = 50, 100
_STREAM_JITTER = 0.5
"""Without it, streams that were once held up together would send all their events together from then on."""
BARS = {
    "requests_per_second": 2500,
    "p50_at_one_ms": 0.8,
    "times_litellm": 30,
    "times_portkey": 4,
    "steady_p99_ms": 5,
    "ttft_added_p50_ms": 1,
    "streams_added_p99_ms": 10,
    "memory_growth": 1.1,
    "workers_speedup": 1.7,
}


@dataclass
class RouterBench:
    """What runs, and what the router has answered."""

    options: argparse.Namespace
    folder: Path
    broker: str
    upstream: str
    answered: int = 0
    interrupted: int = 0
    errors: int = 0
    peers: dict[str, PeerProxy] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def start_router(
        self, name: str, teacher: str, *, workers: int = 1, checkout: Path | None = None
    ) -> Iterator[BenchProcess]:
        """The router as a user starts it, until it has ended and delivered all it had; `checkout` holds its code."""
        port = free_port()
        environment = {
            "UNDERSTUDIES_ROUTER_PORT": str(port),
            "UNDERSTUDIES_ROUTER_TEACHER_URL": f"{teacher}/v1",
            "UNDERSTUDIES_BUS_REPLICATION_FACTOR": "1",
        }
        if checkout is not None:
            environment["PYTHONPATH"] = os.pathsep.join(str(checkout / root) for root in ("services", "schemas"))
        command = [sys.executable, "-m", "understudies.cli", "router", "--bootstrap", self.broker]
        command += ["--data", str(self.folder / name), *(["--workers", str(workers)] if workers > 1 else [])]
        process = start_process(
            name, command, f"http://127.0.0.1:{port}", self.folder / f"{name}.log",
            ready="/readyz", environment=environment,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.stop()

    @contextlib.contextmanager
    def start_bare_proxy(self) -> Iterator[BenchProcess]:
        """The bare proxy."""
        port = free_port()
        command = [sys.executable, "-m", "bench.proxies.bare", str(port), self.upstream]
        process = start_process("bare", command, f"http://127.0.0.1:{port}", self.folder / "bare.log")
        try:
            yield process
        finally:
            process.stop()

    def run_load(self, server: BenchProcess, connections: int, seconds: float) -> LoadResult:
        """Ask a server for so long; what the router answered is added up."""
        headers = self.peers[server.name].headers if server.name in self.peers else None
        found = run_wrk(server.url, connections=connections, seconds=seconds, folder=self.folder, headers=headers)
        if server.name.startswith("router"):
            self.answered += found.requests
            self.interrupted += connections
            self.errors += found.errors
        return found


def compare_side_by_side(
    bench: RouterBench, servers: Sequence[BenchProcess], connections: int
) -> dict[str, dict[str, float]]:
    """Medians over rounds in which the servers take turns."""
    rounds: dict[str, list[tuple[LoadResult, float, float]]] = {server.name: [] for server in servers}
    for number in range(bench.options.rounds + 1):
        for server in servers:
            before, family_before = server.cpu_s, server.tree_cpu_s
            found = bench.run_load(server, connections, 2 if number == 0 else bench.options.seconds)
            if number == 0:
                continue
            cpu_us = (server.cpu_s - before) / max(1, found.requests) * 1e6
            all_us = (server.tree_cpu_s - family_before) / max(1, found.requests) * 1e6
            rounds[server.name].append((found, cpu_us, all_us))
            print_progress(
                f"{server.name:12} at {connections:2}: {found.per_second:8,.0f}/s, p50 {found.p50_ms:.2f} ms, "
                f"p99 {found.p99_ms:.2f} ms, {cpu_us:.0f} µs of CPU a request, {all_us:.0f} with children, "
                f"{found.errors} errors"
            )
    return {
        name: {
            "per_second": round(statistics.median(found.per_second for found, *_ in of_server), 1),
            "p50_ms": statistics.median(found.p50_ms for found, *_ in of_server),
            "p99_ms": statistics.median(found.p99_ms for found, *_ in of_server),
            "cpu_us": round(statistics.median(cpu_us for _, cpu_us, _ in of_server), 1),
            "family_cpu_us": round(statistics.median(all_us for *_, all_us in of_server), 1),
            "errors": sum(found.errors for found, *_ in of_server),
        }
        for name, of_server in rounds.items()
    }


def measure_closed_loop(bench: RouterBench, parts: Sequence[str]) -> None:
    """Throughput at 64 connections and latency at one, beside nginx, the bare proxy and the peers."""
    with contextlib.ExitStack() as opened:
        nginx = start_plain_proxy(bench.folder, bench.upstream)
        opened.callback(nginx.stop)
        servers = [nginx, opened.enter_context(bench.start_bare_proxy())]
        for name, checkout in {"": None, **bench.options.checkout}.items():
            router = bench.start_router(f"router{name and '-'}{name}", bench.upstream, checkout=checkout)
            servers.append(opened.enter_context(router))
        if "peers" in parts:
            servers += [peer.process for peer in _start_peers(bench, opened)]
        if "throughput" in parts:
            found = compare_side_by_side(bench, servers, bench.options.connections)
            bench.figures["throughput"] = found
            mine = found["router"]["per_second"]
            bench.figures["times"] = {
                name: round(mine / one["per_second"], 3) for name, one in found.items() if name != "router"
            }
        if "latency" in parts:
            bench.figures["latency"] = compare_side_by_side(bench, servers, 1)


def _start_peers(bench: RouterBench, opened: contextlib.ExitStack) -> list[PeerProxy]:
    cache = bench.options.cache
    cache.mkdir(parents=True, exist_ok=True)
    installed: dict[str, Callable[[Path, Path, str], PeerProxy]] = {
        "rolter": start_rolter,
        "ferrogw": start_ferrogw,
        "litellm": start_litellm,
        "portkey": start_portkey,
    }
    versions: dict[str, str] = {}
    for name, start in installed.items():
        if name not in bench.options.peers:
            continue
        try:
            bench.peers[name] = peer = start(cache, bench.folder, bench.upstream)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            versions[name] = f"left out: {error} {getattr(error, 'stderr', None) or ''}".strip()[-500:]
            print_progress(f"{name} {versions[name]}")
        else:
            opened.callback(peer.process.stop)
            versions[name] = peer.version
    bench.figures["peers"] = versions
    return list(bench.peers.values())


def measure_ttft(bench: RouterBench) -> None:
    """What the router adds until a stream's first piece and its end, beside nginx without buffering."""
    port = free_port()
    with contextlib.ExitStack() as opened:
        command = [sys.executable, "-m", "bench.proxies.streaming", str(port)]
        teacher = start_process("teacher", command, f"http://127.0.0.1:{port}", bench.folder / "teacher.log")
        opened.callback(teacher.stop)
        nginx = start_plain_proxy(bench.folder, teacher.url, name="nginx-unbuffered", buffering=False)
        opened.callback(nginx.stop)
        router = opened.enter_context(bench.start_router("router-streaming", teacher.url))
        urls = {"direct": teacher.url, "nginx": nginx.url, "router": router.url}
        spans, same = asyncio.run(time_streams(urls, bench.options.streams))
    bench.answered += bench.options.streams + 20
    direct = spans["direct"]
    bench.figures["ttft"] = {
        "streams": bench.options.streams,
        "same_bytes": same["router"],
        "direct_p50_ms": round(direct.p50, 3),
        **{
            f"{name}_added_{what}_ms": round(getattr(spans[name], what) - getattr(direct, what), 3)
            for name in ("nginx", "router")
            for what in ("p50", "p99", "whole_p50")
        },
    }
    print_progress(f"one stream after the other: {bench.figures['ttft']}")


def measure_streams(bench: RouterBench) -> None:
    """What the router adds until the first piece where many streams run at once, and the CPU that a stream takes."""
    port, at_once, seconds = free_port(), bench.options.streams_at_once, bench.options.streams_seconds
    figures: dict[str, Any] = {"at_once": at_once, "seconds": seconds, "events": _STREAM_TOKENS + 2}
    with contextlib.ExitStack() as opened:
        command = [sys.executable, "-m", "bench.proxies.streaming", str(port)]
        command += ["--tokens", str(_STREAM_TOKENS), "--gap-ms", str(_STREAM_GAP_MS), "--jitter", str(_STREAM_JITTER)]
        teacher = start_process("direct", command, f"http://127.0.0.1:{port}", bench.folder / "streams-teacher.log")
        opened.callback(teacher.stop)
        nginx = start_plain_proxy(bench.folder, teacher.url, name="nginx-streams", buffering=False)
        opened.callback(nginx.stop)
        router = opened.enter_context(bench.start_router("router-streams", teacher.url))
        for name, server in {"direct": teacher, "nginx": nginx, "router": router}.items():
            before, family_before, teacher_before = server.cpu_s, server.tree_cpu_s, teacher.cpu_s
            began = time.monotonic()
            found = run_many_streams(server.url, at_once, seconds, _STREAM_TOKENS, _STREAM_GAP_MS)
            took_s, streams = time.monotonic() - began, max(1, found.completed)
            cpu_us, all_us = (server.cpu_s - before) * 1e6, (server.tree_cpu_s - family_before) * 1e6
            figures[name] = {
                **asdict(found),
                "teacher_cores": round((teacher.cpu_s - teacher_before) / took_s, 3),
                "cores": round(cpu_us / 1e6 / took_s, 3),
                "cpu_us": round(cpu_us / streams, 1),
                "family_cpu_us": round(all_us / streams, 1),
                "event_cpu_us": round(cpu_us / streams / figures["events"], 2),
                "event_family_cpu_us": round(all_us / streams / figures["events"], 2),
            }
            print_progress(f"{name:6} with {at_once} streams at once: {figures[name]}")
    bench.answered += figures["router"]["completed"]
    bench.interrupted += figures["router"]["broken"]
    bench.errors += figures["router"]["broken"]
    for name in ("nginx", "router"):
        for what in ("p50", "p99"):
            added = figures[name][f"{what}_ms"] - figures["direct"][f"{what}_ms"]
            figures[f"{name}_added_{what}_ms"] = round(added, 3)
    bench.figures["streams"] = figures


def measure_open_loop(bench: RouterBench) -> None:
    """Latency at 500 requests a second by a timetable; the same against nginx is the noise floor."""
    with contextlib.ExitStack() as opened:
        nginx = start_plain_proxy(bench.folder, bench.upstream, name="nginx-steady")
        opened.callback(nginx.stop)
        router = opened.enter_context(bench.start_router("router-steady", bench.upstream))
        bench.run_load(router, 16, 3)
        floor = run_open_loop(nginx.url, 500, min(20, bench.options.steady_seconds))
        print_progress(f"nginx at 500/s: {floor}")
        found = run_open_loop(router.url, 500, bench.options.steady_seconds)
        print_progress(f"router at 500/s: {found}")
    bench.answered += found.requests
    bench.errors += found.errors
    bench.figures["steady"] = {"seconds": bench.options.steady_seconds, "router": asdict(found), "nginx": asdict(floor)}


def measure_memory(bench: RouterBench) -> None:
    """Resident memory over many requests, from a tenth of them on."""
    goal, done = bench.options.memory_requests, 0
    samples: list[float] = []
    with bench.start_router("router-memory", bench.upstream) as router:
        while done < goal:
            done += bench.run_load(router, 64, 10).requests
            if done >= goal / 10:
                samples.append(round(router.rss_mb, 1))
                print_progress(f"memory after {done:,} requests: {samples[-1]} MB")
    growth = round(max(samples) / samples[0], 3)
    bench.figures["memory"] = {"requests": done, "first_mb": samples[0], "last_mb": samples[-1], "growth": growth}


def measure_workers(bench: RouterBench) -> None:
    """One worker against two; where upstream, broker and load share the cores, there is none left for the second.

    Where control groups may be made, each worker with its recorder is given a part of a core too, so that there is
    room for two: then what one keeps the other from would show.
    """
    figures: dict[str, Any] = {"cores": os.cpu_count()}
    for name, share in {"": None, "capped_": _CORE_SHARE}.items():
        if share is not None and not is_available():
            print_progress("workers: no control groups may be made here, so nothing is capped")
            continue
        found = {}
        for count in (1, 2):
            with bench.start_router(f"router-{name}{count}", bench.upstream, workers=count) as router:
                families = [router.pids] if count == 1 else router.process_trees
                with limit_cpu(families, share) if share is not None else contextlib.nullcontext():
                    bench.run_load(router, 64, 3)
                    found[count] = bench.run_load(router, 64, bench.options.seconds).per_second
                print_progress(
                    f"{count} workers{'' if share is None else f' of {share:.0%} of a core'}: {found[count]:,.0f}/s"
                )
        figures[f"{name}one_per_second"] = round(found[1], 1)
        figures[f"{name}two_per_second"] = round(found[2], 1)
        figures[f"{name}speedup"] = round(found[2] / found[1], 3)
    bench.figures["workers"] = figures


def measure_crowded(bench: RouterBench) -> None:
    """Under load beside others that never stop, where whoever gives way too often has no time: no event may be lost."""
    with bench.start_router("router-crowded", bench.upstream) as router, contextlib.ExitStack() as others:
        for _ in range(os.cpu_count() or 1):
            busy = others.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            others.callback(busy.kill)
        found = bench.run_load(router, 64, 2 * bench.options.seconds)
        print_progress(f"beside a busy loop for each core: {found.per_second:,.0f}/s, p99 {found.p99_ms:.0f} ms")
    bench.figures["crowded"] = {"per_second": round(found.per_second, 1), "p99_ms": found.p99_ms}


def check_bars(figures: Mapping[str, Any]) -> dict[str, bool]:
    """Which bars are reached, of those that were measured."""
    reached: dict[str, bool] = {}
    if "throughput" in figures:
        reached["requests_per_second"] = figures["throughput"]["router"]["per_second"] >= BARS["requests_per_second"]
        for peer in ("litellm", "portkey"):
            if peer in figures["times"]:
                reached[f"times_{peer}"] = figures["times"][peer] >= BARS[f"times_{peer}"]
    if "latency" in figures:
        reached["p50_at_one_ms"] = figures["latency"]["router"]["p50_ms"] <= BARS["p50_at_one_ms"]
    if "ttft" in figures:
        added = figures["ttft"]["router_added_p50_ms"] <= BARS["ttft_added_p50_ms"]
        reached["ttft_added_p50_ms"] = added and figures["ttft"]["same_bytes"]
    if "streams" in figures:
        added = figures["streams"]["router_added_p99_ms"] <= BARS["streams_added_p99_ms"]
        reached["streams_added_p99_ms"] = added and not figures["streams"]["router"]["broken"]
    if "steady" in figures:
        reached["steady_p99_ms"] = figures["steady"]["router"]["p99_ms"] <= BARS["steady_p99_ms"]
    if "memory" in figures:
        reached["memory_growth"] = figures["memory"]["growth"] <= BARS["memory_growth"]
    if "workers" in figures:
        found = figures["workers"]
        reached["workers_speedup"] = found.get("capped_speedup", found["speedup"]) >= BARS["workers_speedup"]
    return reached


def count_events(bench: RouterBench) -> None:
    """Compare what was answered with what was recorded; calls that wrk broke off at its end may be recorded too."""
    recorded = TopicReader(bench.broker).read_until(bench.answered)
    lost = max(0, bench.answered - recorded.calls)
    bench.figures["recorded"] = {
        "answered": bench.answered,
        "broken_off_at_most": bench.interrupted,
        "recorded": recorded.calls,
        "audits": recorded.audits,
        "delivered_again": recorded.duplicates,
        "lost": lost,
        "errors": bench.errors,
        "void": lost > 0 or bench.errors > 0,
    }


def print_progress(text: str) -> None:
    print(text, flush=True)


def run_parts(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All parts that were asked for, one after the other."""
    broker = TansuBroker()
    asyncio.run(broker.start())
    upstream = start_instant_upstream(folder)
    bench = RouterBench(options, folder, broker.bootstrap, upstream.url)
    bench.figures.update(bench="router", parts=options.parts)
    try:
        if {"throughput", "latency"} & set(options.parts):
            measure_closed_loop(bench, options.parts)
        for name, part in {
            "ttft": measure_ttft,
            "streams": measure_streams,
            "steady": measure_open_loop,
            "memory": measure_memory,
            "workers": measure_workers,
            "crowded": measure_crowded,
        }.items():
            if name in options.parts:
                part(bench)
        count_events(bench)
    finally:
        upstream.stop()
        broker.stop()
    return {**bench.figures, "bars": BARS, "reached": check_bars(bench.figures)}


def _parse_checkout(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not (Path(folder) / "services" / "understudies").is_dir():
        raise argparse.ArgumentTypeError(f"{folder or text} is no checkout: give NAME=FOLDER, a folder with services/")
    return name, Path(folder).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help="of " + ",".join(PARTS))
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(PEERS), help="of " + ",".join(PEERS))
    parser.add_argument(
        "--checkout", type=_parse_checkout, action="append", default=[], metavar="NAME=FOLDER",
        help="another version of the router, beside this one in the parts throughput and latency",
    )  # fmt: skip
    parser.add_argument("--connections", type=int, default=64, help="of the part throughput")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of each round")
    parser.add_argument("--steady-seconds", type=int, default=60)
    parser.add_argument("--streams", type=int, default=1000, help="of the part ttft, one after the other")
    parser.add_argument("--streams-at-once", type=int, default=512, help="of the part streams")
    parser.add_argument("--streams-seconds", type=float, default=60, help="of the part streams, for each server")
    parser.add_argument("--memory-requests", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers", help="where the peers are installed")
    options = parser.parse_args()
    options.checkout = dict(options.checkout)
    unknown = set(options.parts) - set(PARTS)
    missing = [program for program in ("nginx", "wrk") if shutil.which(program) is None]
    if unknown or missing:
        parser.error(f"no such part: {sorted(unknown)}" if unknown else f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run_parts(options, Path(folder))))


if __name__ == "__main__":
    main()
