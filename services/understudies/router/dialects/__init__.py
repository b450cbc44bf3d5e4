"""The APIs that the router speaks, in both directions. Pure: no I/O."""

from collections.abc import Mapping
from typing import Final

from understudies.router.call import Api
from understudies.router.dialects.able import student_can_answer, unsupported_feature
from understudies.router.dialects.base import (
    DecodedRequest,
    DecodedResponse,
    Dialect,
    InvalidRequest,
    StreamAccumulator,
)
from understudies.router.dialects.chat import OpenAIChat, encode_request
from understudies.router.dialects.messages import AnthropicMessages
from understudies.router.dialects.responses import OpenAIResponses

DIALECTS: Final[Mapping[Api, Dialect]] = {
    "chat": OpenAIChat(),
    "responses": OpenAIResponses(),
    "messages": AnthropicMessages(),
}


def dialect_of(api: Api) -> Dialect:
    """How an API speaks."""
    return DIALECTS[api]


__all__ = [
    "DIALECTS",
    "DecodedResponse",
    "StreamAccumulator",
    "Dialect",
    "DecodedRequest",
    "InvalidRequest",
    "unsupported_feature",
    "dialect_of",
    "encode_request",
    "student_can_answer",
]
