"""Record what a shadowed model of LangChain makes of itself: models with tools, with a form of answers, and chains.

Such a model is called by LangChain, not through the proxy, and its tools are arguments that only LangChain knows. So it
is made of a copy of the model that tells its calls to a callback handler.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

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
        return model.model_copy(update={"callbacks": [*(given or ()), handler]})
    manager = given.copy()
    manager.add_handler(handler)
    return model.model_copy(update={"callbacks": manager})
