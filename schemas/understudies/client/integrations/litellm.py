"""Record the calls of LiteLLM, its proxy included, by a `CustomLogger`."""

import threading
from datetime import datetime
from typing import Any, Final

from understudies.client.integrations.framework import build_callbacks
from understudies.client.integrations.metadata import read_episode, read_task
from understudies.client.sdk import Understudies

_CALL_TYPES: Final = frozenset({"completion", "acompletion", "CallTypes.completion", "CallTypes.acompletion"})
_NO_PARAMETERS: Final = frozenset({"extra_body", "extra_headers", "stream", "stream_options"})
_REDACTED: Final = "redacted-by-litellm"
_MAX_KNOWN: Final = 10_000


class _UnderstudiesLogger:
    """Records each chat completion once: whole, streamed or failed. Answers of LiteLLM's cache are no calls."""

    def __init__(self, understudies: Understudies, task: str | None = None) -> None:
        super().__init__()
        self._understudies = understudies
        self._task = task
        self._known: dict[str, None] = {}
        self._lock = threading.Lock()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that was answered."""
        answer = response_obj
        if kwargs.get("stream"):
            answer = kwargs.get("complete_streaming_response") or kwargs.get("async_complete_streaming_response")
        if answer is not None and not kwargs.get("cache_hit"):
            self._record(kwargs, answer, None, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that was answered."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that failed."""
        error = kwargs.get("exception")
        self._record(kwargs, None, f"{type(error).__name__}: {error}", start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that failed."""
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    def _record(self, kwargs: Any, answer: Any, error: str | None, start: Any, end: Any) -> None:
        messages = kwargs.get("messages")
        if str(kwargs.get("call_type")) not in _CALL_TYPES or not messages or _is_redacted(messages, answer):
            return
        if not self._is_new(f"{kwargs.get('litellm_call_id')} {error is None}"):
            return
        metadata = (kwargs.get("litellm_params") or {}).get("metadata")
        given = (kwargs.get("optional_params") or {}).items()
        parameters = {name: value for name, value in given if name not in _NO_PARAMETERS and value is not None}
        self._understudies.record(
            {**parameters, "model": kwargs.get("model"), "messages": messages},
            answer,
            at=start if isinstance(start, datetime) else None,
            latency_ms=(end - start).total_seconds() * 1000 if isinstance(start, datetime) else 0.0,
            error=error,
            task=read_task(metadata) or self._task,
            episode=read_episode(metadata),
        )

    def _is_new(self, call: str) -> bool:
        """Return whether a call was not recorded yet: LiteLLM tells of some twice, as sync and as async ones."""
        with self._lock:
            if call in self._known:
                return False
            self._known[call] = None
            if len(self._known) > _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            return True


def _is_redacted(messages: Any, answer: Any) -> bool:
    """Return whether LiteLLM withholds the content from loggers (`turn_off_message_logging`)."""
    return _REDACTED in str(messages[-1]) or any(
        _REDACTED in str(getattr(getattr(choice, "message", None), "content", ""))
        for choice in getattr(answer, "choices", None) or ()
    )


def litellm_logger(understudies: Understudies, *, task: str | None = None) -> Any:
    """Return a `CustomLogger` for `litellm.callbacks`; raises ImportError without LiteLLM.

    A call's metadata may name its task (`understudies_task`) and episode (`understudies_episode`); `task` is that of
    all others, and without it the system prompt decides.
    """
    kind = build_callbacks(_UnderstudiesLogger, "litellm.integrations.custom_logger", "CustomLogger", "litellm")
    return kind(understudies, task)
