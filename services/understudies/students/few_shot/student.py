"""Implement the few-shot student: another model, shown examples of the teacher's answers."""

import copy
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request, Usage
from understudies.judges.base import Judge
from understudies.judges.fallible import agree_at_once
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer, UnusableAnswer
from understudies.students.calibration import Calibration
from understudies.students.endpoint.answering import abort_if_hopeless, answer_all
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.generation import Generation
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.examples import (
    PromptExample,
    comparison_text,
    embed_texts,
    nearest_indices,
    select_k_centers,
    to_messages,
    to_prompt_example,
)
from understudies.students.few_shot.prompt import TaskPrompt
from understudies.students.vectors import Floats

EndpointStudentKind = Literal["few_shot", "api_fine_tune", "prompt_optimised"]
"""Kinds of student that ask a model at an endpoint for a chat completion."""

_FILE = "few_shot.json"
_PROMPT_FILE = "prompt.md"
_NEIGHBOURS = 8
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
# All others are specific to the teacher, change the form of the answer, or refer to the teacher's token ids.
_FORWARDED_PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "max_completion_tokens",
        "max_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "seed",
        "stop",
    }
)


class FewShotManifest(BaseModel):
    """Content of the artifact: the endpoint's name, never its address or key, and the examples.

    The first `shots` of `pool` go into every prompt; with `nearest`, the `shots` most similar to the request. A `model`
    is asked in place of the endpoint's own: one that was trained for the task.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    kind: EndpointStudentKind = "few_shot"
    model: str | None = None
    prompt: TaskPrompt | None = None
    judge: str
    shots: int = Field(ge=0)
    nearest: bool = False
    pool: tuple[PromptExample, ...]
    system: SystemTemplate | None = None


class FewShotStudent:
    """Student that asks a model, with examples between the task's own system prompt and the request.

    If the endpoint returns log-probabilities, its confidence is the probability of the whole answer (the exponential of
    the summed log-probabilities of its tokens, which ranks answers at least as well as the least likely token);
    otherwise it is the similarity-weighted share of the most similar examples whose answer the judge finds equal, which
    is useful if answers repeat. Either is calibrated. Evaluation and service ask it in the same way, so that a
    confidence means the same in both. A student of the kind `api_fine_tune` asks a model that was trained for the task,
    without examples; one of the kind `prompt_optimised` has a prompt of its own in place of the task's.
    """

    def __init__(
        self,
        manifest: FewShotManifest,
        endpoint: Endpoint,
        *,
        calibration: Calibration | None = None,
        pools: EndpointPools | None = None,
    ) -> None:
        self.kind = manifest.kind
        self._manifest = manifest
        endpoint = endpoint if manifest.model is None else endpoint.model_copy(update={"model": manifest.model})
        self._chat = ChatClient(endpoint, (pools or EndpointPools()).get(endpoint))
        self._calibration = calibration or Calibration()
        self._judge = parse_judge(manifest.judge)
        self._vectors = embed_texts([shot.text for shot in manifest.pool])

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer for each request; raises the first StudentError once all have ended."""
        return await answer_all(self, requests)

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """Return the answer; raises ConfidenceTooLow once it cannot reach `floor` or exceeds `max_tokens`."""
        give_up = abort_if_hopeless(self._calibration, floor, max_tokens)
        body = self._body(request)
        generation = await self._chat.complete(body, give_up)
        reason = "length" if generation.finish_reason == "length" else None
        if reason and not body.keys() & request.parameters.keys() & _LIMITS:
            reason = f"{self._chat.endpoint.model!r} did not end its answer within the tokens of its prompt"
            raise UnusableAnswer(reason, generation.usage)
        message = self._read(request, generation)
        return Answer(message, self._confidence(generation, message, request), generation.usage, reason)

    async def close(self) -> None:
        """Close its connections once the calls in progress have ended; a later answer opens new ones."""
        await self._chat.close()

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost in US dollars by the endpoint's prices; None if it has none."""
        return self._chat.endpoint.cost(usage)

    def with_prompt(self, prompt: TaskPrompt, *, shots: int, nearest: bool) -> "FewShotStudent":
        """Return a copy of the student with a prompt of its own, not calibrated."""
        student = copy.copy(self)
        student._manifest = self._manifest.model_copy(update={"prompt": prompt, "shots": shots, "nearest": nearest})
        student._calibration = Calibration()
        return student

    def with_calibration(self, calibration: Calibration) -> "FewShotStudent":
        """Return a copy of the student with another calibration."""
        student = copy.copy(self)
        student._calibration = calibration
        return student

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
        system: SystemTemplate | None = None,
        pools: EndpointPools | None = None,
        kind: EndpointStudentKind = "few_shot",
        model: str | None = None,
    ) -> "FewShotStudent":
        """Choose representative examples by greedy k-centre: each next one is the least similar to all before.

        `system` is the template of the training calls, if it is already known.
        """
        system = SystemTemplate.learn([example.request for example in train]) if system is None else system
        distinct = list({example.fingerprint: example for example in train}.values())
        candidates = distinct[:: max(1, -(-len(distinct) // pool))]
        shown = [to_prompt_example(example, system) for example in candidates]
        order = select_k_centers(embed_texts([shot.text for shot in shown]), len(candidates))
        manifest = FewShotManifest(
            endpoint=endpoint_name,
            kind=kind,
            model=model,
            judge=judge.name,
            shots=shots,
            nearest=nearest,
            pool=tuple(shown[i] for i in order),
            system=system if system.has_context else None,
        )
        return cls(manifest, endpoint, pools=pools)

    def to_files(self) -> dict[str, bytes]:
        # The kind is the artifact's, and written down only where it is another one: artifacts keep their names.
        unwritten = {"kind"} if self.kind == "few_shot" else set[str]()
        fields = self._manifest.model_dump(mode="json", exclude_none=True, exclude=unwritten)
        manifest = json.dumps(fields, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
        prompt = self._manifest.prompt
        # For people; the manifest is what is read.
        readable = {} if prompt is None else {_PROMPT_FILE: prompt.instructions.encode("utf-8", "surrogatepass")}
        return {_FILE: manifest} | readable | self._calibration.to_files()

    @classmethod
    def from_files(
        cls, content: Mapping[str, bytes], endpoints: EndpointSettings, pools: EndpointPools | None = None
    ) -> "FewShotStudent":
        calibration = Calibration.from_files(content)
        try:
            fields = json.loads(content[_FILE].decode("utf-8", "surrogatepass"))
            manifest = FewShotManifest.model_validate(fields)
            endpoint = endpoints.get(manifest.endpoint)
            return cls(manifest, endpoint, calibration=calibration, pools=pools)
        except (KeyError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the few-shot manifest is invalid: {error!r}") from error

    def _body(self, request: Request) -> dict[str, Any]:
        system = [m for m in request.messages if m.role in ("system", "developer")]
        turns = [m for m in request.messages if m.role not in ("system", "developer")]
        prompt = self._manifest.prompt
        if prompt is not None:
            system = prompt.system(request, self._manifest.system or NO_CONTEXT)
        messages = [*system, *self._examples(request), *turns]
        body: dict[str, Any] = {key: value for key, value in request.parameters.items() if key in _FORWARDED_PARAMETERS}
        body["messages"] = [message.model_dump(mode="json", exclude_none=True) for message in messages]
        body["temperature"] = 0
        for name in ("tools", "tool_choice", "response_format"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if prompt is not None:
            if self._is_held_to_schema(request):
                body["response_format"] = prompt.response_format()
            if prompt.max_tokens is not None and not body.keys() & _LIMITS:
                body["max_tokens"] = prompt.max_tokens
        return body

    def _is_held_to_schema(self, request: Request) -> bool:
        prompt = self._manifest.prompt
        return bool(prompt and prompt.answer_schema) and request.response_format is None and not request.tools

    def _read(self, request: Request, generation: Generation) -> Message:
        """Return the answer as the task has it; raises UnusableAnswer if it is not of the form asked for."""
        message, prompt = generation.message(), self._manifest.prompt
        if prompt is None or not self._is_held_to_schema(request):
            return message
        try:
            return prompt.unwrap(message)
        except ValueError as error:
            raise UnusableAnswer(f"{self._chat.endpoint.model!r}: {error}", generation.usage) from None

    def _examples(self, request: Request) -> list[Message]:
        pool = self._manifest.pool
        if self._manifest.nearest:
            # The most similar example comes last, next to the request.
            chosen = [pool[i] for i in nearest_indices(self._similarities(request), self._manifest.shots)[::-1]]
        else:
            chosen = list(pool[: self._manifest.shots])
        prompt = self._manifest.prompt
        if prompt is not None and self._is_held_to_schema(request):
            chosen = [shot.model_copy(update={"answer": prompt.wrap(shot.answer)}) for shot in chosen]
        return [message for number, shot in enumerate(chosen) for message in to_messages(shot, number)]

    def _confidence(self, generation: Generation, message: Message, request: Request) -> float:
        if generation.log_probability is not None:
            return self._calibration(generation.log_probability)
        vote = self._vote(message, request)
        return self._calibration(math.log(min(vote, 1.0)) if vote > 0 else -math.inf)

    def _vote(self, message: Message, request: Request) -> float:
        similar = self._similarities(request)
        near = nearest_indices(similar, _NEIGHBOURS)
        weights = [max(0.0, float(similar[i])) for i in near]
        agreed = (agree_at_once(self._judge, self._manifest.pool[i].answer, message) for i in near)
        return sum(w for w, same in zip(weights, agreed, strict=True) if same) / (sum(weights) or 1.0)

    def _similarities(self, request: Request) -> Floats:
        text = comparison_text(request, self._manifest.system or NO_CONTEXT)
        similar: Floats = embed_texts([text])[0] @ self._vectors.T
        return similar
