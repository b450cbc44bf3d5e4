"""Make the names of tasks in logs valid in events."""

import re
from typing import Final

_MAX_NAME_CHARACTERS: Final = 200
_SEPARATORS: Final = re.compile(r"[/@\x00-\x1f\x7f]+")
_EDGES: Final = re.compile(r"\A[\s-]+|[\s-]+\Z")


def sanitize_task_name(name: str) -> str | None:
    """Sanitize a task name for events: `-` for slashes, at signs and control characters; None if nothing is left."""
    cleaned = _EDGES.sub("", _SEPARATORS.sub("-", name.strip()))
    return _EDGES.sub("", cleaned[:_MAX_NAME_CHARACTERS]) or None
