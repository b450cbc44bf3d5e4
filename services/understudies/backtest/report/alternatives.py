"""Say what would save instead of a student, by the tokens and times of the log."""

import marshal
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from understudies.backtest.report.outcomes import CallOutcomes
from understudies.economics.alternatives import PricedCall, find_alternatives
from understudies.events import Request

_MARSHAL_WITHOUT_REFERENCES: Final = 2


def describe_alternatives(outcomes: CallOutcomes, task: str) -> dict[str, object]:
    """Describe what would save on a task's calls; say that it is unknown where no tokens were counted."""
    if not any(call.call.usage.counted for call in outcomes.iter_task(task)):
        return {"instead": "unknown: the log has no token counts"}

    def price_calls() -> Iterator[PricedCall]:
        for call in outcomes.iter_task(task):
            recorded = call.call
            yield PricedCall(call.at, recorded.model, recorded.usage, write_prompt(recorded.request))

    return {f"instead, {one.name}": one.sentence for one in find_alternatives(price_calls)}


def write_prompt(request: Request) -> str:
    """Write all that was sent as one text, tools first, as providers' caches read it."""
    tools = _write_tools(marshal.dumps(request.tools, _MARSHAL_WITHOUT_REFERENCES))
    return "\n".join([tools, *[f"{message.role}: {message.text}" for message in request.messages]])


@lru_cache(maxsize=128)
def _write_tools(marshalled: bytes) -> str:
    """Write the tools as JSON, which nearly all calls of a task share; equal bytes are equal values of equal types."""
    request = Request.model_construct(messages=(), tools=marshal.loads(marshalled))
    return request.model_dump_json(include={"tools"}, exclude_none=True)
