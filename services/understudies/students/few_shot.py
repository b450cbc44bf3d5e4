"""The few-shot student: another model, shown how the teacher answered."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.events import Message, Request
from understudies.judges import Judge, judge_named
from understudies.students.base import Answer, ArtifactError, request_text
from understudies.students.chat_endpoint import Completion, complete
from understudies.students.classifier.sentences import Floats, normalised, static_vectors
from understudies.students.dataset import Example
from understudies.students.endpoint import Endpoint, Endpoints

_FILE = "few_shot.json"
_NEIGHBOURS = 8
# They ask for more than the one answer that is wanted, or for it in another form than can be read here.
_NOT_PASSED = frozenset({"n", "best_of", "stream", "stream_options", "logprobs", "top_logprobs"})


class Shot(BaseModel):
    """A request without its system prompt, and the teacher's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: tuple[Message, ...]
    answer: Message

    @property
    def text(self) -> str:
        return "\n".join(message.text for message in self.messages)


class Recipe(BaseModel):
    """All that the artifact holds: the endpoint's name, never its address or key, and the examples.

    The first `shots` of `pool` go into every prompt, or where `nearest` the `shots` most like the request.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    judge: str
    shots: int = Field(ge=0)
    nearest: bool = False
    pool: tuple[Shot, ...]


class FewShotStudent:
    """Asks a model with examples between the task's own system prompt and the request.

    Its confidence is the probability of the whole answer (the exponential of the summed log-probabilities of its
    tokens, which ranks answers at least as well as the least likely token), where the endpoint gives them.
    Else, as for tool calls, it is the share of the most similar examples, by their similarity, whose answer the
    judge finds equal: of use where answers repeat. Neither is calibrated: the gate decides which is enough.
    """

    kind = "few_shot"

    def __init__(self, recipe: Recipe, endpoint: Endpoint) -> None:
        self._recipe = recipe
        self._endpoint = endpoint
        self._judge = judge_named(recipe.judge)
        self._vectors = _vectors([shot.text for shot in recipe.pool])

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        if not requests:
            return []
        similar = _vectors([request_text(request) for request in requests]) @ self._vectors.T
        bodies = [self._body(request, near) for request, near in zip(requests, similar, strict=True)]
        completions = await complete(self._endpoint, bodies)
        return [
            Answer(found.message, self._confidence(found, near), found.usage)
            for found, near in zip(completions, similar, strict=True)
        ]

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        judge: Judge,
        *,
        endpoint_name: str,
        endpoint: Endpoint,
        shots: int = 16,
        nearest: bool = False,
        pool: int = 1000,
    ) -> "FewShotStudent":
        """Choose representative examples: greedy k-centre, each next one the least like all before."""
        distinct = list({example.fingerprint: example for example in train}.values())
        candidates = distinct[:: max(1, -(-len(distinct) // pool))]
        order = k_centre(_vectors([request_text(example.request) for example in candidates]), len(candidates))
        recipe = Recipe(
            endpoint=endpoint_name,
            judge=judge.name,
            shots=shots,
            nearest=nearest,
            pool=tuple(_shot(candidates[i]) for i in order),
        )
        return cls(recipe, endpoint)

    def to_files(self) -> dict[str, bytes]:
        known = self._recipe.model_dump(mode="json", exclude_none=True)
        return {_FILE: json.dumps(known, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes], endpoints: Endpoints) -> "FewShotStudent":
        try:
            known = json.loads(content[_FILE].decode("utf-8", "surrogatepass"))
            recipe = Recipe.model_validate(known)
            return cls(recipe, endpoints.named(recipe.endpoint))
        except (KeyError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the few-shot recipe cannot be read: {error!r}") from error

    def _body(self, request: Request, similar: Floats) -> dict[str, Any]:
        system = [m for m in request.messages if m.role in ("system", "developer")]
        turns = [m for m in request.messages if m.role not in ("system", "developer")]
        messages = [*system, *self._examples(similar), *turns]
        body: dict[str, Any] = {key: value for key, value in request.parameters.items() if key not in _NOT_PASSED}
        body["messages"] = [message.model_dump(mode="json", exclude_none=True) for message in messages]
        body["temperature"] = 0
        for name in ("tools", "tool_choice", "response_format"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        return body

    def _examples(self, similar: Floats) -> list[Message]:
        pool = self._recipe.pool
        if self._recipe.nearest:
            # The most similar comes last, next to the request.
            chosen = [pool[i] for i in _nearest(similar, self._recipe.shots)[::-1]]
        else:
            chosen = list(pool[: self._recipe.shots])
        return [message for number, shot in enumerate(chosen) for message in _turns(shot, number)]

    def _confidence(self, found: Completion, similar: Floats) -> float:
        if found.probability is not None:
            return found.probability
        near = _nearest(similar, _NEIGHBOURS)
        weights = [max(0.0, float(similar[i])) for i in near]
        agreed = (self._judge.judge(self._recipe.pool[i].answer, found.message).agreed for i in near)
        return sum(w for w, same in zip(weights, agreed, strict=True) if same) / (sum(weights) or 1.0)


def k_centre(vectors: Floats, k: int) -> list[int]:
    """Indices of k representative rows of length one: the most central, then always the farthest from all chosen.

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


def _vectors(texts: Sequence[str]) -> Floats:
    return static_vectors([normalised(text) for text in texts])


def _nearest(similar: Floats, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-similar, kind="stable")[:k]]


def _shot(example: Example) -> Shot:
    turns = tuple(m for m in example.request.messages if m.role not in ("system", "developer"))
    return Shot(messages=turns, answer=example.answer)


def _turns(shot: Shot, number: int) -> list[Message]:
    """The example as turns of a chat; calls of tools get ids and results, without which endpoints refuse them."""
    if not shot.answer.tool_calls:
        return [*shot.messages, shot.answer]
    calls = tuple(
        call.model_copy(update={"id": f"example_{number}_{i}"}) for i, call in enumerate(shot.answer.tool_calls)
    )
    results = [Message(role="tool", tool_call_id=call.id, content="done") for call in calls]
    return [*shot.messages, shot.answer.model_copy(update={"tool_calls": calls}), *results]
