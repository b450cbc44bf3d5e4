"""Read the requests and the results of Anthropic's message batches."""

from collections.abc import Mapping
from typing import Any

from understudies.importers.exchange import read_exchange
from understudies.importers.fields import as_mapping
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.partial_call import PartialCall


def is_anthropic_batch(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a request or a result of a batch."""
    return "custom_id" in record and (isinstance(record.get("params"), dict) or isinstance(record.get("result"), dict))


def is_anthropic_request(record: Mapping[str, Any]) -> bool:
    """Return whether a batch's record is a request."""
    return "result" not in record


def read_anthropic_batch(record: Mapping[str, Any], asked: Mapping[str, Any] | None) -> PartialCall:
    """Read a result with the request that has its `custom_id`."""
    result = as_mapping(record.get("result"))
    kind = result.get("type")
    if kind != "succeeded":
        error = as_mapping(as_mapping(result.get("error")).get("error")).get("message")
        raise NotARecordedCall(f"the call failed: {kind}{f', {error}'[:120] if error else ''}")
    params = as_mapping(record.get("params")) or as_mapping(as_mapping(asked).get("params"))
    if not params:
        raise NotARecordedCall("a batch answer without its request: join the batch's input file")
    call = read_exchange(params, result.get("message"))
    call.tier = "batch"
    return call
