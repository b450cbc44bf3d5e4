"""Read a request's body beside a provider's reply, as most logs hold a call."""

from collections.abc import Mapping
from typing import Any

from understudies.importers.bodies import is_stored_prompt, read_body
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
    if not partial.messages and is_stored_prompt(body.get("prompt")):
        check_rendered(as_mapping(reply))
        partial.messages, partial.request = [], {**partial.request, "instructions": as_mapping(reply)["instructions"]}
    return partial


def check_rendered(reply: Mapping[str, Any]) -> None:
    """Raise NotARecordedCall unless a reply to a stored prompt tells its messages, as its instructions do."""
    instructions = reply.get("instructions")
    if not isinstance(instructions, list) or not instructions:
        raise NotARecordedCall("a response to a stored prompt, whose text only the provider has")


def _failure_fields(reply: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return what tells in a reply that it failed: its `status` may be `incomplete`, with an answer."""
    return (
        ({"error": reply.get("error"), "errors": reply.get("errors")},) if "error" in reply or "errors" in reply else ()
    )
