"""One body is one request, one input and one answer, whether the SDK, the router or an importer reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.dialects import accumulate_stream
from tests.support.provider_bodies import REQUESTS, RESPONSES_TO
from tests.support.sample_events import START

from understudies.client.calls import TeacherCall, TeacherInfo, copy_arguments
from understudies.client.corpus_line import to_corpus_line
from understudies.client.decoding.requests import decode_request
from understudies.client.decoding.responses import decode_answer
from understudies.client.decoding.stream_accumulator import accumulate_chunks
from understudies.client.encoding import InvocationEncoder
from understudies.dialects.base import Api
from understudies.dialects.detection import detect_api
from understudies.dialects.registry import dialect_of
from understudies.events import encode, fingerprint, new_id
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall

MODELS: dict[Api, Any] = {"chat": ChatCompletion, "responses": OpenAIResponse, "messages": AnthropicMessage}
EVENTS: dict[Api, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletionChunk),
    "responses": TypeAdapter(ResponseStreamEvent),
    "messages": TypeAdapter(RawMessageStreamEvent),
}
EVERY_REQUEST = pytest.mark.parametrize("name", REQUESTS)
EVERY_RESPONSE = pytest.mark.parametrize("name", RESPONSES_TO)
COMPLETION = RESPONSES_TO["chat: text"][1]


def records(body: dict[str, Any], answer: Any = COMPLETION) -> Iterator[dict[str, Any]]:
    """The call as the tools that record calls write it."""
    yield {"request_body": body, "response_body": answer}
    yield {"custom_id": "a", "body": body, "response": {"status_code": 200, "body": answer}}
    yield {"type": "GENERATION", "input": body, "output": answer, "model": body["model"]}
    row = {"call_type": "acompletion", "spend": 0.1, "model": body["model"], "response": answer}
    yield {**row, "messages": {}, "proxy_server_request": body}
    if "messages" in body:
        yield {**body, "response": answer}
    else:
        yield {"object": "response", "created_at": 1767600000, **body, "output": answer.get("output", [])}


def imported(tmp_path: Path, body: dict[str, Any], answer: Any = COMPLETION) -> list[RecordedCall]:
    path = tmp_path / "calls.jsonl"
    kept = [record for record in records(body, answer) if record.get("output") != []]
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in kept))
    reading = read_calls(path)
    assert reading.skipped == []
    assert len(reading.calls) == len(kept)
    return reading.calls


@EVERY_REQUEST
def test_a_request_is_the_same_by_every_way_in(name: str, tmp_path: Path) -> None:
    api, body = REQUESTS[name]
    # As the router parses it, and so do the SDK's arguments come from a program.
    routed = dialect_of(api).decode_request(orjson.loads(orjson.dumps(body))).request
    shadowed, model = decode_request(copy_arguments((), body))
    assert model == "m"
    assert shadowed == routed
    assert fingerprint(shadowed) == fingerprint(routed)
    for call in imported(tmp_path, body):
        assert call.request == routed
        assert call.fingerprint == fingerprint(routed)


@EVERY_REQUEST
def test_what_the_sdk_recorded_is_imported_as_the_same_input(name: str, tmp_path: Path) -> None:
    _, body = REQUESTS[name]
    call = TeacherCall(TeacherInfo("t", "", {}), START, None, copy_arguments((), body), 5.0, COMPLETION)
    recorded = InvocationEncoder("default", None, None, new_id, 10**6).build_invocation(call)
    path = tmp_path / "recorded.jsonl"
    path.write_bytes(orjson.dumps(to_corpus_line(recorded)) + b"\n" + encode(recorded))
    reading = read_calls(path)
    assert reading.skipped == []
    line, event = reading.calls
    assert line.fingerprint == event.fingerprint == recorded.fingerprint
    assert event.request == recorded.request
    assert line.response.message == event.response.message


@EVERY_REQUEST
def test_the_shape_of_a_body_tells_its_api_where_that_matters(name: str) -> None:
    api, body = REQUESTS[name]
    detected = detect_api(body)
    assert dialect_of(detected).decode_request(body).request == dialect_of(api).decode_request(body).request


@EVERY_RESPONSE
def test_an_answer_is_the_same_by_every_way_in(name: str, tmp_path: Path) -> None:
    api, body = RESPONSES_TO[name]
    routed = dialect_of(api).decode_response(body)
    for answer in (body, MODELS[api].model_validate(body)):
        assert decode_answer(answer) == routed
    for call in imported(tmp_path, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, body):
        assert call.response == routed.response


@EVERY_RESPONSE
def test_a_stream_is_the_same_answer(name: str) -> None:
    api, body = RESPONSES_TO[name]
    stream = b"".join(dialect_of(api).encode_stream(body))
    routed = accumulate_stream(api, stream).answer()
    assert routed == dialect_of(api).decode_response(body)
    chunks = [orjson.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    for given in (chunks, [EVENTS[api].validate_python(chunk) for chunk in chunks]):
        assert accumulate_chunks(given).to_answer() == routed
