"""Look up the dialect of an API."""

from collections.abc import Mapping
from typing import Final

from understudies.dialects.anthropic_messages.dialect import AnthropicMessages
from understudies.dialects.base import Api, Dialect
from understudies.dialects.openai_chat.dialect import OpenAIChat
from understudies.dialects.openai_responses.dialect import OpenAIResponses

DIALECTS: Final[Mapping[Api, Dialect]] = {
    "chat": OpenAIChat(),
    "responses": OpenAIResponses(),
    "messages": AnthropicMessages(),
}


def dialect_of(api: Api) -> Dialect:
    """Return the dialect of an API."""
    return DIALECTS[api]
