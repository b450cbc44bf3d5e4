"""Record the model calls of LangChain and LangGraph by a callback handler."""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from understudies.client.integrations.framework import build_callbacks
from understudies.client.integrations.metadata import read_episode, read_task
from understudies.client.langchain_models import FinishedCalls
from understudies.client.sdk import Understudies, utc_now

_NO_PARAMETERS: Final = frozenset({"_type", "model_name", "stream", "stream_options", "stream_usage", "streaming"})
_MAX_OPEN: Final = 10_000


class _Started(NamedTuple):
    requests: list[dict[str, Any]]
    at: datetime
    started: float
    task: str | None
    episode: str | None
    calls: Understudies | FinishedCalls | None


class _UnderstudiesHandler:
    """Records each call of a chat model or a completion model once, whole, streamed or failed."""

    def __init__(self, understudies: Understudies | FinishedCalls, task: str | None = None) -> None:
        super().__init__()
        self._understudies = understudies
        self._task = task
        self._open: dict[Any, _Started] = {}
        self._lock = threading.Lock()

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **about: Any) -> None:
        """Keep the messages of a call that begins."""
        self._begin(run_id, [{"messages": list(batch)} for batch in messages], about)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any, **about: Any) -> None:
        """Keep the prompts of a call that begins."""
        self._begin(run_id, [{"messages": [{"role": "user", "content": prompt}]} for prompt in prompts], about)

    def on_llm_end(self, response: Any, *, run_id: Any, **about: Any) -> None:
        """Record the answers of a call."""
        begun = self._pop(run_id)
        if begun is None:
            return
        for request, generations in zip(begun.requests, response.generations, strict=False):
            answer = _read_answer(generations)
            if answer is not None:
                self._record(begun, request, answer, None)

    def on_llm_error(self, error: BaseException, *, run_id: Any, **about: Any) -> None:
        """Record that a call failed."""
        begun = self._pop(run_id)
        for request in begun.requests if begun else ():
            self._record(begun, request, None, f"{type(error).__name__}: {error}")

    def _begin(self, run_id: Any, inputs: Sequence[dict[str, Any]], about: Mapping[str, Any]) -> None:
        given = (about.get("invocation_params") or {}).items()
        parameters = {name: value for name, value in given if name not in _NO_PARAMETERS and value is not None}
        metadata = about.get("metadata")
        begun = _Started(
            [{**parameters, **one} for one in inputs],
            utc_now(),
            time.perf_counter(),
            read_task(metadata) or self._task,
            read_episode(metadata),
            self._understudies if isinstance(self._understudies, Understudies) else self._understudies.begin(),
        )
        with self._lock:
            self._open[run_id] = begun
            if len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]

    def _pop(self, run_id: Any) -> _Started | None:
        with self._lock:
            return self._open.pop(run_id, None)

    def _record(self, begun: _Started | None, request: dict[str, Any], answer: Any, error: str | None) -> None:
        if begun is not None and begun.calls is not None:
            begun.calls.record(
                request,
                answer,
                at=begun.at,
                latency_ms=(time.perf_counter() - begun.started) * 1000,
                error=error,
                task=begun.task,
                episode=begun.episode,
            )


def _read_answer(generations: Any) -> Any:
    """Return the message or the text of an answer; None without one, and for one of LangChain's own cache."""
    first = generations[0] if generations else None
    message = getattr(first, "message", None)
    if message is None:
        return getattr(first, "text", None)
    usage = getattr(message, "usage_metadata", None)
    is_cached = isinstance(usage, Mapping) and usage.get("total_cost") == 0
    return None if is_cached else message


def langchain_handler(understudies: Understudies | FinishedCalls, *, task: str | None = None) -> Any:
    """Return a callback handler for `callbacks=[...]`; raises ImportError without langchain-core.

    A call's metadata may name its task (`understudies_task`) and episode (`understudies_episode`, `thread_id`); `task`
    is that of all others, and without it the system prompt decides.
    """
    kind = build_callbacks(_UnderstudiesHandler, "langchain_core.callbacks", "BaseCallbackHandler", "langchain-core")
    return kind(understudies, task)
