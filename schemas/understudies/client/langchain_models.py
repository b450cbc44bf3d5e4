"""Record what a shadowed model of LangChain makes of itself: models with tools, with a form of answers, and chains.

Such a model is called by LangChain, not through the proxy, and its tools are arguments that only LangChain knows. So it
is made of a copy of the model that tells its calls to a callback handler.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from understudies.client.recorder import CallRecorder

_MODELS: Final = "langchain_core.language_models"
_LEADING_METHODS: Final = frozenset(
    {"abatch", "abatch_as_completed", "agenerate", "agenerate_prompt", "as_tool", "assign", "astream_events"}
    | {"astream_log", "atransform", "batch", "batch_as_completed", "bind", "bind_tools", "configurable_alternatives"}
    | {"configurable_fields", "generate", "generate_prompt", "map", "pick", "pipe", "transform", "with_alisteners"}
    | {"with_config", "with_fallbacks", "with_listeners", "with_retry", "with_structured_output", "with_types"}
)
"""Methods that call the model, or return what does."""


class FinishedCalls(Protocol):
    """Takes the calls that LangChain tells of."""

    recorder: CallRecorder

    def begin(self) -> "FinishedCalls | None":
        """Return what records a call that begins now, as the task and the episode are now; None if they are unknown."""
        ...

    def record(
        self,
        arguments: Mapping[str, Any],
        answer: Any = None,
        *,
        at: datetime,
        latency_ms: float,
        error: str | None = None,
        task: str | None = None,
        episode: str | None = None,
    ) -> bool:
        """Record a finished call; never raises."""
        ...


def is_langchain_model(teacher: Any) -> bool:
    """Return whether a teacher is a model of LangChain."""
    return any(kind.__module__.startswith(_MODELS) for kind in type(teacher).__mro__)


def leads_to_calls(name: str) -> bool:
    """Return whether a method of such a model calls it, or returns what does."""
    return name in _LEADING_METHODS


def told_copy(model: Any, calls: FinishedCalls) -> Any:
    """Return a copy of a model of LangChain whose calls are recorded by a callback handler."""
    from understudies.client.integrations.langchain import langchain_handler  # imports the client itself

    given = model.callbacks
    handler = langchain_handler(calls)
    if given is None or isinstance(given, list):
        kept = [one for one in given or () if not _tells(one, calls)]
        return model.model_copy(update={"callbacks": [*kept, handler]})
    manager = given.copy()
    for known in [*manager.handlers]:
        if _tells(known, calls):
            manager.remove_handler(known)
    manager.add_handler(handler)
    return model.model_copy(update={"callbacks": manager})


def retold_copy(made: Any, calls: FinishedCalls) -> Any:
    """Return a copy of what LangChain made of a shadowed model that tells another shadow instead; None for all else."""
    if is_langchain_model(made):
        given = made.callbacks
        known = given if isinstance(given, list) else getattr(given, "handlers", ())
        return told_copy(made, calls) if any(_tells(one, calls) for one in known) else None
    bound = getattr(made, "__dict__", {}).get("bound")
    copied = None if bound is None else retold_copy(bound, calls)
    return None if copied is None else made.model_copy(update={"bound": copied})


def _tells(handler: Any, calls: FinishedCalls) -> bool:
    """Return whether a callback handler tells the recorder of these calls."""
    return getattr(getattr(handler, "_understudies", None), "recorder", None) is calls.recorder
