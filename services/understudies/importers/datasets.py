"""Read sets of examples: ShareGPT's conversations, Alpaca's instructions, and prompts beside responses."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.fields import as_text, first_not_none
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.native import read_common_fields
from understudies.importers.partial_call import PartialCall

CONVERSATIONS: Final = ("conversations", "conversation", "dialog", "dialogue", "turns", "chat")
PAIRS: Final = (
    *(("prompt", "completion"), ("prompt", "response"), ("prompt", "answer"), ("prompt", "output")),
    *(("prompt", "chosen"), ("question", "answer"), ("query", "response"), ("input", "output"), ("input", "response")),
    *(("inputs", "targets"), ("instruction", "response"), ("instruction", "completion"), ("user", "assistant")),
    *(("question", "response"), ("input", "completion"), ("request", "response"), ("source", "target")),
)
_ALPACA_HEADING: Final = "\n\n"


def is_conversation(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a conversation as ShareGPT has it."""
    return any(isinstance(parse_embedded_json(record.get(name)), list) for name in CONVERSATIONS)


def read_conversation(record: Mapping[str, Any]) -> PartialCall:
    """Read a conversation, whose last message is the answer."""
    call = read_common_fields(record)
    messages = first_not_none(*(parse_embedded_json(record.get(name)) for name in CONVERSATIONS))
    system = as_text(record.get("system")) or as_text(record.get("system_prompt"))
    call.messages = [{"role": "system", "content": system}, *messages] if system else messages
    call.request = {name: value for name, value in record.items() if name not in ("system", *CONVERSATIONS)}
    call.answer_in_messages = True
    return call


def is_instruction(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an instruction with its output, as Alpaca has it."""
    return isinstance(record.get("instruction"), str) and "output" in record


def read_instruction(record: Mapping[str, Any]) -> PartialCall:
    """Read an instruction; its `input`, where there is one, is the user's message and the instruction the system's."""
    call = read_common_fields(record)
    given = as_text(record.get("input"))
    if given is None:
        call.messages = [{"role": "user", "content": record["instruction"]}]
    else:
        call.messages = [{"role": "system", "content": record["instruction"]}, {"role": "user", "content": given}]
    call.messages[-1:-1] = _read_history(record.get("history"))
    if system := as_text(record.get("system")):
        call.messages.insert(0, {"role": "system", "content": system})
    call.answer = record["output"] or None
    call.request = {name: value for name, value in record.items() if name not in ("system", "input")}
    return call


def _read_history(value: object) -> list[dict[str, str]]:
    """Return the earlier turns of an instruction, each a pair of what was asked and answered."""
    pairs = parse_embedded_json(value)
    turns: list[dict[str, str]] = []
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list) and all(isinstance(text, str) for text in pair):
            turns += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=False)]
    return turns


def is_pair(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a prompt with its completion, under one of the usual pairs of names."""
    return _find_pair(record) is not None


def read_pair(record: Mapping[str, Any]) -> PartialCall:
    """Read a prompt and its completion, each of which is text or a list of messages."""
    names = _find_pair(record)
    if names is None:
        raise NotARecordedCall("no prompt beside a completion")
    if record.get("label") is False:  # as sets for KTO have it
        raise NotARecordedCall("a completion that its label calls undesirable")
    call = read_common_fields(record)
    asked, completion = parse_embedded_json(record[names[0]]), record[names[1]]
    system = as_text(record.get("system")) or as_text(record.get("system_prompt"))
    turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    call.messages = [{"role": "system", "content": system}, *turns] if system and isinstance(turns, list) else turns
    call.request = {name: value for name, value in record.items() if name not in ("system", *names)}
    call.answer = (completion.strip() if isinstance(completion, str) else completion) or None
    return call


def _find_pair(record: Mapping[str, Any]) -> tuple[str, str] | None:
    return next(
        (
            (asked, answered)
            for asked, answered in PAIRS
            if asked in record and answered in record and isinstance(record[asked], (str, list)) and record[asked]
        ),
        None,
    )


def is_chosen_pair(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a chosen answer beside a rejected one, without the prompt in a field of its own."""
    return "chosen" in record and "rejected" in record


def read_chosen_pair(record: Mapping[str, Any]) -> PartialCall:
    """Read the chosen answer where it ends the messages that asked for it; raises NotARecordedCall for any other."""
    chosen = parse_embedded_json(record["chosen"])
    if not isinstance(chosen, list) or len(chosen) < 2:
        raise NotARecordedCall("a chosen answer beside a rejected one, without the prompt that they answer")
    call = read_common_fields(record)
    system = as_text(record.get("system"))
    call.messages = [{"role": "system", "content": system}, *chosen] if system else chosen
    call.request = {name: value for name, value in record.items() if name not in ("system", "chosen", "rejected")}
    call.answer_in_messages = True
    return call
