"""Select the examples for a prompt, and format them as messages."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from understudies.datasets.dataset import Example
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate, truncate_middle
from understudies.events import Message, Request
from understudies.students.base import request_text
from understudies.students.classifier.sentences import normalize_text, static_vectors
from understudies.students.vectors import Floats

_LONGEST: Final = 2_000
"""Most characters of a context in an example."""


class PromptExample(BaseModel):
    """Request without its system prompt but with its context, and the teacher's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: tuple[Message, ...]
    answer: Message

    @property
    def text(self) -> str:
        return "\n".join(message.text for message in self.messages)


def select_k_centers(vectors: Floats, k: int) -> list[int]:
    """Return the indices of k representative unit rows: the most central, then always the farthest from those chosen.

    González (1985), "Clustering to minimize the maximum intercluster distance". Ties go to the earlier row.
    """
    if not len(vectors):
        return []
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    closest = vectors @ vectors[chosen[0]]
    while len(chosen) < min(k, len(vectors)):
        closest[chosen[-1]] = np.inf
        chosen.append(int(np.argmin(closest)))
        closest = np.maximum(closest, vectors @ vectors[chosen[-1]])
    return chosen


def embed_texts(texts: Sequence[str]) -> Floats:
    """Return one row of length one for each text; the dot product of two rows is their similarity."""
    return static_vectors([normalize_text(text) for text in texts])


def nearest_indices(similar: Floats, k: int) -> list[int]:
    """Return the indices of the k most similar, the most similar first."""
    return [int(i) for i in np.argsort(-similar, kind="stable")[:k]]


def to_prompt_example(example: Example, system: SystemTemplate = NO_CONTEXT) -> PromptExample:
    """Convert an example for a prompt; its context precedes the first turn, as system prompts are omitted."""
    turns = tuple(m for m in example.request.messages if m.role not in ("system", "developer"))
    if context := _context(example.request, system):
        turns = (Message(role="user", content=context), *turns)
        if turns[1:] and turns[1].role == "user" and isinstance(turns[1].content, str):
            turns = (Message(role="user", content=f"{context}\n\n{turns[1].content}"), *turns[2:])
    return PromptExample(messages=turns, answer=example.answer)


def comparison_text(request: Request, system: SystemTemplate) -> str:
    """Return the text by which to compare a request: its context and its own text."""
    context, text = _context(request, system), request_text(request)
    return f"{context}\n\n{text}" if context else text


def _context(request: Request, system: SystemTemplate) -> str:
    return truncate_middle(system.context(request), _LONGEST)


def to_messages(shot: PromptExample, number: int) -> list[Message]:
    """Format an example as chat turns; tool calls get ids and results, without which endpoints reject them."""
    if not shot.answer.tool_calls:
        return [*shot.messages, shot.answer]
    calls = tuple(
        call.model_copy(update={"id": f"example_{number}_{i}"}) for i, call in enumerate(shot.answer.tool_calls)
    )
    results = [Message(role="tool", tool_call_id=call.id, content="done") for call in calls]
    return [*shot.messages, shot.answer.model_copy(update={"tool_calls": calls}), *results]
