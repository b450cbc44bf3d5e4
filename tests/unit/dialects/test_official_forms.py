"""Bodies and events have the form that the providers' own types describe."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.dialects import render_response, render_stream
from tests.support.official_clients import ANSWERS

from understudies.dialects.base import Api, DecodedResponse
from understudies.dialects.registry import DIALECTS

EVERY = pytest.mark.parametrize("answered", ANSWERS.values(), ids=ANSWERS)
WHOLE: dict[Api, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletion),
    "responses": TypeAdapter(OpenAIResponse),
    "messages": TypeAdapter(AnthropicMessage),
}
EVENT: dict[Api, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletionChunk),
    "responses": TypeAdapter(ResponseStreamEvent),
    "messages": TypeAdapter(RawMessageStreamEvent),
}


def data_of(stream: bytes) -> Iterator[Any]:
    for line in stream.splitlines():
        if line.startswith(b"data: {"):
            yield orjson.loads(line[6:])


@pytest.mark.parametrize("api", DIALECTS)
@EVERY
def test_every_body_and_every_event_has_the_official_form(api: Api, answered: DecodedResponse) -> None:
    WHOLE[api].validate_python(render_response(api, answered), strict=True)
    for event in data_of(render_stream(api, answered)):
        EVENT[api].validate_python(event, strict=True)
