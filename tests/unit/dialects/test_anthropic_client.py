"""Anthropic's client takes what the router answers, whole and streamed, and its errors."""

import anthropic
import orjson
import pytest
from tests.support.dialects import render_response, render_stream
from tests.support.official_clients import ANSWERS, REQUEST_BODY, TEXT_ANSWER, anthropic_client, list_tool_calls

from understudies.dialects.base import DecodedResponse
from understudies.dialects.registry import dialect_of

EVERY = pytest.mark.parametrize("answered", ANSWERS.values(), ids=ANSWERS)


@EVERY
def test_a_message(answered: DecodedResponse) -> None:
    said = answered.response.message
    with anthropic_client(orjson.dumps(render_response("messages", answered))) as client:
        whole = client.messages.create(max_tokens=9, **REQUEST_BODY)
    with (
        anthropic_client(render_stream("messages", answered), stream=True) as client,
        client.messages.stream(max_tokens=9, **REQUEST_BODY) as stream,
    ):
        put_together = stream.get_final_message()
    reasons = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
    for message in (whole, put_together):
        text = "".join(block.text for block in message.content if block.type == "text")
        assert text == (said.text or "no")
        uses = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        assert uses == [(i, name, orjson.loads(given)) for i, name, given in list_tool_calls(said.tool_calls)]
        assert message.stop_reason == reasons[answered.response.finish_reason or ""]
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (8, 4)
        assert message.usage.output_tokens == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (502, anthropic.InternalServerError),
    ],
)
def test_an_error(status: int, kind: type[anthropic.APIStatusError]) -> None:
    error = orjson.dumps(dialect_of("messages").encode_error(status, "not so", code="some_code"))
    with anthropic_client(error, status=status) as client, pytest.raises(kind, match="some_code: not so"):
        client.messages.create(max_tokens=9, **REQUEST_BODY)


def test_an_error_inside_a_message() -> None:
    begun = list(dialect_of("messages").encode_stream(render_response("messages", TEXT_ANSWER)))[:2]
    broken = b"".join([*begun, dialect_of("messages").encode_error_event("no teacher", "teacher_error")])
    with (
        anthropic_client(broken, stream=True) as client,
        client.messages.stream(max_tokens=9, **REQUEST_BODY) as stream,
        pytest.raises(anthropic.APIStatusError, match="no teacher"),
    ):
        stream.until_done()
