"""Read OpenAI's stored completions and responses, the two files of a batch, evals and fine-tuning preferences."""

from collections.abc import Mapping
from typing import Any

from understudies.dialects.json_fields import text_or_empty
from understudies.importers.bodies import is_stored_prompt
from understudies.importers.exchange import check_rendered, read_exchange
from understudies.importers.fields import as_mapping, as_number, as_text, first_not_none
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.native import read_common_fields
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage


def is_stored(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a stored completion or response."""
    return record.get("object") in ("chat.completion", "text_completion", "response")


def read_stored(record: Mapping[str, Any]) -> PartialCall:
    """Read a stored completion with its messages, or a stored response with its input."""
    call = read_common_fields(record)
    call.messages = first_not_none(
        record.get("messages"),
        record.get("input"),
        None if is_stored_prompt(record.get("prompt")) else record.get("prompt"),
        as_mapping(record.get("request")).get("messages"),
    )
    call.evidence = ({"error": record.get("error"), "status": record.get("status")},)
    if not call.messages and is_stored_prompt(record.get("prompt")):
        check_rendered(record)
        call.messages = []
    if call.messages is None:
        raise NotARecordedCall("a stored completion without its messages: export those of its messages endpoint too")
    call.answer = {key: record[key] for key in ("choices", "output", "status", "incomplete_details") if key in record}
    call.must_be_reply = True
    call.tier = text_or_empty(record.get("service_tier"))
    return call


def is_preference(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a line of a file for preference fine-tuning."""
    return "preferred_output" in record and "messages" in as_mapping(record.get("input"))


def read_preference(record: Mapping[str, Any]) -> PartialCall:
    """Read an input with the preferred output, which is taken as the teacher's answer."""
    asked = as_mapping(record["input"])
    call = read_common_fields({**asked, **record})
    call.request = asked
    call.messages = asked["messages"]
    call.answer = record["preferred_output"]
    if not call.answer:
        raise NotARecordedCall("no teacher answer")
    return call


def is_batch(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a line of a batch's input or output."""
    return "custom_id" in record and ("body" in record or "response" in record) and "request" not in record


def is_batch_input(record: Mapping[str, Any]) -> bool:
    """Return whether a batch's record is a line of its input."""
    return isinstance(record.get("body"), dict) and not record.get("response")


def read_batch(record: Mapping[str, Any], asked: Mapping[str, Any] | None) -> PartialCall:
    """Read a line of a batch's output with the line of its input that has its `custom_id`."""
    response = as_mapping(record.get("response"))
    reply = as_mapping(response.get("body")) if "choices" not in response else response  # as Fireworks has it
    body = first_not_none(record.get("body"), as_mapping(asked).get("body"))
    if not isinstance(body, dict):
        raise NotARecordedCall("a batch answer without its request: join the batch's input file")
    exchange = read_exchange(body, reply or None, {"error": record.get("error")}, response)
    call = read_common_fields({**record, **reply})
    call.messages, call.request, call.answer = exchange.messages, exchange.request, exchange.answer
    call.evidence, call.must_be_reply = exchange.evidence, True
    call.model = call.model or exchange.model
    call.task = call.task or exchange.task
    call.kinds = (record.get("url"), as_mapping(asked).get("url"))
    call.tier = "batch"
    return call


def is_eval_item(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an output item of a run of OpenAI's Evals."""
    return record.get("object") == "eval.run.output_item" or (
        "datasource_item" in record and isinstance(record.get("sample"), dict)
    )


def read_eval_item(record: Mapping[str, Any]) -> PartialCall:
    """Read the sample of an item; its grade is a tag, as a wrong answer is the teacher's answer too."""
    sample = as_mapping(record.get("sample"))
    if not sample:
        raise NotARecordedCall("an item of an eval without its sample")
    call = read_common_fields({**record, **sample})
    call.messages, call.request = sample.get("input"), {**sample, "input": None, "messages": sample.get("input")}
    call.answer = sample.get("output")
    call.usage = find_usage(as_mapping(sample.get("usage")))
    call.evidence = ({"error": sample.get("error"), "finish_reason": sample.get("finish_reason")},)
    call.finish_reason = sample.get("finish_reason")
    grade = as_text(record.get("status"))
    results = record.get("results")
    scores = (
        [as_number(row.get("score")) for row in results if isinstance(row, dict)] if isinstance(results, list) else []
    )
    call.tags |= {"grade": grade} if grade else {}
    call.tags |= {"score": f"{scores[0]:g}"} if scores and scores[0] is not None else {}
    return call
