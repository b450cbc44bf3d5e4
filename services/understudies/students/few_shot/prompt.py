"""Write a task's prompt for another model: its own instructions, and a schema that the answer is held to."""

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from understudies.datasets.system_template import SystemTemplate
from understudies.events import Message, Request
from understudies.events.json_values import JsonObject

ANSWER: Final = "answer"
"""The property that holds a label: endpoints hold answers to objects alone."""


class TaskPrompt(BaseModel):
    """Prompt of a task in place of the request's system prompt, and the schema of its answers, if they are held to one.

    An answer that the model does not end within `max_tokens` counts as none; a limit of the caller's goes before it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    instructions: str
    answer_schema: JsonObject | None = None
    max_tokens: int | None = None

    @property
    def wraps_label(self) -> bool:
        """Whether the schema is that of a label, which `closed_schema` made."""
        properties = self.answer_schema.get("properties") if self.answer_schema is not None else None
        return isinstance(properties, dict) and list(properties) == [ANSWER]

    def system(self, request: Request, template: SystemTemplate) -> list[Message]:
        """Return the system message: the instructions, and the context of the request's own prompt, if it has one."""
        context = template.context(request)
        text = f"{self.instructions}\n\n{context}" if context else self.instructions
        return [Message(role="system", content=text)] if text else []

    def response_format(self) -> dict[str, Any] | None:
        """Return the response format that holds the answer to the schema; None without one."""
        if self.answer_schema is None:
            return None
        named = {"name": "answer", "strict": True, "schema": self.answer_schema}
        return {"type": "json_schema", "json_schema": named}

    def wrap(self, answer: Message) -> Message:
        """Return an example's answer in the form that the schema asks for."""
        if not self.wraps_label or answer.tool_calls:
            return answer
        return answer.model_copy(update={"content": json.dumps({ANSWER: answer.text}, ensure_ascii=False)})

    def unwrap(self, answer: Message) -> Message:
        """Return the answer as the task has it; raises ValueError if it is not of the schema's form."""
        if not self.wraps_label or answer.tool_calls:
            return answer
        found = json.loads(answer.text)
        if not isinstance(found, dict) or not isinstance(found.get(ANSWER), str):
            raise ValueError("the answer is not of the form that the schema asks for")
        return answer.model_copy(update={"content": found[ANSWER]})


def closed_schema(labels: Sequence[str]) -> JsonObject:
    """Return the schema of an answer that is one of some labels."""
    return {
        "type": "object",
        "properties": {ANSWER: {"type": "string", "enum": [*labels]}},
        "required": [ANSWER],
        "additionalProperties": False,
    }
