import io
import json
import sys
from datetime import UTC, date
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.datasets import dataset, example, intents

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.export import EXPORT_FORMATS, ExportFormat, export_examples, extension, to_record
from understudies.datasets.teacher_lineage import UNKNOWN_TERMS, TeacherTerms, terms_of
from understudies.events import FunctionCall, Message, Request, ToolCall

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
TEXT = example("pay me back", assistant_message("refund"))


def chat(*turns: tuple[str, str], answer: str = "done") -> Example:
    messages = tuple(Message.model_validate({"role": role, "content": content}) for role, content in turns)
    return TEXT.model_copy(update={"request": Request(messages=messages), "answer": assistant_message(answer)})


def with_tools(arguments: str = '{"id": 7}') -> Example:
    call = ToolCall(function=FunctionCall(name="find", arguments=arguments))
    messages = (
        Message(role="developer", content="Help."),
        Message(role="user", content="hi"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", tool_call_id="", content="found"),
    )
    request = Request(messages=messages, tools=(TOOL,))
    return TEXT.model_copy(update={"request": request, "answer": Message(role="assistant", tool_calls=(call, call))})


CONVERSATION = chat(("system", "Be brief."), ("user", "hi"), ("assistant", "hello"), ("user", "bye"), answer="so long")


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (
            "openai",
            {
                "messages": [
                    {"role": "system", "content": "Name the intent."},
                    {"role": "user", "content": "pay me back"},
                    {"role": "assistant", "content": "refund"},
                ]
            },
        ),
        ("alpaca", {"instruction": "Name the intent.", "input": "pay me back", "output": "refund"}),
        (
            "bedrock",
            {
                "schemaVersion": "bedrock-conversation-2024",
                "system": [{"text": "Name the intent."}],
                "messages": [
                    {"role": "user", "content": [{"text": "pay me back"}]},
                    {"role": "assistant", "content": [{"text": "refund"}]},
                ],
            },
        ),
        (
            "sharegpt",
            {
                "conversations": [{"from": "human", "value": "pay me back"}, {"from": "gpt", "value": "refund"}],
                "system": "Name the intent.",
            },
        ),
    ],
)
def test_each_format_has_its_shape(form: ExportFormat, wanted: dict[str, Any]) -> None:
    assert to_record(TEXT, form) == wanted


def test_together_and_fireworks_read_the_same_messages() -> None:
    assert to_record(TEXT, "openai") == to_record(TEXT, "together") == to_record(TEXT, "fireworks")


def test_earlier_turns_are_kept() -> None:
    assert to_record(CONVERSATION, "alpaca") == {
        "instruction": "Be brief.",
        "input": "bye",
        "output": "so long",
        "history": [["hi", "hello"]],
    }
    assert [one["from"] for one in to_record(CONVERSATION, "sharegpt")["conversations"]] == ["human", "gpt"] * 2
    assert len(to_record(CONVERSATION, "bedrock")["messages"]) == 4


def test_without_a_system_prompt_the_question_instructs() -> None:
    record = to_record(chat(("user", "say hi"), answer="hi"), "alpaca")
    assert record == {"instruction": "say hi", "input": "", "output": "hi"}
    assert "system" not in to_record(chat(("user", "say hi"), answer="hi"), "bedrock")


def test_tools_and_calls_are_written_where_the_format_has_them() -> None:
    record = to_record(with_tools(), "openai")
    assert record["tools"] == [TOOL]
    assert [one["role"] for one in record["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    calls = record["messages"][-1]["tool_calls"]
    assert [one["id"] for one in calls] == ["call_4_0", "call_4_1"]
    assert (record["messages"][-1]["content"], record["messages"][3]["tool_call_id"]) == (None, "")
    assert to_record(with_tools(), "together")["messages"][-1]["content"] == ""
    shared = to_record(with_tools(), "sharegpt")
    assert [one["from"] for one in shared["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "function_call",
    ]
    assert json.loads(shared["conversations"][1]["value"]) == {"name": "find", "arguments": {"id": 7}}
    assert len(json.loads(shared["conversations"][3]["value"])) == 2
    assert json.loads(shared["tools"]) == [TOOL["function"]]


@pytest.mark.parametrize(
    ("one", "form", "why"),
    [
        (with_tools(), "alpaca", "Alpaca's format has no tools"),
        (with_tools(), "bedrock", "Bedrock's schema has no tools"),
        (with_tools("{"), "sharegpt", "the arguments of a call are not JSON"),
        (chat(("user", "a"), ("user", "b")), "bedrock", "user and assistant do not take turns"),
        (chat(("user", "a"), ("user", "b")), "alpaca", "user and assistant do not take turns"),
        (chat(("system", "only")), "alpaca", "user and assistant do not take turns"),
        (chat(("user", "a"), ("system", "b")), "fireworks", "a system message is not the first"),
        (chat(("user", "a"), answer=""), "openai", "the answer is empty"),
        (chat(("function", "a")), "openai", "a message has the outdated role 'function'"),
        (
            TEXT.model_copy(
                update={
                    "answer": Message(
                        role="assistant", tool_calls=(ToolCall(type="custom", function=FunctionCall(name="x")),)
                    )
                }
            ),
            "openai",
            "a custom tool is called",
        ),
        (
            TEXT.model_copy(
                update={"request": Request(messages=(Message(role="user", content=[{"type": "image_url"}]),))}
            ),
            "openai",
            "a message holds more than text",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_left_out_and_counted(one: Example, form: ExportFormat, why: str) -> None:
    found = export_examples([TEXT, one, one], form)
    assert (found.examples, found.left_out) == (1, {why: 2})


@pytest.mark.parametrize("form", [form for form in EXPORT_FORMATS if form != "parquet"])
def test_lines_are_json_in_the_order_of_the_examples(form: ExportFormat) -> None:
    examples = intents(9).examples
    found = export_examples(examples, form)
    assert [json.loads(line) for line in found.content.splitlines()] == [to_record(one, form) for one in examples]
    assert (found.examples, found.left_out, extension(form)) == (9, {}, "jsonl")


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    found = export_examples([example("half \ud83d", assistant_message("x"))], "openai")
    assert "half \ud83d" in json.loads(found.content)["messages"][1]["content"]


def test_parquet_holds_everything_with_types() -> None:
    from pyarrow import parquet

    examples = [*intents(9).examples, with_tools()]
    found = export_examples(examples, "parquet")
    table = parquet.read_table(io.BytesIO(found.content))
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [one.id for one in examples]
    assert [row["at"].astimezone(UTC) for row in rows] == [one.at for one in examples]
    assert [Request.model_validate_json(row["request"]) for row in rows] == [one.request for one in examples]
    assert [Message.model_validate_json(row["answer"]) for row in rows] == [one.answer for one in examples]
    assert {row["split"] for row in rows} <= {"train", "validation", "evidence"}
    assert extension("parquet") == "parquet"


OLD_TERMS = TeacherTerms("yes", "Acme", "an older document", date(2024, 1, 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": "gpt-5-mini"}, ("no competing model", terms_of("gpt-5-mini").sentence, None, None)),
        (
            {"teacher": "gpt-5-mini", "terms": OLD_TERMS, "consent": True, "tenant": "acme"},
            ("yes", "yes (Acme, an older document, as of 2024-01-02)", True, "acme"),
        ),
        ({"teacher": "own"}, ("unknown", UNKNOWN_TERMS.sentence, None, None)),
    ],
)
def test_each_example_says_what_let_it_train(changes: dict[str, Any], said: tuple[Any, ...]) -> None:
    from pyarrow import parquet

    one = TEXT.model_copy(update=changes)
    other = CONVERSATION.model_copy(update={"id": "other"})
    found = export_examples([with_tools(), other, one], "bedrock")
    lines = [json.loads(line) for line in found.lineage.splitlines()]
    assert [line["id"] for line in lines] == ["other", one.id], "those of the file, in its order"
    assert len(found.content.splitlines()) == 2
    [row] = parquet.read_table(io.BytesIO(export_examples([one], "parquet").content)).to_pylist()
    for told in (lines[-1], row):
        assert tuple(told[name] for name in ("may_train", "terms", "consent", "tenant")) == said
        assert told["teacher"] == one.teacher
    assert lines[-1]["fingerprint"] == one.fingerprint


def test_an_empty_split_is_a_file_without_examples() -> None:
    assert export_examples([], "openai").content == b""
    assert export_examples([], "parquet").examples == 0


def test_without_pyarrow_parquet_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArtifactError, match=r"install understudies\[embedded\]"):
        export_examples(dataset([("a", assistant_message("b"))]).examples, "parquet")
