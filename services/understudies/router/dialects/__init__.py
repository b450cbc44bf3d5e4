"""The APIs that the router speaks, in both directions. Pure: no I/O."""

from collections.abc import Mapping
from typing import Final

from understudies.router.call import Api
from understudies.router.dialects.able import beyond_students, student_able
from understudies.router.dialects.base import Answered, Assembler, Dialect, Read, Unreadable
from understudies.router.dialects.chat import ChatDialect, request_body
from understudies.router.dialects.messages import MessagesDialect
from understudies.router.dialects.responses import ResponsesDialect

DIALECTS: Final[Mapping[Api, Dialect]] = {
    "chat": ChatDialect(),
    "responses": ResponsesDialect(),
    "messages": MessagesDialect(),
}


def dialect_of(api: Api) -> Dialect:
    """How an API speaks."""
    return DIALECTS[api]


__all__ = [
    "DIALECTS",
    "Answered",
    "Assembler",
    "Dialect",
    "Read",
    "Unreadable",
    "beyond_students",
    "dialect_of",
    "request_body",
    "student_able",
]
