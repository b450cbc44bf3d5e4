"""Implement the LoRA student: an adapter of an open base model, trained on the teacher's answers."""

import copy
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.events import Message, Request, Usage
from understudies.students.base import Answer, StudentError
from understudies.students.calibration import Calibration
from understudies.students.endpoint.answering import abort_if_hopeless, answer_all
from understudies.students.endpoint.generation import Generation
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter, refuse_pickles
from understudies.students.lora.base_model import BaseShape
from understudies.students.lora.engine import EngineKind, LoraEngine, ServedAdapter
from understudies.students.lora.gguf_adapter import GGUF_FILE
from understudies.students.lora.prompt import read_answer, to_turns
from understudies.students.verifier import Verifier

MANIFEST_FILE: Final = "lora.json"
_REMEDIES: Final[Mapping[EngineKind, str]] = {
    "llama.cpp": "unset UNDERSTUDIES_LORA_VLLM_URL",
    "vllm": "set UNDERSTUDIES_LORA_VLLM_URL",
}
_LIMITS: Final = ("max_tokens", "max_completion_tokens")
# All others are specific to the teacher, change the form of the answer, or refer to the teacher's token ids.
_FORWARDED: Final = frozenset({*_LIMITS, "seed", "stop"})


class LoraManifest(BaseModel):
    """The base that the adapter was trained on, and the most tokens that an answer needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base: str
    base_digest: str
    shape: BaseShape
    answer_tokens: int = Field(gt=0)
    engine: EngineKind = "llama.cpp"
    """What it was validated with: confidences of another engine are others."""
    usd_per_million_tokens: Decimal | None = Field(default=None, ge=0)
    """Price of the tokens of prompts and answers together, by the throughput measured in validation."""


class LoraStudent:
    """Student whose adapter an engine serves; its confidence is the calibrated probability of the whole answer.

    With a verifier, the confidence depends on whether its own answer agrees, too.
    """

    kind = "lora"

    def __init__(
        self,
        manifest: LoraManifest,
        adapter: Mapping[str, bytes],
        engine: LoraEngine,
        *,
        calibration: Calibration | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        self.manifest = manifest
        self._files = dict(adapter)
        self._served = ServedAdapter(self._files, manifest.base, manifest.base_digest)
        self._engine = engine
        self._calibration = calibration or Calibration()
        self._verifier = verifier

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer for each request; raises the first StudentError once all have ended."""
        return await answer_all(self, requests)

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """Return the answer; raises ConfidenceTooLow once it cannot reach `floor` or exceeds `max_tokens`."""
        body = self._body(request)
        own = await self._verifier.answer(request) if self._verifier is not None else None
        of_own = None if own is None else own.confidence
        give_up = abort_if_hopeless(lambda s: self._calibration.upper_bound(s, of_own), floor, max_tokens)
        async with self._engine.route(self._served) as route:
            generation = await route.chat.complete({**body, **route.fields}, give_up)
        is_cut = generation.finish_reason == "length"
        if is_cut and not _limit(request):
            raise StudentError(f"the answer did not end within {self.manifest.answer_tokens} tokens")
        if (log_probability := generation.log_probability) is None:
            raise StudentError("the engine reported no log-probabilities, and so no confidence")
        message = _read(generation)
        check = self._verifier.check(own, message) if self._verifier is not None else None
        confidence = self._calibration(log_probability, check)
        return Answer(message, confidence, generation.usage, "length" if is_cut else None)

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the price of a usage in US dollars; None if no price was measured."""
        price = self.manifest.usd_per_million_tokens
        return None if price is None else price * (usage.prompt_tokens + usage.completion_tokens) / 1_000_000

    async def close(self) -> None:
        """Unload the adapter once the calls in progress have ended; a later answer loads it again."""
        await self._engine.unload(self._served.name)

    def with_calibration(self, calibration: Calibration, verifier: Verifier | None = None) -> "LoraStudent":
        """Return a copy of the student with another calibration, and with the verifier whose checks it weighs."""
        student = copy.copy(self)
        student._calibration = calibration
        student._verifier = verifier
        return student

    def to_files(self) -> dict[str, bytes]:
        manifest = json.dumps(self.manifest.model_dump(mode="json"), sort_keys=True).encode()
        checked_by = {} if self._verifier is None else self._verifier.to_files()
        return {**self._files, MANIFEST_FILE: manifest, **self._calibration.to_files(), **checked_by}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes], engine: LoraEngine) -> "LoraStudent":
        """Read a student; raises ArtifactError, which names the cause, for an adapter that cannot be served."""
        refuse_pickles(content)
        try:
            manifest = LoraManifest.model_validate_json(content[MANIFEST_FILE])
            files = {name: content[name] for name in (CONFIG_FILE, WEIGHTS_FILE, GGUF_FILE)}
        except KeyError as error:
            raise ArtifactError(f"the LoRA student has no file {error.args[0]!r}") from error
        except ValidationError as error:
            raise ArtifactError(f"the LoRA manifest is invalid: {error}") from error
        adapter = read_adapter(files)
        adapter.check_shape(manifest.shape)
        trained_on = adapter.config.base_model_name_or_path
        if trained_on and trained_on != manifest.base:
            raise ArtifactError(
                f"the adapter was trained on the base {trained_on!r}, and its manifest names {manifest.base!r}"
            )
        if manifest.engine != engine.kind:
            raise ArtifactError(
                f"the student was validated with {manifest.engine}, and {engine.kind} is to serve it, whose "
                f"confidences are others: {_REMEDIES[manifest.engine]}, or train it again"
            )
        calibration, verifier = Calibration.from_files(content), Verifier.from_files(content)
        if calibration.needs_verifier and verifier is None:
            raise ArtifactError("the calibration of the LoRA student weighs the checks of a verifier, which is missing")
        return cls(manifest, files, engine, calibration=calibration, verifier=verifier)

    def _body(self, request: Request) -> dict[str, Any]:
        turns = to_turns(request)
        if turns is None:
            raise StudentError("a LoRA student reads text and calls of functions alone")
        body: dict[str, Any] = {key: value for key, value in request.parameters.items() if key in _FORWARDED}
        if not _limit(request):
            body["max_tokens"] = self.manifest.answer_tokens
        if request.response_format is not None:
            body["response_format"] = request.response_format
        return {**body, "messages": turns, "temperature": 0}


def _read(generation: Generation) -> Message:
    """Return the answer with its calls of tools; raises StudentError for what is meant as one and is none."""
    message = generation.message()
    try:
        return read_answer(message.text) if not message.tool_calls else message
    except ValueError as error:
        raise StudentError(str(error)) from error


def _limit(request: Request) -> bool:
    """Return whether the caller limits the answer's tokens."""
    return any(request.parameters.get(name) is not None for name in _LIMITS)
