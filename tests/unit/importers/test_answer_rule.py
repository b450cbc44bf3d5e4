"""Never a lesson from what is no answer: errors, bodies without one, and what a logger withheld or cut."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.one_log import read

from understudies.importers.logger_marks import cut_mark, withheld_mark
from understudies.importers.reader import read_calls

ASKED = [{"role": "user", "content": "Is room 12 free?"}]


def completion(text: str | None = "yes", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "model": "gpt-4.1", **more}


def by_every_format(reply: Any) -> list[dict[str, Any]]:
    """One call with this reply, as several tools log it."""
    body = {"model": "gpt-4.1", "messages": ASKED}
    return [
        {"request_body": body, "response_body": reply},
        {"request": body, "response": reply},
        {"custom_id": "a", "body": body, "response": {"status_code": 200, "body": reply}},
        {"call_type": "completion", "spend": 0.1, "messages": ASKED, "response": reply},
        {"type": "GENERATION", "input": ASKED, "output": reply},
        {"run_type": "llm", "inputs": body, "outputs": reply},
        {"type": "llm", "trace_id": "t", "input": body, "output": reply},
        {"schemaType": "ModelInvocationLog", "input": {"inputBodyJson": body}, "output": {"outputBodyJson": reply}},
        {"event": "$ai_generation", "properties": {"$ai_input": ASKED, "$ai_output_choices": reply}},
        {"messages": ASKED, "response": reply},
    ]


def test_an_answer_is_one_in_every_format(tmp_path: Path) -> None:
    parsed = read(tmp_path, *by_every_format(completion()))
    assert [call.response.message.content for call in parsed.calls] == ["yes"] * 10
    assert parsed.skipped == []


NO_ANSWERS: list[Any] = [
    {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}},
    {"error": "Rate limit reached"},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    {"error": {"message": "x"}, "model": "gpt-4.1", "usage": {"prompt_tokens": 3}},
    {"model": "gpt-4.1"},
    {"usage": {"prompt_tokens": 3, "completion_tokens": 1}, "model": "gpt-4.1"},
    {"id": "chatcmpl-1", "object": "chat.completion", "created": 1780300800, "model": "gpt-4.1"},
    {"helicone_message": "request body too large"},
    {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}], "model": "m"},
    {"created": 1780300800, "data": [{"b64_json": "aGk="}]},
    {"results": [{"flagged": False, "category_scores": {}}], "id": "modr-1"},
    {"choices": [{"message": {"role": "assistant", "content": "a part"}, "error": {"message": "Disconnected"}}]},
    completion(**{"amazon-bedrock-guardrailAction": "INTERVENED"}),
    completion("[Content removed by policy]"),
    completion("<response body too large>"),
    completion("<openai.Stream object at 0x7f3a>"),
    completion("<Response [200 OK]>"),
    completion("[object Object]"),
    completion("[no content]"),
    completion("Error code: 429 - {'error': {'message': 'Rate limit'}}"),
    completion("litellm.RateLimitError: RateLimitError: OpenAIException"),
    completion("<html>\n<head><title>502 Bad Gateway</title></head>\n<body></body></html>"),
    completion("redacted-by-litellm"),
    completion("[REDACTED]"),
    completion("__REDACTED__"),
    completion("<NoneType object returned from model.>"),
    completion("<truncated due to size exceeding limit>"),
    completion("Response too large to log"),
    completion("The start of a long answer ... (litellm_truncated skipped 9000 chars) ... and its end"),
    completion("A long answer that the logger cut…[truncated]"),
    completion("A long answer that the logger cut ... (4,096 more characters)"),
    completion(""),
    completion("  \n"),
    completion(None),
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "I look"}],
        "stop_reason": "pause_turn",
    },
    {"choices": [], "model": "gpt-4.1"},
    {"choices": [{"message": {"role": "assistant", "content": "par"}, "finish_reason": "error"}]},
    {"candidates": [{"finishReason": "SAFETY"}], "modelVersion": "gemini-2.5-flash"},
    {"object": "response", "status": "failed", "error": {"message": "down"}, "output": []},
    {"object": "response", "status": "incomplete", "output": [{"type": "reasoning", "summary": []}]},
]


@pytest.mark.parametrize("reply", NO_ANSWERS)
def test_no_format_takes_for_an_answer_what_is_none(tmp_path: Path, reply: Any) -> None:
    parsed = read(tmp_path, *by_every_format(reply))
    assert parsed.calls == []
    assert len(parsed.skipped) == 10
    assert all(skipped.reason for skipped in parsed.skipped)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"response_status": 500}, "the call failed: response_status 500"),
        ({"response_status": -1}, "the call failed: response_status -1"),
        ({"status_code": "429"}, "the call failed: status_code 429"),
        ({"status": "error"}, "the call failed: status 'error'"),
        ({"status": "Timed Out"}, "the call failed: status 'Timed Out'"),
        ({"error": {"code": 500, "message": "boom"}}, "the call failed: boom"),
        ({"error": "boom"}, "the call failed: boom"),
        ({"error_message": "boom"}, "the call failed: boom"),
        ({"success": False}, "the call failed: success is false"),
        ({"is_error": "true"}, "the call failed: is_error"),
        ({"finish_reason": "error"}, "the call failed: finish reason 'error'"),
        ({"stop_reason": "guardrail_intervened"}, "the call failed: finish reason 'guardrail_intervened'"),
    ],
)
def test_a_record_tells_that_its_call_failed(tmp_path: Path, told: dict[str, Any], reason: str) -> None:
    records = (
        {"request_body": {"messages": ASKED}, "response_body": completion(), **told},
        {"request": {"messages": ASKED}, "response": completion(), **told},
        {"messages": ASKED, "response": completion(), **told},
    )
    assert [skipped.reason for skipped in read(tmp_path, *records).skipped] == [reason] * 3


@pytest.mark.parametrize(
    "told",
    [
        {"error": None},
        {"error": ""},
        {"error": {}},
        {"error": []},
        {"error_code": 0},
        {"error_information": {"error_code": "", "error_class": ""}},
        {"status": "success"},
        {"status": 200},
        {"status": "201 Created"},
        {"response_status": 204},
        {"success": True},
        {"is_error": False},
        {"level": "WARNING"},
        {"finish_reason": "length"},
        {"amazon-bedrock-guardrailAction": "NONE"},
    ],
)
def test_a_record_tells_that_its_call_went_well(tmp_path: Path, told: dict[str, Any]) -> None:
    records = (
        {"request_body": {"messages": ASKED}, "response_body": completion(), **told},
        {"messages": ASKED, "response": "yes", **told},
    )
    assert len(read(tmp_path, *records).calls) == 2


@pytest.mark.parametrize(
    "answer",
    [
        '{"error": "none", "intent": "billing"}',
        {"intent": "billing", "error": None},
        "truncated",
        "none",
        "masked",
        "omitted",
        "Please remove the [redacted] part.",
        "The request was too large, so we split it.",
        "[filtered] mail is shown here",
        "too large",
        "Error code: 12 on the display means that the pump is dry.",
        "removed",
        "<b>not available</b>",
        "Traceback is what Python prints.",
        '{"intent": "billing", "note": "cut by max_tok',
        "***bold***",
        "0",
    ],
)
def test_an_answer_that_is_about_such_things_is_one(tmp_path: Path, answer: Any) -> None:
    assert len(read(tmp_path, {"type": "GENERATION", "input": ASKED, "output": answer}).calls) == 1


@pytest.mark.parametrize(
    "cut",
    [
        '[{"role": "assistant", "parts": [{"type": "text", "con',
        '{"role":"assistant","content":"ye',
        '{"id": "chatcmpl-1", "object": "chat.completion", "choices": [',
        '{"choices": [{"message": {"content": "y',
    ],
)
def test_json_that_a_limit_cut_is_neither_an_answer_nor_a_prompt(tmp_path: Path, cut: str) -> None:
    told = {"traceId": "t", "spanId": "s"}
    parts = [{"role": "user", "parts": [{"type": "text", "content": "Is room 12 free?"}]}]
    answers = (
        {"messages": ASKED, "response": cut},
        {"type": "GENERATION", "input": ASKED, "output": cut},
        told | {"attributes": {"gen_ai.input.messages": parts, "gen_ai.output.messages": cut}},
    )
    reasons = [skipped.reason for skipped in read(tmp_path, *answers).skipped]
    assert reasons == ["the log kept only a part of the answer: its JSON is cut"] * 3
    prompts = (
        {"type": "GENERATION", "input": cut, "output": "yes"},
        told
        | {
            "attributes": {
                "ai.operationId": "ai.streamText.doStream",
                "ai.prompt.messages": cut,
                "ai.response.text": "yes",
            }
        },
    )
    reasons = [skipped.reason for skipped in read(tmp_path, *prompts).skipped]
    assert reasons == ["the log kept only a part of the request: its JSON is cut"] * 2


def test_a_prompt_that_the_agent_cut_itself_is_whole_and_one_that_the_logger_cut_is_not() -> None:
    assert cut_mark("Dear desk, ... [truncated]", answer=False) is None
    assert cut_mark("Dear desk, ... [truncated]", answer=True) == "... [truncated]"
    assert cut_mark("a (litellm_truncated 7 chars) b", answer=False) == "litellm_truncated"
    assert withheld_mark("response too large to store", answer=True) is not None
    assert withheld_mark("response too large to store", answer=False) is None


@pytest.mark.parametrize("text", ["[removed]", "[no content]", "<response [200]>", "[object Object]"])
def test_a_caller_may_write_what_is_no_answer(tmp_path: Path, text: str) -> None:
    record = {"messages": [{"role": "user", "content": text}], "response": "yes"}
    assert len(read(tmp_path, record).calls) == 1
    assert read(tmp_path, {"messages": ASKED, "response": text}).calls == []


def test_a_message_in_the_input_is_never_the_answer_of_a_call_without_one(tmp_path: Path) -> None:
    history = [*ASKED, {"role": "assistant", "content": "yes"}]
    records = (
        {"type": "GENERATION", "input": history, "output": None},
        {"call_type": "completion", "spend": 0.1, "messages": history, "response": None},
        {"request_body": {"messages": history}},
        {"run_type": "llm", "inputs": {"messages": history}, "outputs": None},
    )
    parsed = read(tmp_path, *records)
    assert (parsed.calls, [skipped.reason for skipped in parsed.skipped]) == ([], ["no teacher answer"] * 4)


def test_the_inner_call_counts_and_not_those_around_it(tmp_path: Path) -> None:
    def run(name: str, parent: str | None, kind: str = "llm") -> dict[str, Any]:
        about = {"id": name, "parent_run_id": parent, "trace_id": "t", "run_type": kind}
        return {**about, "inputs": {"messages": ASKED}, "outputs": completion(name)}

    parsed = read(tmp_path, run("outer", None), run("step", "outer", "chain"), run("inner", "step"), run("other", None))
    assert [call.response.message.content for call in parsed.calls] == ["inner", "other"]
    assert parsed.skipped[0].reason == "a call around other calls of the log, which count in its place"


@pytest.mark.parametrize("text", ["<think>Is it free?", "<think>It is.</think>", "<think></think>\n\n", "\u200b\ufeff"])
def test_an_answer_of_reasoning_or_of_nothing_visible_is_none(tmp_path: Path, text: str) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Is room 12 free?"}]}

    def reply(content: str) -> dict[str, Any]:
        return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}

    path = tmp_path / "log.jsonl"
    whole = "<think>It is.</think>\n\nyes"
    path.write_bytes(
        b"\n".join(orjson.dumps({"request": asked, "response": reply(content)}) for content in (text, whole))
    )
    parsed = read_calls(path)
    assert [call.response.message.content for call in parsed.calls] == [whole]
    assert parsed.skipped[0].reason.startswith("no teacher answer: it ")


@pytest.mark.parametrize(
    "text",
    [
        "ChatCompletion(id='chatcmpl-1', choices=[Choice(finish_reason='stop', index=0)])",
        "ChatCompletionMessage(content='cleaning', refusal=None, role='assistant')",
        "ParsedChatCompletion[Sort](id='chatcmpl-1', choices=[])",
        "[ChatCompletionChunk(id='chatcmpl-1', choices=[])]",
        "ModelResponse(id='chatcmpl-1', created=1780300800, model='gpt-4.1')",
        "Response(id='resp_1', created_at=1780300800.0, error=None)",
        "Message(id='msg_1', content=[TextBlock(text='cleaning', type='text')])",
        "[TextBlock(citations=None, text='cleaning', type='text')]",
        "AIMessage(content='cleaning', additional_kwargs={})",
        "content='cleaning\\nnow' additional_kwargs={'refusal': None} response_metadata={} id='run-1'",
        "content=[{'type': 'text', 'text': 'cleaning'}] additional_kwargs={} response_metadata={}",
        "GenerateContentResponse(candidates=[Candidate(content=Content(parts=[]))])",
    ],
)
def test_an_object_that_a_script_wrote_as_text_is_no_answer(tmp_path: Path, text: str) -> None:
    parsed = read(tmp_path, {"messages": ASKED, "response": text})
    reasons = [skipped.reason for skipped in parsed.skipped]
    assert reasons == [f"the log wrote the answer's object as text: {text[:80]!r}"]


@pytest.mark.parametrize(
    "text",
    [
        "Message the guest.",
        "content is missing",
        "Response(ok)",
        "[Text]",
        "ChatCompletion",
        "content='a' b",
        "Tool(x)",
    ],
)
def test_a_text_that_begins_like_an_object_is_an_answer(tmp_path: Path, text: str) -> None:
    assert len(read(tmp_path, {"messages": ASKED, "response": text}).calls) == 1
