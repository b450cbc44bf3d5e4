"""Read runs of LangSmith: those of type `llm`."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.json_fields import text_or_empty
from understudies.importers.bodies import read_body
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_text,
    duration_ms_until,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.partial_call import PartialCall
from understudies.importers.tools import write_tools
from understudies.importers.usage import find_usage

_THREADS: Final = ("session_id", "thread_id", "conversation_id")
"""Keys of metadata that name a thread; the run's own `session_id` is its project."""


def is_langsmith(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a run."""
    return "run_type" in record and ("inputs" in record or "outputs" in record)


def read_langsmith(record: Mapping[str, Any]) -> PartialCall:
    """Read a run of a model; raises NotARecordedCall for those of chains, tools and others."""
    if record["run_type"] != "llm":
        raise NotARecordedCall(f"a run of type {str(record['run_type'])[:40]!r}, not of a model")
    inputs, outputs = as_mapping(record.get("inputs")), as_mapping(record.get("outputs"))
    extra = as_mapping(record.get("extra"))
    metadata = {**as_mapping(extra.get("metadata")), **as_mapping(record.get("metadata"))}
    given = as_mapping(extra.get("invocation_params"))
    body = read_body(inputs)
    messages = body.messages if body.messages is not None else _read_prompts(inputs)
    fields = {**body.fields, **given}
    if tools := write_tools(first_not_none(given.get("tools"), given.get("functions"), inputs.get("tools"))):
        fields["tools"] = tools
    began = parse_time(record.get("start_time"))
    message = _first_message(outputs)
    return PartialCall(
        messages=messages,
        answer=_find_answer(outputs),
        request=fields,
        model=next(
            (
                name
                for value in (given.get("model"), given.get("model_name"), metadata.get("ls_model_name"))
                if (name := as_text(value))
            ),
            "",
        ),
        usage=find_usage(*_usages(outputs, message), record),
        cost=parse_cost(record.get("total_cost"), as_mapping(outputs.get("usage_metadata")).get("total_cost")),
        at=began,
        task=find_task(metadata) or as_text(metadata.get("lc_hub_repo")),
        tags=parse_tags({key: value for key, value in metadata.items() if not key.startswith("ls_")}),
        latency_ms=duration_ms_until(record.get("end_time"), began),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata) or find_id(_THREADS, metadata) or find_id(("thread_id",), record),
        trace=find_id(("trace_id",), record),
        evidence=({"error": record.get("error"), "status": record.get("status")},),
        kinds=(None if metadata.get("ls_model_type") != "embedding" else "embedding",),
        span=find_id(("id", "run_id"), record),
        parent=find_id(("parent_run_id",), record),
        tier=text_or_empty(as_mapping(message.get("response_metadata")).get("service_tier")),
    )


def _read_prompts(inputs: Mapping[str, Any]) -> object:
    prompts = inputs.get("prompts")
    if isinstance(prompts, list) and len(prompts) == 1:
        return prompts[0]
    raise NotARecordedCall("a run without its messages")


def _find_answer(outputs: Mapping[str, Any]) -> object:
    """Return what a run put out: a reply, LangChain's generations, or a message under a name of its own."""
    if len(outputs) == 1 and (inner := next(iter(outputs.values()))) is not None and "choices" not in outputs:
        name = next(iter(outputs))
        if name in ("output", "message", "messages", "content", "completion", "response"):
            return parse_embedded_json(inner)
    return outputs or None


def _first_message(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of the first of LangChain's generations, or an empty one."""
    first: object = outputs.get("generations")
    while isinstance(first, list):
        first = first[0] if first else None
    message = as_mapping(as_mapping(first).get("message"))
    return as_mapping(message.get("kwargs")) or message


def _usages(outputs: Mapping[str, Any], message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return what may hold the usage, the one that tells the cached tokens first."""
    return (
        as_mapping(message.get("usage_metadata")),
        as_mapping(outputs.get("usage_metadata")),
        as_mapping(outputs.get("usage")),
        as_mapping(as_mapping(outputs.get("llm_output")).get("token_usage")),
    )
