"""A share of a core for processes, by Linux's control groups: the room that there would be on a larger machine."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_V1: Final = Path("/sys/fs/cgroup/cpu")
_V2: Final = Path("/sys/fs/cgroup")
_PERIOD_US: Final = 10_000


def is_available() -> bool:
    """Whether this user may make such groups here."""
    return any(os.access(root, os.W_OK) for root in (_V1, _V2) if (root / _marker(root)).exists())


@contextlib.contextmanager
def limit_cpu(process_trees: Sequence[Sequence[int]], share: float) -> Iterator[None]:
    """Let each family of processes have at most so much of one core; raises OSError where that is not possible."""
    root = _V1 if (_V1 / _marker(_V1)).exists() else _V2
    home = _home(root)
    groups = [root / f"understudies-bench-{os.getpid()}-{number}" for number in range(len(process_trees))]
    quota = int(_PERIOD_US * share)
    try:
        for group, family in zip(groups, process_trees, strict=True):
            group.mkdir()
            if root is _V1:
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
            for pid in family:
                (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for group in filter(Path.exists, groups):
            for left in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (home / "cgroup.procs").write_text(left)
            group.rmdir()


def _marker(root: Path) -> str:
    return "cpu.shares" if root is _V1 else "cgroup.controllers"


def _home(root: Path) -> Path:
    """The group that this process is in."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = next((path for _, names, path in lines if names == "" or "cpu" in names.split(",")), "/")
    return root / mine.lstrip("/")
