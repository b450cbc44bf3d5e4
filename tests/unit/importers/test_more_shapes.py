"""Spellings and shapes beside those of the fixtures: other providers inside of a format, other tools that write it."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest
from tests.support.one_log import only, read

from understudies.dialects.capabilities import unsupported_feature
from understudies.events import UsageDetails
from understudies.importers.reader import read_calls

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"
NOTE = "The towels in room 12 were not changed."
ASKED = [{"role": "user", "content": NOTE}]
ANSWER = {"role": "assistant", "content": "cleaning"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
COMPLETION = {"choices": [{"message": ANSWER, "finish_reason": "stop"}], "model": "gpt-4.1"}


def bedrock(asked: dict[str, Any], told: Any, **more: Any) -> dict[str, Any]:
    sides = {"input": {"inputBodyJson": asked}, "output": {"outputBodyJson": told}}
    return {"schemaType": "ModelInvocationLog", "modelId": "m", "operation": "InvokeModel", **sides, **more}


def helicone(asked: dict[str, Any], told: Any, **more: Any) -> dict[str, Any]:
    return {"request_body": asked, "response_body": told, **more}


SSE = (
    'data: {"choices":[{"index":0,"delta":{"content":"clean"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"ing"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n'
)
SHAPES: dict[str, dict[str, Any]] = {
    "Bedrock: Titan": bedrock(
        {"inputText": NOTE}, {"results": [{"outputText": "cleaning", "completionReason": "FINISH"}]}
    ),
    "Bedrock: Llama": bedrock(
        {"prompt": NOTE}, {"generation": "cleaning", "stop_reason": "stop", "prompt_token_count": 3}
    ),
    "Bedrock: Mistral": bedrock({"prompt": NOTE}, {"outputs": [{"text": "cleaning", "stop_reason": "stop"}]}),
    "Bedrock: Cohere": bedrock(
        {"message": NOTE}, {"text": "cleaning", "generation_id": "g", "finish_reason": "COMPLETE"}
    ),
    "Bedrock: Nova": bedrock(
        {"messages": [{"role": "user", "content": [{"text": NOTE}]}], "inferenceConfig": {"maxTokens": 5}},
        {"output": {"message": {"role": "assistant", "content": [{"text": "cleaning"}]}}, "stopReason": "end_turn"},
    ),
    "Bedrock: batch inference": {
        "recordId": "1",
        "modelInput": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": ASKED},
        "modelOutput": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "cleaning"}]},
    },
    "Helicone: Gemini": helicone(
        {"contents": [{"parts": [{"text": NOTE}]}]},
        {"candidates": [{"content": {"parts": [{"text": "cleaning"}]}, "finishReason": "STOP"}]},
    ),
    "Helicone: a stream as text": helicone({"messages": ASKED, "stream": True}, SSE),
    "Helicone: a deployment named after images": helicone(
        {"messages": ASKED},
        COMPLETION,
        request_path="https://x.openai.azure.com/openai/deployments/images/chat/completions",
    ),
    "Ollama": {
        "request": {"model": "m", "messages": ASKED},
        "response": {"message": ANSWER, "done": True, "eval_count": 2},
    },
    "Gemini: streamed chunks": {
        "full_request": {"contents": {"role": "user", "parts": {"text": NOTE}}},
        "full_response": [
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "clean"}]}}]},
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "ing"}]}, "finishReason": "STOP"}]},
        ],
    },
    "Claude on Vertex AI": {
        "custom_id": "a",
        "request": {"anthropic_version": "vertex-2023-10-16", "messages": ASKED, "max_tokens": 5},
        "response": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "cleaning"}]},
        "status": "",
    },
    "LangSmith: an example of a dataset": {"inputs": {"messages": ASKED}, "outputs": {"output": ANSWER}},
    "LangSmith: a wrapped client": {
        "run_type": "llm",
        "inputs": orjson.dumps({"messages": ASKED, "model": "gpt-4.1"}).decode(),
        "outputs": orjson.dumps(COMPLETION).decode(),
        "extra": '{"metadata": {}}',
    },
    "Weave": {
        "op_name": "openai.chat.completions.create",
        "inputs": {"messages": ASKED, "model": "gpt-4.1"},
        "output": COMPLETION,
        "exception": None,
        "trace_id": "t",
    },
    "Langfuse: a graph's state": {"type": "GENERATION", "input": ASKED, "output": {"messages": [*ASKED, ANSWER]}},
    "Langfuse: a decorated function": {
        "type": "GENERATION",
        "input": {"args": [], "kwargs": {"messages": ASKED, "temperature": 0}},
        "output": COMPLETION,
    },
    "Langfuse: by OpenTelemetry": {
        "traceId": "t",
        "spanId": "s",
        "attributes": {
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": orjson.dumps(ASKED).decode(),
            "langfuse.observation.output": orjson.dumps(ANSWER).decode(),
            "langfuse.observation.model.name": "gpt-4.1",
        },
    },
    "a console's exporter": {
        "name": "chat",
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "kind": "SpanKind.CLIENT",
        "start_time": "2026-06-01T08:00:00.000000Z",
        "status": {"status_code": "UNSET"},
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": NOTE}]}],
            "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "cleaning"}]}],
        },
    },
    "Jaeger": {
        "data": [
            {
                "traceID": "t",
                "spans": [
                    {
                        "spanID": "s",
                        "operationName": "chat",
                        "startTime": 1780300800250000,
                        "duration": 1500000,
                        "references": [],
                        "tags": [
                            {"key": "llm.request.type", "type": "string", "value": "chat"},
                            {"key": "gen_ai.prompt.0.role", "type": "string", "value": "user"},
                            {"key": "gen_ai.prompt.0.content", "type": "string", "value": NOTE},
                            {"key": "gen_ai.completion.0.content", "type": "string", "value": "cleaning"},
                        ],
                    }
                ],
            }
        ],
        "total": 0,
    },
    "OTLP logs": {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": "1780300800250000000",
                                "traceId": "0af7651916cd43dd8448eb211c80319c",
                                "spanId": "b7ad6b7169203331",
                                "attributes": [
                                    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                    {
                                        "key": "gen_ai.input.messages",
                                        "value": {"stringValue": orjson.dumps(ASKED).decode()},
                                    },
                                    {
                                        "key": "gen_ai.output.messages",
                                        "value": {"stringValue": orjson.dumps([ANSWER]).decode()},
                                    },
                                ],
                            }
                        ]
                    }
                ]
            }
        ]
    },
    "CloudWatch": {
        "timestamp": 1780300800250,
        "message": orjson.dumps(bedrock({"messages": ASKED}, COMPLETION)).decode(),
    },
    "Google Cloud": {
        "insertId": "i",
        "logName": "l",
        "jsonPayload": {"request": {"messages": ASKED}, "response": COMPLETION},
    },
    "Elasticsearch": {
        "_index": "i",
        "_id": "1",
        "_source": {"request_body": {"messages": ASKED}, "response_body": COMPLETION},
    },
    "Langfuse: a type in lower case": {"traceId": "t", "type": "generation", "input": NOTE, "output": "cleaning"},
    "Opik: a wrapped function": {"type": "llm", "trace_id": "t", "input": ASKED, "output": {"output": "cleaning"}},
    "an output beside messages": {"messages": ASKED, "output": "cleaning"},
    "choices beside messages": {"messages": ASKED, "choices": COMPLETION["choices"]},
    "ShareGPT with tools": {
        "conversations": [
            {"from": "human", "value": NOTE},
            {"from": "function_call", "value": '{"name": "find", "arguments": {"room": 12}}'},
            {"from": "observation", "value": "floor 1"},
            {"from": "gpt", "value": "cleaning"},
        ]
    },
    "preferences": {"prompt": ASKED, "chosen": [ANSWER], "rejected": [{"role": "assistant", "content": "noise"}]},
    "an empty page mark": {"object": "list", "data": [{"messages": [*ASKED, ANSWER]}], "has_more": False},
    "tool calls of a chat with null arguments": {
        "messages": [
            *ASKED,
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "find", "arguments": None}}]},
            {"role": "tool", "content": "floor 1"},
        ],
        "response": "cleaning",
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read(tmp_path: Path, name: str) -> None:
    call = only(read(tmp_path, SHAPES[name]))
    assert call.response.message.content == "cleaning"
    assert call.request.messages[0].text == NOTE


NO_CALLS: dict[str, dict[str, Any]] = {
    "a batch that expired": {
        "custom_id": "a",
        "body": {"messages": ASKED},
        "response": None,
        "error": {"code": "batch_expired"},
    },
    "a guardrail's words": bedrock(
        {"messages": [{"role": "user", "content": [{"text": NOTE}]}], "inferenceConfig": {}},
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "I cannot."}]}},
            "stopReason": "guardrail_intervened",
        },
    ),
    "an error beside choices": {"type": "GENERATION", "input": ASKED, "output": {**COMPLETION, "error": {"code": 502}}},
    "a transcription": helicone({"model": "whisper-1", "prompt": NOTE}, {"text": "cleaning", "usage": {"seconds": 3}}),
    "a stream that broke": helicone({"messages": ASKED}, 'data: {"error":{"message":"overloaded"}}\n\n'),
    "an error of Bedrock's batch": {
        "modelInput": {"messages": ASKED},
        "modelOutput": None,
        "error": {"errorCode": 400},
    },
    "an error of Gemini's batch": {"key": "a", "request": {"contents": []}, "error": {"code": 3, "message": "bad"}},
    "a redacted prompt": {
        "call_type": "completion",
        "spend": 1,
        "messages": [{"role": "user", "content": "redacted-by-litellm"}],
        "response": COMPLETION,
    },
    "Sentry's filter": {"messages": [{"role": "user", "content": "[Filtered]"}, ANSWER]},
    "Datadog's drop": {
        "type": "GENERATION",
        "input": ASKED,
        "output": "[This value has been dropped because this span's size exceeds the 1MB size limit.]",
    },
    "hidden by OpenInference": {
        "traceId": "t",
        "spanId": "s",
        "attributes": {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0.message.content": "__REDACTED__",
            "llm.input_messages.0.message.role": "user",
            "llm.output_messages.0.message.content": "__REDACTED__",
            "llm.output_messages.0.message.role": "assistant",
        },
    },
    "an embedding's span": {
        "traceId": "t",
        "spanId": "s",
        "attributes": {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"},
    },
}


@pytest.mark.parametrize("name", NO_CALLS)
def test_what_is_no_call_is_skipped(tmp_path: Path, name: str) -> None:
    parsed = read(tmp_path, NO_CALLS[name])
    assert parsed.calls == []
    assert len(parsed.skipped) == 1


def test_the_two_files_of_a_gemini_batch_are_joined_by_key(tmp_path: Path) -> None:
    reply = {"candidates": [{"content": {"parts": [{"text": "cleaning"}]}}]}
    asked = {"key": "a", "request": {"contents": [{"parts": [{"text": NOTE}]}]}}
    for records in ((asked, {"key": "a", "response": reply}), ({"key": "a", "response": reply}, asked)):
        assert only(read(tmp_path, *records)).response.message.content == "cleaning"


@pytest.mark.parametrize("model", ["ft:gpt-4.1:desk:rerank-notes:a1", "our-embed-classifier", "acme/image-notes"])
def test_a_model_named_after_its_purpose_is_a_chat(tmp_path: Path, model: str) -> None:
    only(read(tmp_path, helicone({"model": model, "messages": ASKED}, COMPLETION)))


STEPS = (
    {
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {
                "type": "tool-find",
                "toolCallId": "c1",
                "state": "output-available",
                "input": {"room": 12},
                "output": {"floor": 1},
            },
            {"type": "step-start"},
            {"type": "text", "text": "cleaning"},
        ],
    },
    {
        "role": "assistant",
        "content": "cleaning",
        "toolInvocations": [
            {"state": "result", "toolCallId": "c1", "toolName": "find", "args": {"room": 12}, "result": {"floor": 1}}
        ],
    },
)


@pytest.mark.parametrize("turn", STEPS)
def test_a_turn_of_several_steps_is_taken_apart(tmp_path: Path, turn: dict[str, Any]) -> None:
    call = only(read(tmp_path, {"messages": [{"role": "user", "content": NOTE}, turn]}))
    assert call.response.message.content == "cleaning"
    assert call.response.message.tool_calls is None
    _, called, told = call.request.messages
    assert called.tool_calls is not None
    assert (called.tool_calls[0].function.name, called.tool_calls[0].function.arguments) == ("find", '{"room":12}')
    assert (told.role, told.content, told.tool_call_id) == ("tool", '{"floor":1}', "c1")


def test_langfuses_export_as_parquet(tmp_path: Path) -> None:
    (row, *_) = [orjson.loads(line) for line in (LOGS / "langfuse_blob.jsonl").read_bytes().splitlines()]
    counts = pyarrow.array([[*row.pop("usage_details").items()]], pyarrow.map_(pyarrow.string(), pyarrow.int64()))
    tools = pyarrow.array([[*row.pop("tool_definitions").items()]], pyarrow.map_(pyarrow.string(), pyarrow.string()))
    row["metadata"] = None
    table = pyarrow.Table.from_pylist([row])
    table = table.append_column("usage_details", counts).append_column("tool_definitions", tools)
    path = tmp_path / "observations.parquet"
    pyarrow.parquet.write_table(table, path)
    call = only(read_calls(path))
    assert (call.usage.prompt_tokens, call.usage.cached_tokens) == (300, 256)
    assert call.request.tools is not None
    assert call.response.message.tool_calls is not None


def test_what_a_shipper_tells_of_the_time_is_the_time(tmp_path: Path) -> None:
    inner = {"request": {"messages": ASKED}, "response": COMPLETION}
    call = only(read(tmp_path, {"insertId": "i", "timestamp": "2026-06-01T08:00:00Z", "jsonPayload": inner}))
    assert call.at is not None


@pytest.mark.parametrize("shipped", [{"message": "a line"}, {}])
def test_a_line_of_datadogs_archives_is_its_attributes(tmp_path: Path, shipped: dict[str, str]) -> None:
    spend = {"call_type": "acompletion", "spend": 0.1, "messages": ASKED, "response": COMPLETION, "model": "gpt-4.1"}
    about = {
        "_id": "a",
        "date": "2026-06-01T08:00:00Z",
        "host": "h",
        "source": "litellm",
        "service": "s",
        "tags": ["x"],
    }
    assert only(read(tmp_path, {**about, **shipped, "status": "info", "attributes": spend})).model == "gpt-4.1"


@pytest.mark.parametrize("index", [None, [], "0", {}])
def test_a_stream_of_converse_with_odd_indexes_is_read(tmp_path: Path, index: object) -> None:
    events = [
        {"contentBlockStart": {"contentBlockIndex": index, "start": {"text": 5}}},
        {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"text": "cleaning"}}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]
    call = only(read(tmp_path, bedrock({"messages": ASKED}, events)))
    assert call.response.message.content == "cleaning"


def test_the_configuration_of_google_s_python_library_is_read(tmp_path: Path) -> None:
    config = {
        "system_instruction": "Sort the note.",
        "temperature": 0,
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT"},
    }
    reply = {"candidates": [{"content": {"role": "model", "parts": [{"text": "cleaning"}]}, "finish_reason": "STOP"}]}
    call = only(read(tmp_path, {"request": {"contents": NOTE, "config": config}, "response": reply}))
    assert [message.content for message in call.request.messages] == ["Sort the note.", NOTE]
    assert call.request.response_format is not None
    assert call.request.response_format["type"] == "json_schema"


def test_the_items_of_agents_in_the_input_of_responses_lose_no_call(tmp_path: Path) -> None:
    kinds = ("apply_patch_call", "apply_patch_call_output", "shell_call", "shell_call_output", "compaction")
    items: list[dict[str, Any]] = [
        {"role": "user", "content": NOTE},
        *({"type": kind, "call_id": "c"} for kind in kinds),
    ]
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "cleaning"}]}
    reply = {"object": "response", "status": "completed", "model": "gpt-5", "output": [text]}
    call = only(read(tmp_path, {**reply, "input": items}))
    assert call.response.message.content == "cleaning"
    told = [{"type": "message", "role": "developer", "content": "Sort the note."}]
    call = only(read(tmp_path, {**reply, "input": NOTE, "instructions": told}))
    assert [(message.role, message.content) for message in call.request.messages] == [
        ("developer", "Sort the note."),
        ("user", NOTE),
    ]


TUNING: dict[str, dict[str, Any]] = {
    "Gemini": {
        "systemInstruction": {"parts": [{"text": "Sort."}]},
        "contents": [{"role": "user", "parts": [{"text": NOTE}]}, {"role": "model", "parts": [{"text": "cleaning"}]}],
    },
    "Bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Sort."}],
        "messages": [
            {"role": "user", "content": [{"text": NOTE}]},
            {"role": "assistant", "content": [{"text": "cleaning"}]},
        ],
    },
    "Alpaca with earlier turns": {"system": "Sort.", "instruction": NOTE, "output": "cleaning", "history": []},
}


@pytest.mark.parametrize("form", TUNING)
def test_files_to_tune_models_of_other_providers_are_read(tmp_path: Path, form: str) -> None:
    call = only(read(tmp_path, TUNING[form]))
    assert [(message.role, message.content) for message in call.request.messages] == [
        ("system", "Sort."),
        ("user", NOTE),
    ]
    assert call.response.message.content == "cleaning"


def test_earlier_turns_of_an_instruction_are_messages(tmp_path: Path) -> None:
    call = only(read(tmp_path, {"instruction": NOTE, "output": "cleaning", "history": [["a", "b"], ["c", "d"]]}))
    assert [message.role for message in call.request.messages] == ["user", "assistant"] * 2 + ["user"]
    assert call.request.messages[-1].content == NOTE


def test_tools_are_named_by_their_keys_and_read_from_text(tmp_path: Path) -> None:
    described = {"description": "d", "parameters": {"type": "object"}}
    by_name: dict[str, Any] = {"type": "GENERATION", "input": ASKED, "output": "cleaning"}
    by_name["toolDefinitions"] = {"look_up": orjson.dumps(described).decode()}
    as_text: dict[str, Any] = {
        "conversations": [{"from": "human", "value": NOTE}, {"from": "gpt", "value": "cleaning"}]
    }
    as_text["tools"] = orjson.dumps([{"name": "look_up", **described}]).decode()
    for record in (by_name, as_text):
        (tool,) = only(read(tmp_path, record)).request.model_dump()["tools"]
        assert tool["function"]["name"] == "look_up"


def test_calls_of_tools_are_read_from_text_and_parts_of_stored_messages_too(tmp_path: Path) -> None:
    calls = orjson.dumps([{"toolCallId": "c", "toolName": "look_up", "input": '{"room": 12}'}]).decode()
    call = only(read(tmp_path, {"type": "GENERATION", "input": ASKED, "output": {"text": "", "toolCalls": calls}}))
    assert [one.function.arguments for one in call.response.message.tool_calls or ()] == ['{"room": 12}']
    stored = {"object": "chat.completion", "id": "chatcmpl-a", "model": "m", **COMPLETION}
    part = {"id": "chatcmpl-a-0", "role": "user", "content": None, "content_parts": [{"type": "text", "text": NOTE}]}
    assert only(read(tmp_path, stored, part)).request.messages[0].text == NOTE


def test_the_body_that_makes_a_batch_of_anthropic_holds_its_requests(tmp_path: Path) -> None:
    asked = {"custom_id": "a", "params": {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": ASKED}}
    told = {"role": "assistant", "type": "message", "content": [{"type": "text", "text": "cleaning"}]}
    result = {"custom_id": "a", "result": {"type": "succeeded", "message": told}}
    assert only(read(tmp_path, {"requests": [asked]}, result)).response.message.content == "cleaning"


def test_a_call_that_is_told_in_the_content_and_beside_it_is_one(tmp_path: Path) -> None:
    blocks = [
        {"type": "text", "text": "I look."},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "look_up", "arguments": '{"room": 12}'},
    ]
    told = {
        "content": blocks,
        "tool_calls": [{"name": "look_up", "args": {"room": 12}, "id": "c", "type": "tool_call"}],
    }
    answer = {
        "generations": [[{"message": {"lc": 1, "id": ["m", "AIMessage"], "type": "constructor", "kwargs": told}}]]
    }
    call = only(read(tmp_path, {"run_type": "llm", "inputs": {"messages": ASKED}, "outputs": answer}))
    (one,) = call.response.message.tool_calls or ()
    assert (one.id, one.function.arguments) == ("c", '{"room": 12}')


def test_batches_of_other_providers_are_read(tmp_path: Path) -> None:
    asked = {"custom_id": "a", "body": {"model": "m", "messages": ASKED}}
    call = only(read(tmp_path, asked, {"custom_id": "a", "response": COMPLETION}))
    assert call.response.message.content == "cleaning"
    usage = {"input_tokens": 3, "output_tokens": 1}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "cleaning"}], "usage": usage}
    call = only(read(tmp_path, {"recordId": "r", "modelInput": {"messages": ASKED}, "modelOutput": reply}))
    assert call.usage.details is not None
    assert call.usage.details.service_tier == "batch"


def test_times_are_read_as_mongodb_exports_them(tmp_path: Path) -> None:
    record = {"messages": [*ASKED, ANSWER], "createdAt": {"$date": "2026-06-01T08:00:00Z"}}
    at = only(read(tmp_path, record)).at
    assert at is not None
    assert at.isoformat() == "2026-06-01T08:00:00+00:00"


def test_a_chosen_answer_is_read_with_the_messages_before_it_only(tmp_path: Path) -> None:
    chosen = {"chosen": [*ASKED, ANSWER], "rejected": [*ASKED, {"role": "assistant", "content": "noise"}]}
    call = only(read(tmp_path, chosen))
    assert [message.content for message in call.request.messages] == [NOTE]
    assert call.response.message.content == "cleaning"
    bare = {"chosen": "cleaning", "rejected": "noise"}
    parsed = read(tmp_path, bare, {"chosen": [ANSWER], "rejected": [ANSWER]})
    assert parsed.calls == []
    assert {skipped.reason for skipped in parsed.skipped} == {
        "a chosen answer beside a rejected one, without the prompt that they answer"
    }


def test_the_choice_of_several_is_the_first_by_its_index(tmp_path: Path) -> None:
    choices = [{"index": 1, "message": {**ANSWER, "content": "noise"}}, {"index": 0, "message": ANSWER}]
    call = only(read(tmp_path, {"request": {"messages": ASKED, "n": 2}, "response": {"choices": choices}}))
    assert call.response.message.content == "cleaning"


def test_what_a_set_of_examples_calls_bad_is_not_learned(tmp_path: Path) -> None:
    earlier = [*ASKED, {**ANSWER, "content": "noise", "weight": 0}]
    kept = {"messages": [*earlier, *ASKED, {**ANSWER, "weight": 1}]}
    liked = {"prompt": NOTE, "completion": "cleaning", "label": True}
    parsed = read(tmp_path, {"messages": earlier}, kept, {**liked, "completion": "noise", "label": False}, liked)
    assert [call.response.message.content for call in parsed.calls] == ["cleaning", "cleaning"]
    assert [skipped.reason for skipped in parsed.skipped] == [
        "an answer of weight 0, which is not to be learned",
        "a completion that its label calls undesirable",
    ]


def test_an_answer_from_a_gateways_cache_cost_nothing(tmp_path: Path) -> None:
    counted = {**COMPLETION, "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    logged = {"request": {"messages": ASKED}, "response": counted, "cost": 0}
    costs = [call.recorded_cost for call in read(tmp_path, {**logged, "cached": True}, logged).calls]
    assert costs == [0, None]


@pytest.mark.parametrize(
    "written",
    [
        *("2026/06/01 08:00:00", "2026-06-01 10:00:00.000 +0200 CEST", "2026-06-01 01:00:00 -0700 PDT"),
        {"$date": {"$numberLong": "1780300800000"}},
    ],
)
def test_times_are_read_as_tools_write_them(tmp_path: Path, written: Any) -> None:
    call = only(read(tmp_path, {"messages": [*ASKED, ANSWER], "created": written}))
    assert call.at is not None
    assert call.at.isoformat() == "2026-06-01T08:00:00+00:00"


def test_prompt_layer_tells_time_and_price_in_words_of_its_own(tmp_path: Path) -> None:
    parts = {"type": "chat", "messages": [{"role": "user", "content": [{"type": "text", "text": NOTE}]}]}
    told = {"type": "chat", "messages": [{"role": "assistant", "content": [{"type": "text", "text": "cleaning"}]}]}
    row = {
        "request_start_time": "2026-06-01T08:00:00Z",
        "model": "gpt-4o",
        "input": parts,
        "output": told,
        "price": 0.1,
    }
    call = only(read(tmp_path, {**row, "input_tokens": 10, "output_tokens": 5}))
    assert call.at is not None
    assert (str(call.recorded_cost), call.usage.prompt_tokens) == ("0.100000000", 10)


@pytest.mark.parametrize("unit", ["CHARACTERS", "IMAGES", "SECONDS"])
@pytest.mark.parametrize("beside", [True, False])
def test_what_langfuse_counts_in_other_units_is_no_usage(tmp_path: Path, unit: str, beside: bool) -> None:
    counts = {"input": 160, "output": 8, "total": 168}
    about = {"usage": {**counts, "unit": unit}, "usageDetails": counts} if beside else {"usage": counts, "unit": unit}
    record = {"type": "GENERATION", "input": ASKED, "output": ANSWER, "model": "gpt-4.1", **about}
    assert not only(read(tmp_path, record)).usage.counted


NAMED_FORMAT = {"type": "json_schema", "json_schema": {"name": "Sort", "schema": {"type": "object"}}}
SCHEMA = {"title": "Sort", "type": "object", "properties": {"room": {"type": "string"}}}


@pytest.mark.parametrize(
    ("about", "wanted"),
    [
        ({"metadata": {"response_format": {"type": "json_object"}}}, {"type": "json_object"}),
        ({"metadata": {"response_format": NAMED_FORMAT}}, NAMED_FORMAT),
        (
            {"metadata": {"response_format": SCHEMA}},
            {"type": "json_schema", "json_schema": {"name": "Sort", "schema": SCHEMA}},
        ),
        ({"modelParameters": {"response_format": orjson.dumps(NAMED_FORMAT).decode()}}, NAMED_FORMAT),
        ({"metadata": {"response_format": "short"}}, None),
    ],
)
def test_the_format_that_was_asked_for_is_read_where_langfuse_keeps_it(
    tmp_path: Path, about: dict[str, Any], wanted: dict[str, Any] | None
) -> None:
    record = {"type": "GENERATION", "input": ASKED, "output": '{"room": "12"}', "model": "gpt-4.1", **about}
    assert only(read(tmp_path, record)).request.response_format == wanted


def test_parameters_that_a_log_keeps_as_text_are_numbers(tmp_path: Path) -> None:
    given = {"n": "1", "max_tokens": "100", "top_p": "0.5", "seed": "none of it", "stop": "12"}
    record = {"type": "GENERATION", "input": ASKED, "output": ANSWER, "modelParameters": given}
    parameters = only(read(tmp_path, record)).request.parameters
    assert parameters == {"n": 1, "max_tokens": 100, "top_p": 0.5, "seed": "none of it", "stop": "12"}


def test_the_sample_of_an_eval_tells_how_its_answer_ended(tmp_path: Path) -> None:
    sample = {"input": ASKED, "output": [ANSWER], "finish_reason": "length", "model": "gpt-4.1"}
    item = {"object": "eval.run.output_item", "datasource_item": {}, "sample": sample}
    assert only(read(tmp_path, item)).response.finish_reason == "length"


@pytest.mark.parametrize(
    ("converse", "gemini", "choice"),
    [
        ({"auto": {}}, {"mode": "AUTO"}, "auto"),
        ({"any": {}}, {"mode": "ANY"}, "required"),
        ({"any": {}}, {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, "required"),
        (
            {"tool": {"name": "f"}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            {"type": "function", "function": {"name": "f"}},
        ),
        (None, {"mode": "NONE"}, "none"),
        (None, {"mode": "VALIDATED"}, None),
        (None, None, None),
    ],
)
def test_the_choice_of_a_tool_is_read_in_the_forms_of_bedrock_and_gemini(
    tmp_path: Path, converse: Any, gemini: Any, choice: Any
) -> None:
    specified = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}
    asked = {"messages": [{"role": "user", "content": [{"text": NOTE}]}]}
    told = {"output": {"message": {"role": "assistant", "content": [{"text": "cleaning"}]}}, "stopReason": "end_turn"}
    config = {**specified, **({"toolChoice": converse} if converse else {})}
    content = {"contents": [{"role": "user", "parts": [{"text": NOTE}]}]}
    declared = {"tools": [{"functionDeclarations": [{"name": "f"}]}]}
    calling = {"toolConfig": {"functionCallingConfig": gemini}} if gemini else {}
    candidates = {"candidates": [{"content": {"parts": [{"text": "cleaning"}]}, "finishReason": "STOP"}]}
    records = [{"request": {**content, **declared, **calling}, "response": candidates}]
    if converse:
        records.append(bedrock({**asked, "toolConfig": config}, told))
    for record in records:
        assert only(read(tmp_path, record)).request.tool_choice == choice


def test_what_converse_passes_on_to_the_model_is_read(tmp_path: Path) -> None:
    asked = {"messages": [{"role": "user", "content": [{"text": NOTE}]}], "inferenceConfig": {"maxTokens": 9}}
    more = {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 1024}, "no_parameter": 1}
    told = {"output": {"message": {"role": "assistant", "content": [{"text": "cleaning"}]}}, "stopReason": "end_turn"}
    call = only(read(tmp_path, bedrock({**asked, "additionalModelRequestFields": more}, told)))
    assert call.request.parameters["top_k"] == 5
    assert call.request.parameters["max_tokens"] == 9
    assert call.request.parameters["thinking"] == more["thinking"]
    assert "no_parameter" not in call.request.parameters


PROMPT = {"id": "pmpt_6a", "version": "2", "variables": {"note": NOTE}}
RENDERED = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sort the note."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": NOTE}]},
]
REPLY = {
    "object": "response",
    "status": "completed",
    "model": "gpt-5-mini",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "cleaning"}]}],
}


def responses_to(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the forms in which a log holds a reply to a stored prompt."""
    asked = {"model": "gpt-5-mini", "prompt": PROMPT}
    batch = {"custom_id": "a", "url": "/v1/responses", "body": asked, "response": {"status_code": 200, "body": reply}}
    return [{**reply, "prompt": PROMPT}, {"request": asked, "response": reply}, batch]


@pytest.mark.parametrize("place", range(3))
def test_a_stored_prompt_is_what_the_reply_tells_of_it(tmp_path: Path, place: int) -> None:
    call = only(read(tmp_path, responses_to({**REPLY, "instructions": RENDERED})[place]))
    assert [(one.role, one.content) for one in call.request.messages] == [
        ("developer", "Sort the note."),
        ("user", NOTE),
    ]
    assert call.request.parameters["prompt"] == PROMPT


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("instructions", [None, [], "Sort the note."])
def test_a_stored_prompt_whose_text_is_not_in_the_log_is_no_call(
    tmp_path: Path, place: int, instructions: object
) -> None:
    parsed = read(tmp_path, responses_to({**REPLY, "instructions": instructions})[place])
    reasons = [skipped.reason for skipped in parsed.skipped]
    assert reasons == ["a response to a stored prompt, whose text only the provider has"]


def test_a_stored_prompt_beside_an_input_is_a_parameter_of_the_request(tmp_path: Path) -> None:
    asked = {"model": "gpt-5-mini", "input": NOTE, "prompt": PROMPT}
    assert only(read(tmp_path, {"request": asked, "response": REPLY})).request.parameters["prompt"] == PROMPT


@pytest.mark.parametrize("prompt", [{"id": "greeting"}, {"text": "a"}, "greeting", 5])
def test_a_prompt_of_another_kind_is_no_parameter(tmp_path: Path, prompt: object) -> None:
    record = {"messages": [*ASKED, ANSWER], "prompt": prompt}
    assert "prompt" not in only(read(tmp_path, record)).request.parameters


FORMAT = {"type": "json_schema", "name": "Sort", "schema": {"type": "object"}, "strict": True}
OF_CHATS = {"type": "json_schema", "json_schema": {"name": "Sort", "schema": {"type": "object"}, "strict": True}}


@pytest.mark.parametrize("asked", [ASKED, [{"type": "message", **ASKED[0]}], NOTE])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"text": {"format": FORMAT}}, OF_CHATS),
        ({"response_format": OF_CHATS}, OF_CHATS),
        ({"response_format": {"type": "json_object"}}, {"type": "json_object"}),
        ({"text": {"format": {"type": "text"}}}, None),
    ],
)
def test_the_format_is_read_in_the_form_of_the_other_api_than_the_messages(
    tmp_path: Path, asked: Any, given: dict[str, Any], wanted: dict[str, Any] | None
) -> None:
    spanned = {"span_id": "s", "span_attributes": {"type": "llm"}, "input": asked, "output": [ANSWER]}
    logged = {"request": {"input": asked, **given}, "response": REPLY}
    for record in ({**spanned, "metadata": {"model": "gpt-5-mini", **given}}, logged):
        request = only(read(tmp_path, record)).request
        assert request.response_format == wanted
        assert request.parameters.keys() <= {"store"}


def test_the_verbosity_of_responses_is_that_of_chats(tmp_path: Path) -> None:
    metadata = {"model": "gpt-5-mini", "text": {"format": {"type": "text"}, "verbosity": "low"}}
    record = {"span_id": "s", "span_attributes": {"type": "llm"}, "input": ASKED, "output": [ANSWER]}
    assert only(read(tmp_path, {**record, "metadata": metadata})).request.parameters == {"verbosity": "low"}


CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "clean"}}]},
    {"choices": [{"index": 0, "delta": {"content": "ing"}, "finish_reason": "stop"}]},
    {},
]


@pytest.mark.parametrize("reply", [{"streamed_data": CHUNKS}, {**COMPLETION, "streamed_data": CHUNKS}])
def test_the_events_that_helicone_keeps_of_a_stream_are_its_reply(tmp_path: Path, reply: dict[str, Any]) -> None:
    call = only(read(tmp_path, helicone({"model": "gpt-4.1", "messages": ASKED}, reply)))
    assert (call.response.message.content, call.response.finish_reason) == ("cleaning", "stop")


def test_the_latency_of_a_proxied_call_is_read_beside_its_bodies(tmp_path: Path) -> None:
    request = {"url": "https://api.openai.com/v1/chat/completions", "body": {"model": "gpt-4.1", "messages": ASKED}}
    record = {"request": request, "response": {"status": 200, "body": COMPLETION}, "duration_ms": 1400}
    assert only(read(tmp_path, record)).latency_ms == 1400


def test_the_first_api_of_cohere_needs_no_history(tmp_path: Path) -> None:
    asked = {"model": "command-r", "message": NOTE, "preamble": "Sort the note."}
    call = only(read(tmp_path, {"request": asked, "response": {"text": "cleaning", "finish_reason": "COMPLETE"}}))
    assert [one.content for one in call.request.messages] == ["Sort the note.", NOTE]


@pytest.mark.parametrize("name", ["finish_reason", "stop_reason"])
def test_a_transcript_tells_how_its_answer_ended_beside_it(tmp_path: Path, name: str) -> None:
    for record in ({"messages": [*ASKED, ANSWER]}, {"messages": ASKED, "response": "cleaning"}):
        assert only(read(tmp_path, {**record, name: "length"})).response.finish_reason == "length"


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({"type": "required"}, "required"),
        ({"type": "tool", "toolName": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "other"}, None),
    ],
)
def test_the_choice_of_a_tool_is_read_in_the_form_of_the_ai_sdk(
    tmp_path: Path, given: dict[str, str], choice: object
) -> None:
    about = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.prompt.messages": orjson.dumps(ASKED).decode(),
        "ai.response.text": "cleaning",
        "ai.prompt.tools": [
            orjson.dumps({"type": "function", "name": "f", "inputSchema": {"type": "object"}}).decode()
        ],
        "ai.prompt.toolChoice": orjson.dumps(given).decode(),
    }
    span = {"traceId": "t", "spanId": "s", "attributes": about}
    observation = {"type": "GENERATION", "input": ASKED, "output": ANSWER, "metadata": {"attributes": about}}
    for record in (span, observation):
        request = only(read(tmp_path, record)).request
        assert (request.tool_choice, len(request.tools or ())) == (choice, 1)


def test_a_column_may_name_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('Trace ID,Type,Input,Output,Total Cost ($)\nt,GENERATION,"Is it clean?",yes,0.25\n')
    assert float(only(read_calls(path)).recorded_cost or 0) == 0.25


@pytest.mark.parametrize("argument", [ASKED, NOTE])
def test_the_only_argument_of_a_function_that_langfuse_observes_is_what_was_asked(
    tmp_path: Path, argument: object
) -> None:
    asked = {"args": [argument], "kwargs": {"temperature": 0.5}}
    call = only(read(tmp_path, {"type": "GENERATION", "input": asked, "output": "cleaning"}))
    assert [(one.role, one.content) for one in call.request.messages] == [("user", NOTE)]
    assert call.request.temperature == 0.5


def test_several_arguments_of_a_function_are_no_messages(tmp_path: Path) -> None:
    asked = {"args": [NOTE, "brief"], "kwargs": {}}
    assert read(tmp_path, {"type": "GENERATION", "input": asked, "output": "cleaning"}).calls == []


def genai(**more: object) -> dict[str, Any]:
    """Return a span of OpenTelemetry with these attributes beside those of a call."""
    told = {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": NOTE,
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "cleaning",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.usage.input_tokens": 40,
        "gen_ai.usage.output_tokens": 3,
    }
    attributes = {name.replace("__", "."): value for name, value in more.items()}
    return {"traceId": "t", "spanId": "s", "attributes": told | attributes}


@pytest.mark.parametrize("name", ["openai__response__service_tier", "gen_ai__openai__response__service_tier"])
def test_the_tier_that_a_span_tells_is_that_of_the_price(tmp_path: Path, name: str) -> None:
    details = only(read(tmp_path, genai(**{name: "flex"}))).usage.details
    assert details is not None
    assert details.service_tier == "flex"
    assert only(read(tmp_path, genai(**{name: "default"}))).usage.details is None


@pytest.mark.parametrize(
    ("told", "wanted"), [("json_object", {"type": "json_object"}), ("json_schema", None), ("text", None)]
)
def test_the_format_that_a_span_of_the_older_conventions_tells_is_read(
    tmp_path: Path, told: str, wanted: object
) -> None:
    span = genai(gen_ai__openai__request__response_format=told)
    assert only(read(tmp_path, span)).request.response_format == wanted


def test_openllmetry_writes_the_schemas_of_tools_as_text(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"room": {"type": "string"}}}
    about = {
        "llm__request__functions__0__name": "look",
        "llm__request__functions__0__parameters": orjson.dumps(schema).decode(),
    }
    (tool,) = only(read(tmp_path, genai(**about))).request.tools or ()
    assert tool["function"] == {"name": "look", "parameters": schema}


def test_the_schema_that_converse_asks_for_is_the_response_format(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"room": {"type": "string"}}}
    text_format = {
        "type": "json_schema",
        "structure": {"jsonSchema": {"name": "sort", "schema": orjson.dumps(schema).decode()}},
    }
    asked = {"messages": [{"role": "user", "content": [{"text": NOTE}]}], "outputConfig": {"textFormat": text_format}}
    told = {"output": {"message": {"role": "assistant", "content": [{"text": '{"room": "12"}'}]}}}
    wanted = only(read(tmp_path, bedrock(asked, {**told, "stopReason": "end_turn"}))).request.response_format
    assert wanted == {"type": "json_schema", "json_schema": {"name": "sort", "schema": schema}}


def test_the_only_prompt_of_langchains_models_of_plain_text_is_what_was_asked(tmp_path: Path) -> None:
    span = {"type": "llm", "trace_id": "t", "output": {"generations": [[{"text": "cleaning"}]]}}
    call = only(read(tmp_path, {**span, "input": {"prompts": [NOTE]}}))
    assert [(one.role, one.content) for one in call.request.messages] == [("user", NOTE)]
    assert read(tmp_path, {**span, "input": {"prompts": [NOTE, NOTE]}}).calls == []


def test_what_a_span_says_that_was_asked_for_is_read(tmp_path: Path) -> None:
    asked = {"gen_ai__output__type": "json", "gen_ai__request__choice__count": 2, "gen_ai__openai__request__seed": 7}
    call = only(read(tmp_path, genai(**asked, openai__request__service_tier="flex")))
    assert call.request.response_format == {"type": "json_object"}
    assert call.request.parameters["n"] == 2
    assert call.request.parameters["seed"] == 7
    assert call.usage.details == UsageDetails(service_tier="flex")
    assert only(read(tmp_path, genai(gen_ai__output__type="text"))).request.response_format is None
    assert only(read(tmp_path, genai(gen_ai__output__type=["json"]))).request.response_format is None
    for kind in ("image", "speech"):
        assert read(tmp_path, genai(gen_ai__output__type=kind)).calls == []


def test_what_openinference_tells_of_a_call_is_read(tmp_path: Path) -> None:
    said = {
        "openinference__span__kind": "LLM",
        "llm__input_messages__0__message__role": "user",
        "llm__input_messages__0__message__content": NOTE,
        "llm__output_messages__0__message__role": "assistant",
        "llm__output_messages__0__message__content": "cleaning",
        "llm__request__model_name": "gpt-audio",
        "llm__finish_reason": "length",
        "llm__token_count__prompt": 10,
        "llm__token_count__completion": 4,
        "llm__token_count__prompt_details__audio": 3,
        "llm__token_count__completion_details__audio": 2,
    }
    attributes = {name.replace("__", "."): value for name, value in said.items()}
    span = {"spanId": "s", "traceId": "t", "attributes": attributes}
    call = only(read(tmp_path, span))
    assert (call.model, call.response.finish_reason) == ("gpt-audio", "length")
    assert call.usage.details == UsageDetails(audio_prompt_tokens=3, audio_completion_tokens=2)
    told = {**span, "attributes": {**attributes, "llm.response.model_name": "gpt-audio-2025"}}
    assert only(read(tmp_path, told)).model == "gpt-audio-2025"


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ({"content": "I cannot help."}, {"blocked": True, "errors": [253.0]}),
        ({"candidates": [{"author": "1", "content": "I cannot help."}]}, [{"blocked": True}]),
        ({"content": ""}, {"blocked": "true"}),
    ],
)
def test_what_vertex_ai_blocked_is_no_answer(tmp_path: Path, said: dict[str, Any], about: object) -> None:
    record = {"instance": {"prompt": NOTE}, "prediction": {**said, "safetyAttributes": about}, "status": ""}
    (skipped,) = read(tmp_path, record).skipped
    assert skipped.reason == "the call failed: blocked by Vertex AI's safety filter"


@pytest.mark.parametrize(
    "record",
    [
        {"event_type": "model", "session_id": "s", "messages": [*ASKED, ANSWER]},
        {"event_type": "model", "session_id": "s", "messages": ASKED, "completion": "cleaning"},
        {"event_type": "model", "event_name": "sort", "messages": ASKED, "response": "cleaning", "task": "notes"},
        {"instance": "web-1", "status": "ok", "messages": [*ASKED, ANSWER]},
        {"instance": "web-1", "status": 200, "request": {"messages": ASKED}, "response": COMPLETION},
        {"instance": 7, "status": "ok", "prompt": NOTE, "completion": "cleaning"},
        {"instance": "web-1", "prediction": "cleaning", "messages": ASKED},
    ],
)
def test_a_log_of_ones_own_may_have_fields_of_a_platform(tmp_path: Path, record: dict[str, Any]) -> None:
    call = only(read(tmp_path, record))
    assert call.response.message.text == "cleaning"
    assert call.task == record.get("task")


def test_model_events_of_honeyhive_are_read_as_they_are_sent_and_as_they_are_stored(tmp_path: Path) -> None:
    about = {"project": "hotel", "event_type": "model", "event_name": "sort", "metadata": {"task": "notes"}}
    sent = {**about, "messages": ASKED, "response": ANSWER, "hyperparameters": {"temperature": 0}}
    stored = {**about, "inputs": {"messages": ASKED}, "outputs": {"response": ANSWER}, "config": {"temperature": 0}}
    for record in (sent, stored, {**stored, "outputs": {"response": "cleaning"}}, {**stored, "outputs": "cleaning"}):
        call = only(read(tmp_path, record))
        assert (call.response.message.text, call.task, call.request.temperature) == ("cleaning", "notes", 0)


def test_an_answer_that_rests_on_what_the_provider_did_itself_bars_students(tmp_path: Path) -> None:
    parts = [{"type": "server_tool_call", "name": "web_search"}, {"type": "text", "content": "cleaning"}]
    said = orjson.dumps([{"role": "assistant", "parts": parts, "finish_reason": "stop"}]).decode()
    asked = orjson.dumps([{"role": "user", "parts": [{"type": "text", "content": NOTE}]}]).decode()
    call = only(read(tmp_path, genai(gen_ai__input__messages=asked, gen_ai__output__messages=said)))
    assert unsupported_feature(call.request) == "provider_state"
