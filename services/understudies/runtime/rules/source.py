"""Rules that follow their file, without a restart."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from understudies.runtime.errors import ConfigurationError, UnderstudiesError
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules

T = TypeVar("T")

POLL_INTERVAL_S: Final = 0.5
"""Time between two looks at the file: two file attributes, so that nothing has to watch the file system."""

_RESTART_ONLY_SETTINGS: Final = ("spool_max_bytes",)
_NEW_STUDENTS_ONLY_SETTINGS: Final = ("min_agreement", "judge")
_log = logging.getLogger(__name__)


class DerivedFromRules(Generic[T]):
    """Something built from the rules that is built anew with them; `value` is read at every use."""

    def __init__(self, build: Callable[[Rules], T], rules: Rules) -> None:
        self.build = build
        self.value = build(rules)


class RulesSource:
    """The rules in force. A change that cannot be read, or that something cannot be built from, changes nothing."""

    def __init__(self, rules: Rules | None = None, path: Path | None = None) -> None:
        self._path = path
        self._stamp = self._last_stamp = _file_stamp(path) if path else None
        self._rules = rules if rules is not None else read_rules(path) if path else Rules()
        self._derived: list[DerivedFromRules[Any]] = []
        self._listeners: list[Callable[[Rules], None]] = []
        self.last_error: str | None = None
        """Why the file as it is now is not in force; None where it is."""
        self.reloads = 0
        self.failed_reloads = 0

    def current(self) -> Rules:
        """The rules now."""
        return self._rules

    def for_task(self, task: str) -> TaskRules:
        """The rules of a task now, in constant time."""
        return self._rules.for_task(task)

    def derive(self, build: Callable[[Rules], T]) -> DerivedFromRules[T]:
        """Something built from the rules, now and at every change; where it raises then, the change is refused."""
        derived = DerivedFromRules(build, self._rules)
        self._derived.append(derived)
        return derived

    def subscribe(self, listener: Callable[[Rules], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def watch(self, seconds: float = POLL_INTERVAL_S) -> AsyncIterator[None]:
        """Follow the file while the block runs: by looking at it, and at once on SIGHUP."""
        if self._path is None:
            yield
            return
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        looking = loop.create_task(self._poll_forever(seconds))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            loop.remove_signal_handler(signal.SIGHUP)

    async def _poll_forever(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self.poll()

    def poll(self) -> bool:
        """Read the file where it has changed and then kept still since the last look; whether the rules are new.

        A file that is half written may be whole TOML that lacks a critical task: hence the wait of one look.
        """
        if self._path is None:
            return False
        stamp = _file_stamp(self._path)
        still = stamp == self._last_stamp
        self._last_stamp = stamp
        return still and stamp != self._stamp and self._load(self._path, stamp)

    def reload(self) -> bool:
        """Read the file now; whether the rules are new."""
        return self._path is not None and self._load(self._path, _file_stamp(self._path))

    def _load(self, path: Path, stamp: "_FileStamp | None") -> bool:
        try:
            rules = read_rules(path)
            if _file_stamp(path) != stamp:
                return False
            _check_safe_change(path, self._rules, rules)
            built = [derived.build(rules) for derived in self._derived] if rules != self._rules else []
        except Exception as error:  # noqa: BLE001 - whatever a change breaks, the rules in force stay
            self._stamp = stamp
            self._reject(error)
            return False
        self._stamp = stamp
        self.last_error = None
        if rules == self._rules:
            return False
        for derived, value in zip(self._derived, built, strict=True):
            derived.value = value
        self._apply(path, rules)
        return True

    def _reject(self, error: Exception) -> None:
        self.failed_reloads += 1
        self.last_error = str(error) if isinstance(error, UnderstudiesError) else repr(error)
        _log.error("the rules in force stay, as the changed ones are refused: %s", self.last_error)

    def _apply(self, path: Path, rules: Rules) -> None:
        before, self._rules = self._rules, rules
        self.reloads += 1
        _log.info("the changed rules in %s are in force", path)
        for warning in _describe_deferred_changes(before, rules):
            _log.warning("%s", warning)
        for told in self._listeners:
            told(rules)


def _check_safe_change(path: Path, before: Rules, now: Rules) -> None:
    """Raises ConfigurationError for what is more likely an accident than meant, and would do harm."""
    if now == Rules() != before:
        raise ConfigurationError(f"{path}: says nothing any more; start again to go on without any rules")
    if before.require_key and not now.require_key and now.router.require_key is None:
        raise ConfigurationError(
            f"{path}: tenants: are all gone, so that everybody could call; where that is meant, "
            "set require_key = false under [router]"
        )


_FileStamp = tuple[int, int, int, int]


def _file_stamp(path: Path) -> _FileStamp | None:
    """What tells one state of a file from another, through symbolic links; None where there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - twice a second
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _describe_deferred_changes(before: Rules, now: Rules) -> Iterator[str]:
    """The changes that do not hold at once, in words."""
    for name in _RESTART_ONLY_SETTINGS:
        if getattr(before.router, name) != getattr(now.router, name):
            yield f"router.{name} has changed, which holds from the next start on"
    pairs = {"defaults": (before.defaults, now.defaults)}
    pairs |= {
        f"tasks.{task}": (before.for_task(task), now.for_task(task)) for task in sorted({*before.tasks, *now.tasks})
    }
    for where, (old, new) in pairs.items():
        for name in _NEW_STUDENTS_ONLY_SETTINGS:
            if getattr(old, name) != getattr(new, name):
                yield f"{where}.{name} has changed, which holds for the students tried from now on"
