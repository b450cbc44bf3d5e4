"""The official clients, connected to a router that answers as told."""

from typing import Any

import anthropic
import httpx2
import openai

from understudies.dialects.base import DecodedResponse
from understudies.events import FunctionCall, Message, Response, ToolCall, Usage

USAGE = Usage(prompt_tokens=12, completion_tokens=5, cached_tokens=4)
CALLS = tuple(
    ToolCall(id=f"call_0123456789_{place}", function=FunctionCall(name="weather", arguments=f'{{"day":{place}}}'))
    for place in range(2)
)
TEXT_ANSWER = DecodedResponse(
    Response(message=Message(role="assistant", content="Rain in Delft"), finish_reason="stop"), "m", USAGE
)
TOOL_CALL_ANSWER = DecodedResponse(
    Response(message=Message(role="assistant", content="Let me look", tool_calls=CALLS), finish_reason="tool_calls"),
    "m",
    USAGE,
)
TRUNCATED_ANSWER = DecodedResponse(
    Response(message=Message(role="assistant", content="Rain"), finish_reason="length"), "m", USAGE
)
REFUSAL_MESSAGE = Message(role="assistant", content=[{"type": "refusal", "refusal": "no"}])
REFUSED_ANSWER = DecodedResponse(Response(message=REFUSAL_MESSAGE, finish_reason="content_filter"), "m", USAGE)
ANSWERS = {"said": TEXT_ANSWER, "called": TOOL_CALL_ANSWER, "cut": TRUNCATED_ANSWER, "refused": REFUSED_ANSWER}
REQUEST_BODY: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def openai_client(content: bytes, **about: Any) -> Any:
    """OpenAI's client."""
    return openai.OpenAI(api_key="k", max_retries=0, http_client=_served(content, **about))


def anthropic_client(content: bytes, **about: Any) -> Any:
    """Anthropic's client."""
    return anthropic.Anthropic(api_key="k", max_retries=0, http_client=_served(content, **about))


def list_tool_calls(calls: Any) -> list[tuple[str, str, str]]:
    """Id, name and arguments of the calls of tools."""
    return [(call.id, call.function.name, call.function.arguments) for call in calls or ()]


def _served(content: bytes, *, status: int = 200, stream: bool = False) -> Any:
    kind = "text/event-stream" if stream else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=content, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(answer))
