"""A process that the bench starts, watches and ends."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A loopback port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def process_cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, its children's not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def process_rss_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def process_tree(pid: int) -> list[int]:
    """A process, its children and theirs."""
    return [pid, *(one for child in _child_pids(pid) for one in process_tree(child))]


def _child_pids(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@dataclass(frozen=True)
class BenchProcess:
    """A server on loopback, with what it says in a file."""

    name: str
    url: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that it has used, its children's not counted."""
        return process_cpu_s(self.popen.pid)

    @property
    def tree_cpu_s(self) -> float:
        """The same with its children that live."""
        return sum(map(process_cpu_s, process_tree(self.popen.pid)))

    @property
    def pids(self) -> list[int]:
        """It and all below it."""
        return process_tree(self.popen.pid)

    @property
    def process_trees(self) -> list[list[int]]:
        """Each of its children with all below that."""
        return [process_tree(child) for child in _child_pids(self.popen.pid)]

    @property
    def rss_mb(self) -> float:
        """Resident memory of it and its children, in MB; what they share counts for each."""
        return sum(map(process_rss_mb, process_tree(self.popen.pid)))

    def stop(self) -> None:
        """End it, by force after half a minute."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(10)


def start_process(
    name: str,
    command: Sequence[str],
    url: str,
    log: Path,
    *,
    ready: str = "/",
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> BenchProcess:
    """Start a server and wait until it answers below 500 at the path `ready`; raises RuntimeError where it does not."""
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    process = BenchProcess(name, url, popen, log)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and popen.poll() is None:
        if _is_ready(url + ready):
            return process
        time.sleep(0.1)
    process.stop()
    raise RuntimeError(f"{name} does not answer at {url}{ready}: {log.read_text(errors='replace')[-600:]}")


def _is_ready(url: str) -> bool:
    try:
        with urlopen(Request(url), timeout=2):
            return True
    except HTTPError as error:
        return error.code < 500
    except (URLError, OSError):
        return False
