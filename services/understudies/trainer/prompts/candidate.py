"""Define a candidate: instructions, examples and schema, as texts that GEPA evolves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from understudies.datasets.dataset import Example
from understudies.datasets.system_template import SystemTemplate
from understudies.events import Message
from understudies.events.json_values import JsonObject
from understudies.judges.base import Judge
from understudies.judges.json_text import parse_json
from understudies.judges.label import WHOLE_ANSWER, LabelJudge
from understudies.students.decision.choices import find_choices, without_choices
from understudies.students.few_shot.prompt import TaskPrompt, closed_schema

INSTRUCTIONS: Final = "instructions"
EXAMPLES: Final = "examples"
SCHEMA: Final = "schema"
NO_SCHEMA: Final = "none"

_CHARACTERS_PER_TOKEN: Final = 2
_LEAST_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class PromptCandidate:
    """Prompt to try: the system message, how many examples and which, and the schema that answers are held to."""

    instructions: str
    shots: int = 0
    nearest: bool = False
    schema: JsonObject | None = None

    def to_texts(self) -> dict[str, str]:
        """Return the candidate as GEPA has it: a text for each component."""
        return {
            INSTRUCTIONS: self.instructions,
            EXAMPLES: json.dumps({"shots": self.shots, "nearest": self.nearest}),
            SCHEMA: NO_SCHEMA if self.schema is None else json.dumps(self.schema, ensure_ascii=False),
        }

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> "PromptCandidate":
        """Return the candidate of texts; raises ValueError if they are none."""
        examples = json.loads(texts[EXAMPLES])
        schema: Any = None if texts[SCHEMA] == NO_SCHEMA else json.loads(texts[SCHEMA])
        if not isinstance(schema, dict | None):
            raise ValueError("the schema is not an object")
        return cls(texts[INSTRUCTIONS], int(examples["shots"]), bool(examples["nearest"]), schema)


@dataclass(frozen=True, slots=True)
class TaskForm:
    """What is known of a task's answers: the schema that fits them, labels if they are some, and the longest answer."""

    schema: JsonObject | None
    labels: tuple[str, ...]
    max_tokens: int

    @classmethod
    def learn(cls, train: Sequence[Example], judge: Judge) -> "TaskForm":
        """Learn the form from training examples."""
        longest = max((len(one.answer.text) for one in train), default=0)
        labels = _labels(train, judge)
        schema = closed_schema(labels) if labels else _object_schema([one.answer for one in train])
        return cls(schema, labels, max(_LEAST_TOKENS, -(-longest // _CHARACTERS_PER_TOKEN) * 2))

    def prompt(self, candidate: PromptCandidate) -> TaskPrompt:
        """Return the prompt of a candidate."""
        return TaskPrompt(
            instructions=candidate.instructions, answer_schema=candidate.schema, max_tokens=self.max_tokens
        )

    def instructions_by_rule(self, current: str) -> list[str]:
        """Return instructions that need no model to write: shorter ones, and ones that name the answers."""
        found = [without_choices(current, self.labels)] if self.labels else []
        if self.labels:
            listed = "Answer with exactly one of these, and nothing else:\n" + "\n".join(self.labels)
            found += [listed, f"{without_choices(current, self.labels)}\n\n{listed}".strip()]
        elif self.schema is not None:
            properties = self.schema.get("properties")
            fields = ", ".join(properties) if isinstance(properties, dict) else ""
            found.append(
                f"{current}\n\nAnswer with a JSON object and nothing else. Its fields, where they apply: {fields}."
            )
        return list(dict.fromkeys(text for text in found if text and text != current))


def own_instructions(train: Sequence[Example], system: SystemTemplate) -> str:
    """Return the task's own instructions: the latest system prompt, without what differs from call to call."""
    text = train[-1].request.system
    context = system.context(train[-1].request)
    return text.replace(context, "").strip() if context and context in text else text


def _labels(train: Sequence[Example], judge: Judge) -> tuple[str, ...]:
    if not isinstance(judge, LabelJudge) or judge.locator != WHOLE_ANSWER:
        return ()
    try:
        return tuple(choice.value for choice in find_choices(train, judge))
    except ValueError:
        return ()


def _object_schema(answers: Sequence[Message]) -> JsonObject | None:
    """Return the schema of answers that are all JSON objects: their properties with types, and those always there."""
    types: dict[str, set[str]] = {}
    always: set[str] | None = None
    for answer in answers:
        try:
            value = parse_json(answer.text)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        always = set(value) if always is None else always & set(value)
        for name, found in value.items():
            types.setdefault(name, set()).add(_type(found))
    if not types:
        return None
    properties: JsonObject = {name: {"type": [*sorted(of)]} for name, of in sorted(types.items())}
    return {
        "type": "object",
        "properties": properties,
        "required": [*sorted(always or ())],
        "additionalProperties": False,
    }


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    kinds: dict[type, str] = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return kinds[type(value)]
