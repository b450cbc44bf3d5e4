"""Read a request's body beside a provider's reply, as most logs hold a call."""

from collections.abc import Mapping
from typing import Any

from understudies.importers.bodies import read_body
from understudies.importers.fields import as_mapping, as_text, find_task
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.partial_call import PartialCall


def read_exchange(request: object, reply: object, *evidence: Mapping[str, Any]) -> PartialCall:
    """Read a request's body and the reply to it; `evidence` tells whether the call failed.

    Raises NotARecordedCall if there is no body, or one without messages.
    """
    body = as_mapping(request)
    partial = PartialCall(
        messages=None,
        answer=reply,
        request=body,
        model=as_text(body.get("model")) or as_text(body.get("modelId")) or "",
        task=find_task(as_mapping(body.get("metadata"))),
        must_be_reply=True,
        evidence=(*evidence, *_failure_fields(as_mapping(reply))),
    )
    if not body:
        raise NotARecordedCall("a log row without the request's body")
    partial.messages, partial.request = read_body(body)
    return partial


def _failure_fields(reply: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return what tells in a reply that it failed: its `status` may be `incomplete`, with an answer."""
    return (
        ({"error": reply.get("error"), "errors": reply.get("errors")},) if "error" in reply or "errors" in reply else ()
    )
