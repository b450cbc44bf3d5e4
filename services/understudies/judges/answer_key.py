"""Compute the key and the class of an answer, which distinguish it from other answers."""

import hashlib
import json
from typing import Final

from understudies.events import Message
from understudies.judges.base import Judge
from understudies.judges.code import CodeJudge
from understudies.judges.json_text import may_be_structured, parse_json
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge
from understudies.judges.label_text import normalize_label
from understudies.judges.sql import SqlJudge
from understudies.judges.tool_calls import ToolCallsJudge

_LONGEST: Final = 120


def answer_key(message: Message) -> str:
    """Return one key for equivalent answers, whatever the judge; the SHA-256 (hex) of a long key."""
    key = canonical_answer(message)
    return key if len(key) <= _LONGEST else "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def canonical_answer(answer: Message, judge: Judge | None = None) -> str:
    """Return one text for answers that the judge considers equal: equal tool calls, equal JSON, or the same label."""
    if answer.tool_calls:
        tools = judge if isinstance(judge, ToolCallsJudge) else ToolCallsJudge()
        calls = [
            [call.function.name, _canonical(call.function.arguments or "{}", tools.arguments_judge(call.function.name))]
            for call in answer.tool_calls
        ]
        return "tools:" + json.dumps(calls, ensure_ascii=False, separators=(",", ":"))
    if isinstance(judge, LabelJudge):
        return f"label:{judge.label(answer.text)}"
    if isinstance(judge, SqlJudge | CodeJudge) and (key := judge.key(answer.text)) is not None:
        return f"code:{key}"
    return _canonical(answer.text, judge if isinstance(judge, JsonJudge) else JsonJudge())


def _canonical(text: str, judge: JsonJudge) -> str:
    if may_be_structured(text):
        try:
            value = parse_json(text)
            if isinstance(value, dict | list):
                return f"json:{judge.canonical(value)}"
        except ValueError:
            pass
    return f"label:{normalize_label(text)}"


def normalize_call_ids(answer: Message) -> Message:
    """Return the answer with its tool calls' ids replaced by consecutive ones.

    An id is generated for each answer and is not part of its content.
    """
    if not answer.tool_calls:
        return answer
    calls = tuple(call.model_copy(update={"id": f"call_{i}"}) for i, call in enumerate(answer.tool_calls))
    return answer.model_copy(update={"tool_calls": calls})


_CLASS_LENGTH = 100


def answer_class(message: Message, judge: Judge) -> str | None:
    """Return the class of a teacher's answer in a small set: its label, a short JSON value, or the tools called.

    An answer too long to belong to a closed set has none.
    """
    if isinstance(judge, ToolCallsJudge):
        name = ",".join(call.function.name for call in message.tool_calls or ())
    elif isinstance(judge, LabelJudge):
        name = judge.label(message.text)
    elif isinstance(judge, JsonJudge):
        name = _short_json(message.text, judge)
    else:
        return None
    return name if 0 < len(name) <= _CLASS_LENGTH else None


def _short_json(text: str, judge: JsonJudge) -> str:
    if len(text) > 4 * _CLASS_LENGTH:
        return ""
    try:
        return judge.canonical(parse_json(text))
    except ValueError:
        return ""
