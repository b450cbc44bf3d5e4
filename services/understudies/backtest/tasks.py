"""The task of every recorded call."""

import re
from collections.abc import Iterable
from dataclasses import replace

from understudies.backtest.recorded import RecordedCall
from understudies.events import Request, discovered_task

_LONGEST = 200
_SEPARATORS = re.compile(r"[/@\x00-\x1f\x7f]+")


def named(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """The calls, each with a valid task: the record's own, cleaned, or the one discovered from its prompt."""
    discovered: dict[str, str] = {}
    return [call if call.task == (task := _task(call, discovered)) else replace(call, task=task) for call in calls]


def clean_name(name: str) -> str | None:
    """The name as events allow it, `-` for slashes, at signs and control characters; None where nothing is left."""
    cleaned = _SEPARATORS.sub("-", name.strip()).strip("- \t")
    return cleaned[:_LONGEST].strip() or None


def _task(call: RecordedCall, discovered: dict[str, str]) -> str:
    return (clean_name(call.task) if call.task else None) or _discovered(call.request, discovered)


def _discovered(request: Request, known: dict[str, str]) -> str:
    """Masking a long prompt is slow beside all else here, and few prompts differ."""
    system = request.system
    if system not in known:
        known[system] = discovered_task(request)
    return known[system]
