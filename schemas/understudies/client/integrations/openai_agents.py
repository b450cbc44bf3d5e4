"""Record the model calls of the OpenAI Agents SDK, by its client or by a `TracingProcessor`."""

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from understudies.client.integrations.framework import build_callbacks, import_attribute
from understudies.client.integrations.metadata import read_episode, read_task
from understudies.client.sdk import Understudies

Client = TypeVar("Client")

_RESPONSE_FIELDS: Final = (
    *("model", "instructions", "tools", "tool_choice", "text", "reasoning", "temperature", "top_p"),
    *("max_output_tokens", "previous_response_id", "conversation"),
)
"""Fields of a request that a Responses answer repeats."""
_CHAT_FIELDS: Final = frozenset(
    {"temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens", "top_logprobs"}
)
_MAX_OPEN: Final = 10_000


class _UnderstudiesProcessor:
    """Records the calls of OpenAI's Responses, and those of chat completions that were offered no tools.

    The SDK's spans of chat completions do not say which tools and which form of answer were asked for, nor that an
    answer was cut: such a call is not recorded, and counted as unreadable.
    """

    def __init__(self, understudies: Understudies, task: str | None = None) -> None:
        super().__init__()
        self._understudies = understudies
        self._task = task
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()

    def on_trace_start(self, trace: Any) -> None:
        """Do nothing: calls are spans."""

    def on_trace_end(self, trace: Any) -> None:
        """Do nothing: calls are spans."""

    def on_span_start(self, span: Any) -> None:
        """Keep the span, whose agent tells what its calls were offered."""
        with self._lock:
            self._open[span.span_id] = span
            if len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]

    def on_span_end(self, span: Any) -> None:
        """Record the span if it is a call of a model."""
        try:
            if span.span_data.type == "response":
                self._record_response(span)
            elif span.span_data.type == "generation":
                self._record_generation(span)
        finally:
            with self._lock:
                self._open.pop(span.span_id, None)

    def force_flush(self) -> None:
        """Deliver what was recorded."""
        self._understudies.flush()

    def shutdown(self, timeout: float | None = None) -> None:
        """Deliver what was recorded; whoever opened the client closes it."""
        self._understudies.flush()

    def _record_response(self, span: Any) -> None:
        response, given = span.span_data.response, span.span_data.input
        if given is None:
            return  # the content is not traced (`trace_include_sensitive_data`)
        fields = {name: value for name in _RESPONSE_FIELDS if (value := getattr(response, name, None)) is not None}
        self._record(span, {"model": "", **fields, "input": given}, None if span.error else response)

    def _record_generation(self, span: Any) -> None:
        data = span.span_data
        output = data.output[0] if data.output else None
        if not data.input or (output is None and span.error is None):
            return
        if self._is_incomplete(span):
            self._understudies.count_unreadable("a span of chat completions does not tell tools and form of answer")
            return
        config, usage = data.model_config or {}, data.usage or {}
        most = config.get("max_tokens")
        if most is not None and usage.get("output_tokens", 0) >= most:
            self._understudies.count_unreadable("a span of chat completions does not tell that the answer was cut")
            return
        given = {name: config[name] for name in _CHAT_FIELDS if config.get(name) is not None}
        request = {**given, "model": data.model, "messages": list(data.input)}
        self._record(span, request, None if span.error else _read_output(output, usage))

    def _is_incomplete(self, span: Any) -> bool:
        """Return whether the agent around a call has tools, handoffs, or a form of its answer."""
        with self._lock:
            outer = self._open.get(span.parent_id)
            while outer is not None and outer.span_data.type != "agent":
                outer = self._open.get(outer.parent_id)
        if outer is None:
            return False
        about = outer.span_data
        return bool(about.tools or about.handoffs or about.output_type not in (None, "str"))

    def _record(self, span: Any, request: dict[str, Any], answer: Any) -> None:
        metadata = span.trace_metadata
        begin, end = _parse_time(span.started_at), _parse_time(span.ended_at)
        self._understudies.record(
            request,
            answer,
            at=begin,
            latency_ms=(end - begin).total_seconds() * 1000 if begin and end else 0.0,
            error=_describe_error(span.error) if answer is None else None,
            task=read_task(metadata) or self._task,
            episode=read_episode(metadata),
        )


def _read_output(output: Any, usage: Any) -> Any:
    """Return the answer of a chat completion: a message, or of a stream that ended what the SDK made a response of."""
    if output is None or output.get("object") != "response":
        return output if output is None else {**output, "usage": usage}
    return {**output, "status": output.get("status") or "completed"}


def _parse_time(written: Any) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) else None


def _describe_error(error: Any) -> str:
    return str(error.get("message", "the call failed")) if isinstance(error, Mapping) else "the call has no answer"


def agents_processor(understudies: Understudies, *, task: str | None = None) -> Any:
    """Return a `TracingProcessor` for `add_trace_processor`; raises ImportError without openai-agents.

    The metadata of a run's trace may name its task (`understudies_task`) and episode (`understudies_episode`); `task`
    is that of all others, and without it the system prompt decides.
    """
    kind = build_callbacks(_UnderstudiesProcessor, "agents.tracing", "TracingProcessor", "openai-agents")
    return kind(understudies, task)


def agents_client(understudies: Understudies, client: Client, *, task: str | None = None) -> Client:
    """Return the `AsyncOpenAI` client of the agents with its calls recorded, of both APIs and with all of their tools.

    The metadata of a run's trace names task and episode as for `agents_processor`, which must not be added as well.
    Raises ImportError without openai-agents.
    """
    current_trace = import_attribute("agents", "get_current_trace", "agents_client", "openai-agents")

    def read_metadata() -> Any:
        return getattr(current_trace(), "metadata", None)

    return understudies.shadow(
        client, lambda: read_task(read_metadata()) or task, episode=lambda: read_episode(read_metadata())
    )
