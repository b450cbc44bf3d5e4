"""Keep what many examples have in common once in memory: system prompts, tools, and answers of a closed set."""

from collections.abc import Iterable
from typing import Final

from understudies.datasets.teacher_lineage import TeacherTerms
from understudies.events import Message, Request

_DISTINCT: Final = frozenset({"user", "tool", "function"})
"""Roles whose messages hardly ever come again."""


class SharedParts:
    """Parts of requests and answers seen so far: nobody changes them, so that equal ones can be the same object.

    A short example takes 5.5 kB in memory, half of it for parts that others have too; long prompts and tools take more.
    """

    def __init__(self) -> None:
        self._messages: dict[object, Message] = {}
        self._fields: dict[str, object] = {}
        self._terms: dict[TeacherTerms, TeacherTerms] = {}

    def request(self, request: Request) -> Request:
        """Return an equal request, with the parts of earlier ones."""
        shared: dict[str, object] = {"messages": self.messages(request.messages)}
        for name in ("tools", "response_format"):
            value = getattr(request, name)
            if value is not None:
                key = request.model_dump_json(include={name}, exclude_none=True)
                shared[name] = self._fields.setdefault(key, value)
        return request.model_copy(update=shared)

    def messages(self, messages: Iterable[Message]) -> tuple[Message, ...]:
        """Return equal messages, those seen before where they can be."""
        return tuple(map(self.message, messages))

    def message(self, message: Message) -> Message:
        """Return an equal message, the one seen before if there was one; those of users are not looked for."""
        if message.role in _DISTINCT:
            return message
        is_text = message.tool_calls is None and not isinstance(message.content, list)
        key = (
            (message.role, message.content, message.name, message.tool_call_id)
            if is_text
            else message.model_dump_json(exclude_none=True)
        )
        return self._messages.setdefault(key, message)

    def terms(self, terms: TeacherTerms) -> TeacherTerms:
        """Return equal terms, those seen before if there were."""
        return self._terms.setdefault(terms, terms)
