"""Read the task and the episode of a call from the metadata that an agent gives a framework."""

from collections.abc import Mapping
from typing import Any, Final

_TASK: Final = "understudies_task"
_EPISODES: Final = ("understudies_episode", "thread_id", "session_id")
_MAX_EPISODE: Final = 256


def read_task(metadata: Any) -> str | None:
    """Return `understudies_task`, or None."""
    return _read_text(metadata, _TASK)


def read_episode(metadata: Any) -> str | None:
    """Return `understudies_episode`, else the thread or session, or None."""
    found = next((name for key in _EPISODES if (name := _read_text(metadata, key))), None)
    return found if found is None else found[:_MAX_EPISODE]


def _read_text(metadata: Any, key: str) -> str | None:
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return str(value) if isinstance(value, str | int) and str(value).strip() else None
