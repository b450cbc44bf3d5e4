"""The key by which an answer is told from other answers."""

import hashlib
import json
from typing import Final

from understudies.events import Message
from understudies.judges import JsonJudge, Judge, LabelJudge, ToolCallsJudge, normalize_label
from understudies.judges.json_text import parse_json

_LONGEST: Final = 120


def answer_key(message: Message) -> str:
    """One text for answers that say the same, whoever asks; of a long one, its SHA-256 (hex)."""
    key = canonical_answer(message)
    return key if len(key) <= _LONGEST else "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def canonical_answer(answer: Message, judge: Judge | None = None) -> str:
    """One text for answers that say the same to the judge: equal calls of tools, equal JSON, or the same label."""
    if answer.tool_calls:
        tools = judge if isinstance(judge, ToolCallsJudge) else ToolCallsJudge()
        calls = [
            [call.function.name, _canonical(call.function.arguments or "{}", tools.arguments_judge(call.function.name))]
            for call in answer.tool_calls
        ]
        return "tools:" + json.dumps(calls, ensure_ascii=False, separators=(",", ":"))
    if isinstance(judge, LabelJudge):
        return f"label:{judge.label(answer.text)}"
    return _canonical(answer.text, judge if isinstance(judge, JsonJudge) else JsonJudge())


def _canonical(text: str, judge: JsonJudge) -> str:
    try:
        value = parse_json(text)
        return f"json:{judge.canonical(value)}" if isinstance(value, dict | list) else f"label:{normalize_label(text)}"
    except ValueError:
        return f"label:{normalize_label(text)}"


def normalize_call_ids(answer: Message) -> Message:
    """The answer with the ids of its tool calls counted through.

    An id is drawn anew for each answer and is no part of what it says.
    """
    if not answer.tool_calls:
        return answer
    calls = tuple(call.model_copy(update={"id": f"call_{i}"}) for i, call in enumerate(answer.tool_calls))
    return answer.model_copy(update={"tool_calls": calls})
