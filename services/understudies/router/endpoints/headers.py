"""Build the response headers that say who served a call, and why."""

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from understudies.router.serving.outcome import ServingInfo

TASK: Final = "x-understudies-task"

_VISIBLE: Final = "!#$&'()*+,-.:;<=>?@[]^_`{|}~"


def call_headers(task: str, invocation: str) -> dict[str, str]:
    """Return the headers that name the task and the event of a call."""
    return {TASK: _encode_value(task), "x-understudies-invocation": invocation}


def serving_headers(by: ServingInfo) -> dict[str, str]:
    """Return the headers that say who served a call, and why."""
    headers: dict[str, str] = {"x-understudies-served-by": by.served_by, "x-understudies-reason": by.decision.reason}
    if by.student is not None:
        headers["x-understudies-student"] = _encode_value(by.student)
    if by.confidence is not None:
        headers["x-understudies-confidence"] = f"{by.confidence:.6g}"
    if by.teacher:
        headers["x-understudies-teacher"] = _encode_value(by.teacher)
    return headers


@lru_cache(maxsize=4096)
def _encode_value(name: str) -> str:
    return quote(name, safe=_VISIBLE)
