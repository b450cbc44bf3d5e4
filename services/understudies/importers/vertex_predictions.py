"""Read batch predictions of Vertex AI's models that take instances: open models, and Google's before Gemini."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.json_fields import list_objects
from understudies.importers.bodies import rename_parameters
from understudies.importers.fields import as_flag, as_mapping, as_text, first_not_none
from understudies.importers.json_parsing import OtherKind
from understudies.importers.native import read_common_fields
from understudies.importers.partial_call import PartialCall
from understudies.importers.reply_facts import read_reply_facts

_ASKED: Final = ("messages", "prompt", "content")
_BLOCKED: Final = "blocked by Vertex AI's safety filter"
_OUTPUT: Final = "\nOutput:\n"
"""Stands between the prompt and the answer where a server of open models repeats the prompt."""


def is_vertex_prediction(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an instance beside its prediction."""
    return "instance" in record and ("prediction" in record or "status" in record) and _has_fields(record["instance"])


def _has_fields(instance: object) -> bool:
    """Return whether an instance is an object; elsewhere the word may name a server, for one."""
    return bool(as_mapping(instance))


def read_vertex_prediction(record: Mapping[str, Any]) -> PartialCall:
    """Read an instance and its prediction; raises NotARecordedCall for those of models that do not write."""
    asked, told = as_mapping(record["instance"]), record.get("prediction")
    answer = _read_answer(told[0] if isinstance(told, list) and len(told) == 1 else told)
    if not any(asked.get(name) for name in _ASKED) or (answer is None and told):
        raise OtherKind("an instance of a model that writes no text, not a call of a chat model")
    call = read_common_fields(record)
    call.messages = _read_messages(asked)
    call.answer = answer
    call.request = rename_parameters({**asked, **as_mapping(asked.get("parameters"))})
    facts = read_reply_facts(told)
    call.model = call.model or as_text(asked.get("model")) or facts.model
    call.usage = call.usage if call.usage.counted else facts.usage
    call.at = call.at or facts.at
    status = record.get("status") if told is None else None
    blocked = _BLOCKED if _is_blocked(told) else None
    call.evidence = ({"error": record.get("error") or as_mapping(status).get("error") or status or blocked},)
    call.tier = "batch"
    return call


def _is_blocked(told: object) -> bool:
    """Return whether a safety filter put its own words, or none, in place of the model's."""
    about = as_mapping(told).get("safetyAttributes")
    first = about[0] if isinstance(about, list) and about else about
    return as_flag(as_mapping(first).get("blocked"))


def _read_messages(asked: Mapping[str, Any]) -> object:
    given = asked.get("messages")
    if not isinstance(given, list):
        return first_not_none(asked.get("prompt"), asked.get("content"))
    system = as_text(asked.get("context"))
    said = [{**one, "role": _role(one)} for one in list_objects(given)]
    return [{"role": "system", "content": system}, *said] if system else said


def _role(message: Mapping[str, Any]) -> object:
    if "role" in message:
        return message["role"]
    return "assistant" if message.get("author") in ("bot", "1", "assistant", "model") else "user"


def _read_answer(told: object) -> object:
    """Return the reply of a chat, or the text of a prediction in any of its forms; None if it has none."""
    if isinstance(told, str):
        return told.partition(_OUTPUT)[2] if told.startswith("Prompt:") and _OUTPUT in told else told
    about = as_mapping(told)
    if "choices" in about:
        return dict(about)
    candidates = [*list_objects(about.get("candidates"))]
    written = first_not_none(about.get("content"), candidates[0].get("content") if candidates else None)
    return written if isinstance(written, str) else None
