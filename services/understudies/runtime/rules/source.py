"""Reload the rules when their file changes, without a restart."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from understudies.runtime.errors import ConfigurationError, UnderstudiesError
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules

T = TypeVar("T")

POLL_INTERVAL_S: Final = 0.5
"""Time between two checks of the file's attributes; cheap enough that no file system watcher is needed."""

_RESTART_ONLY_SETTINGS: Final = ("spool_max_bytes", "redact_packs", "redact_patterns")
_NEW_STUDENTS_ONLY_SETTINGS: Final = ("min_agreement", "judge")
_log = logging.getLogger(__name__)


class DerivedFromRules(Generic[T]):
    """Value built from the rules and rebuilt when they change; read `value` at every use."""

    def __init__(self, build: Callable[[Rules], T], rules: Rules) -> None:
        self.build = build
        self.value = build(rules)


class RulesSource:
    """Rules in force; a change that cannot be parsed, or for which a derived value fails to build, has no effect."""

    def __init__(self, rules: Rules | None = None, path: Path | None = None) -> None:
        self._path = path
        self._stamp = self._last_stamp = _file_stamp(path) if path else None
        self._rules = rules if rules is not None else read_rules(path) if path else Rules()
        self._derived: list[DerivedFromRules[Any]] = []
        self._listeners: list[Callable[[Rules], None]] = []
        self.last_error: str | None = None
        """Why the current content of the file is not in force; None if it is."""
        self.reloads = 0
        self.failed_reloads = 0

    def current(self) -> Rules:
        """Return the current rules."""
        return self._rules

    def for_task(self, task: str) -> TaskRules:
        """Return the current rules of a task, in constant time."""
        return self._rules.for_task(task)

    def retirements(self) -> Mapping[str, date | None]:
        """Return the declared days from which models no longer answer."""
        return self._rules.retirements()

    def successor_of(self, model: str) -> str | None:
        """Return the model that is named to succeed a teacher's; None if none is."""
        return self._rules.successor_of(model)

    def derive(self, build: Callable[[Rules], T]) -> DerivedFromRules[T]:
        """Build a value from the rules now and at every change; if `build` raises then, the change is rejected."""
        derived = DerivedFromRules(build, self._rules)
        self._derived.append(derived)
        return derived

    def subscribe(self, listener: Callable[[Rules], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def watch(self, seconds: float = POLL_INTERVAL_S) -> AsyncIterator[None]:
        """Reload the file while the block runs: by polling it, and at once on SIGHUP."""
        if self._path is None:
            yield
            return
        if sharing := self._rules.describe_sharing():
            _log.warning("%s", sharing)
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        polling = loop.create_task(self._poll_forever(seconds))
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            loop.remove_signal_handler(signal.SIGHUP)

    async def _poll_forever(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self.poll()

    def poll(self) -> bool:
        """Read the file if it changed, and has not changed since the last poll; return whether the rules are new.

        A half-written file may be valid TOML that lacks a critical task: hence the wait of one poll.
        """
        if self._path is None:
            return False
        stamp = _file_stamp(self._path)
        is_stable = stamp == self._last_stamp
        self._last_stamp = stamp
        return is_stable and stamp != self._stamp and self._load(self._path, stamp)

    def reload(self) -> bool:
        """Read the file now; return whether the rules are new."""
        return self._path is not None and self._load(self._path, _file_stamp(self._path))

    def _load(self, path: Path, stamp: "_FileStamp | None") -> bool:
        try:
            rules = read_rules(path)
            if _file_stamp(path) != stamp:
                return False
            _check_safe_change(path, self._rules, rules)
            built = [derived.build(rules) for derived in self._derived] if rules != self._rules else []
        except Exception as error:  # noqa: BLE001 - whatever a change breaks, keep the rules in force
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
        _log.error("rejected the changed rules, the previous ones stay in force: %s", self.last_error)

    def _apply(self, path: Path, rules: Rules) -> None:
        before, self._rules = self._rules, rules
        self.reloads += 1
        _log.info("the changed rules in %s are in force", path)
        for warning in _describe_deferred_changes(before, rules):
            _log.warning("%s", warning)
        sharing = rules.describe_sharing()
        if sharing is not None and sharing != before.describe_sharing():
            _log.warning("%s", sharing)
        for listener in self._listeners:
            listener(rules)


def _check_safe_change(path: Path, before: Rules, now: Rules) -> None:
    """Raise ConfigurationError for a harmful change that is more likely an accident than intended."""
    if now == Rules() != before:
        raise ConfigurationError(f"{path}: is now empty; restart to continue without any rules")
    if before.require_key and not now.require_key and now.router.require_key is None:
        raise ConfigurationError(
            f"{path}: tenants: all were removed, so that anyone could call; if this is intended, "
            "set require_key = false under [router]"
        )


_FileStamp = tuple[int, int, int, int]


def _file_stamp(path: Path) -> _FileStamp | None:
    """Return attributes that change with a file's content, following symbolic links; None if there is no file."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - twice a second
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _describe_deferred_changes(before: Rules, now: Rules) -> Iterator[str]:
    """Describe the changes that do not take effect at once."""
    for name in _RESTART_ONLY_SETTINGS:
        if getattr(before.router, name) != getattr(now.router, name):
            yield f"router.{name} has changed, which takes effect at the next start"
    pairs = {"defaults": (before.defaults, now.defaults)}
    pairs |= {
        f"tasks.{task}": (before.for_task(task), now.for_task(task)) for task in sorted({*before.tasks, *now.tasks})
    }
    for where, (old, new) in pairs.items():
        for name in _NEW_STUDENTS_ONLY_SETTINGS:
            if getattr(old, name) != getattr(new, name):
                yield f"{where}.{name} has changed, which takes effect for students evaluated from now on"
