"""Write examples in the formats in which others train: one function for each, from an example to a record."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.events import Message, ToolCall

ExportFormat = Literal["openai", "together", "fireworks", "bedrock", "alpaca", "sharegpt", "parquet"]
EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)

Record = dict[str, Any]

_BEDROCK_SCHEMA: Final = "bedrock-conversation-2024"
_TEXT_PARTS: Final = ("text", "refusal")


class NotExportable(ValueError):  # noqa: N818 - named by what it is
    """Report an example that a format cannot hold, and why."""


@dataclass(frozen=True, slots=True)
class ExportedSplit:
    """Content of a file, the number of examples in it, and of those that the format cannot hold by reason.

    `lineage` are JSON lines that say where each of its examples is from, in the same order, as the formats of others
    have no place for it; rows of Parquet hold it themselves.
    """

    content: bytes
    examples: int
    left_out: Mapping[str, int]
    lineage: bytes


def export_examples(examples: Sequence[Example], form: ExportFormat) -> ExportedSplit:
    """Return examples in a format, in their order; raises ArtifactError if a package that it needs is missing."""
    left_out: dict[str, int] = {}
    exported = list(_records(examples, form, left_out))
    records = [record for _, record in exported]
    if form == "parquet":
        return ExportedSplit(_parquet(records), len(records), left_out, b"")
    lineage = b"".join(_line(_lineage(example)) for example, _ in exported)
    return ExportedSplit(b"".join(map(_line, records)), len(records), left_out, lineage)


def extension(form: ExportFormat) -> str:
    """Return the extension of a format's files."""
    return "parquet" if form == "parquet" else "jsonl"


def to_record(example: Example, form: ExportFormat) -> Record:
    """Return an example as a record of a format; raises NotExportable."""
    return _FORMATS[form](example)


def _records(
    examples: Iterable[Example], form: ExportFormat, left_out: dict[str, int]
) -> Iterator[tuple[Example, Record]]:
    for example in examples:
        try:
            yield example, to_record(example, form)
        except NotExportable as error:
            left_out[str(error)] = left_out.get(str(error), 0) + 1


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


def _lineage(example: Example) -> Record:
    """Return which teacher answered, whether its terms let the answer train a model, and what the call says of it."""
    terms = example.known_terms
    return {
        "id": example.id,
        "at": example.at.isoformat(),
        "fingerprint": example.fingerprint,
        **_source(example),
        "terms_as_of": None if terms.as_of is None else terms.as_of.isoformat(),
        "synthetic": bool(example.synthetic),
    }


def _source(example: Example) -> Record:
    terms = example.known_terms
    return {
        "teacher": example.teacher,
        "may_train": terms.may_train,
        "terms": terms.sentence,
        "consent": example.consent,
        "tenant": example.tenant,
    }


def _chat(example: Example) -> Record:
    """OpenAI's chat format, which Together, Fireworks and most servers of that API read as well."""
    messages = [_openai_message(one, place) for place, one in enumerate(_turns(example))]
    tools = example.request.tools
    return {"messages": messages} | ({"tools": list(tools)} if tools else {})


def _turns(example: Example) -> list[Message]:
    """Return the request's messages and the answer; raises NotExportable for what only a provider has."""
    turns = [*example.request.messages, example.answer]
    for turn in turns:
        if turn.role == "function":
            raise NotExportable("a message has the outdated role 'function'")
        if any(call.type != "function" for call in turn.tool_calls or ()):
            raise NotExportable("a custom tool is called")
        if isinstance(turn.content, list) and any(part.get("type", "text") not in _TEXT_PARTS for part in turn.content):
            raise NotExportable("a message holds more than text")
    if not example.answer.text and not example.answer.tool_calls:
        raise NotExportable("the answer is empty")
    return turns


def _openai_message(message: Message, place: int) -> Record:
    record: Record = {"role": "system" if message.role == "developer" else message.role, "content": message.text}
    if message.name:
        record["name"] = message.name
    if message.tool_calls:
        record["tool_calls"] = [_openai_call(call, place, number) for number, call in enumerate(message.tool_calls)]
        record["content"] = message.text or None
    if message.role == "tool":
        record["tool_call_id"] = message.tool_call_id or ""
    return record


def _openai_call(call: ToolCall, place: int, number: int) -> Record:
    function = {"name": call.function.name, "arguments": call.function.arguments or "{}"}
    # An id is required, and some recorded answers have none.
    return {"id": call.id or f"call_{place}_{number}", "type": "function", "function": function}


def _together(example: Example) -> Record:
    """Together's conversational format: the content is always text."""
    record = _chat(example)
    return record | {"messages": [{**one, "content": one["content"] or ""} for one in record["messages"]]}


def _fireworks(example: Example) -> Record:
    """Fireworks' chat format: a system message only at the beginning, and text for content."""
    record = _together(example)
    if any(one["role"] == "system" for one in record["messages"][1:]):
        raise NotExportable("a system message is not the first")
    return record


def _bedrock(example: Example) -> Record:
    """Bedrock's conversation schema: text alone, user and assistant in turns; its OpenAI endpoint reads `openai`."""
    turns = _plain_turns(example, "Bedrock's schema")
    system = [turn.text for turn in turns if turn.role in ("system", "developer")]
    rest = [turn for turn in turns if turn.role not in ("system", "developer")]
    if [turn.role for turn in rest] != ["user", "assistant"] * (len(rest) // 2):
        raise NotExportable("user and assistant do not take turns")
    messages = [{"role": turn.role, "content": [{"text": turn.text}]} for turn in rest]
    return {
        "schemaVersion": _BEDROCK_SCHEMA,
        **({"system": [{"text": "\n\n".join(system)}]} if system else {}),
        "messages": messages,
    }


def _alpaca(example: Example) -> Record:
    """Alpaca's format: the system prompt instructs, the last question is the input, earlier turns are the history."""
    turns = _plain_turns(example, "Alpaca's format")
    system = "\n\n".join(turn.text for turn in turns if turn.role in ("system", "developer"))
    rest = [turn for turn in turns if turn.role not in ("system", "developer")]
    if [turn.role for turn in rest] != ["user", "assistant"] * (len(rest) // 2) or not rest:
        raise NotExportable("user and assistant do not take turns")
    question = rest[-2].text
    history = [[rest[place].text, rest[place + 1].text] for place in range(0, len(rest) - 2, 2)]
    named = {"instruction": system, "input": question} if system else {"instruction": question, "input": ""}
    return {**named, "output": example.answer.text} | ({"history": history} if history else {})


def _plain_turns(example: Example, name: str) -> list[Message]:
    turns = _turns(example)
    if example.request.tools or any(turn.tool_calls or turn.role == "tool" for turn in turns):
        raise NotExportable(f"{name} has no tools")
    return turns


def _sharegpt(example: Example) -> Record:
    """ShareGPT's format, with calls of functions and what they returned."""
    conversations: list[Record] = []
    system: list[str] = []
    for turn in _turns(example):
        if turn.role in ("system", "developer"):
            system.append(turn.text)
        elif turn.role == "tool":
            conversations.append({"from": "observation", "value": turn.text})
        elif turn.tool_calls:
            calls = [_sharegpt_call(call) for call in turn.tool_calls]
            value = calls[0] if len(calls) == 1 else calls
            conversations.append({"from": "function_call", "value": json.dumps(value, ensure_ascii=False)})
        else:
            conversations.append({"from": "human" if turn.role == "user" else "gpt", "value": turn.text})
    record: Record = {"conversations": conversations}
    if system:
        record["system"] = "\n\n".join(system)
    if example.request.tools:
        functions = [tool.get("function", tool) for tool in example.request.tools]
        record["tools"] = json.dumps(functions, ensure_ascii=False)
    return record


def _sharegpt_call(call: ToolCall) -> Record:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except ValueError as error:
        raise NotExportable("the arguments of a call are not JSON") from error
    return {"name": call.function.name, "arguments": arguments}


def _row(example: Example) -> Record:
    """A row with everything: requests and answers as JSON, and their texts."""
    request = example.request
    return {
        "id": example.id,
        "at": example.at,
        "split": example.split,
        "fingerprint": example.fingerprint,
        **_source(example),
        "system": request.system,
        "input": "\n".join(turn.text for turn in request.messages if turn.role not in ("system", "developer")),
        "output": example.answer.text,
        "request": request.model_dump_json(exclude_none=True),
        "answer": example.answer.model_dump_json(exclude_none=True),
        "unbiased": example.unbiased,
        "calls": example.calls,
        "episode": example.episode,
    }


def _parquet(records: Sequence[Record]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ArtifactError(
            "Parquet needs the package 'pyarrow'; install understudies[embedded], or choose another --format"
        ) from error
    text, whole, yes = pyarrow.string(), pyarrow.int64(), pyarrow.bool_()
    kinds = {"at": pyarrow.timestamp("us", tz="UTC"), "unbiased": yes, "calls": whole, "consent": yes}
    names = ("id", "at", "split", "fingerprint", "teacher", "system", "input", "output", "request", "answer")
    more = ("unbiased", "calls", "episode", "may_train", "terms", "consent", "tenant")
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in (*names, *more)])
    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(records), schema=schema), written, compression="zstd")
    return written.getvalue()


_FORMATS: Final[Mapping[ExportFormat, Callable[[Example], Record]]] = {
    "openai": _chat,
    "together": _together,
    "fireworks": _fireworks,
    "bedrock": _bedrock,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "parquet": _row,
}
