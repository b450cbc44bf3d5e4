"""Look up the dialect of an API."""

from collections.abc import Mapping
from typing import Final

from understudies.dialects.anthropic_messages.dialect import AnthropicMessages
from understudies.dialects.base import Api, Dialect
from understudies.dialects.decisions.dialect import Decisions
from understudies.dialects.openai_chat.dialect import OpenAIChat
from understudies.dialects.openai_responses.dialect import OpenAIResponses

DIALECTS: Final[Mapping[Api, Dialect]] = {
    "chat": OpenAIChat(),
    "responses": OpenAIResponses(),
    "messages": AnthropicMessages(),
}
"""The dialects in which students answer too."""

DECISION_DIALECTS: Final[Mapping[Api, Dialect]] = {
    "decisions": Decisions(),
    "systemone": Decisions("systemone", "/v1/systemone"),
}
"""The dialects of decision APIs, which the teacher alone answers."""

_ALL: Final[Mapping[Api, Dialect]] = {**DIALECTS, **DECISION_DIALECTS}


def dialect_of(api: Api) -> Dialect:
    """Return the dialect of an API."""
    return _ALL[api]
