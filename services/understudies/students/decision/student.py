"""Implement the decision student: a decision API asked one closed question about each request, without training."""

import asyncio
import copy
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.events import Message, Request, Usage
from understudies.judges.base import Judge
from understudies.students.base import Answer, StudentError
from understudies.students.calibration import Calibration
from understudies.students.decision.api import Decision, decisions_body, decode_decision, systemone_body
from understudies.students.decision.choices import Choice, find_choices, without_choices
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint, EndpointSettings

_FILE = "decision.json"
_BODIES = {"decisions": decisions_body, "systemone": systemone_body}


class DecisionManifest(BaseModel):
    """Content of the artifact: the endpoint's name, never its address or key, and the choices."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    choices: tuple[Choice, ...] = Field(min_length=1)


class DecisionStudent:
    """Student that asks a decision API which of the task's answers the request deserves.

    The question's instructions are the system prompt of the request itself, without the lines that only name a choice.
    The confidence is the stated probability of the choice, calibrated: what models state is not calibrated on this
    teacher. A declined question is answered with confidence 0, so that its price counts and nothing is served.
    """

    kind = "decision"

    def __init__(
        self,
        manifest: DecisionManifest,
        endpoint: Endpoint,
        *,
        calibration: Calibration | None = None,
        pools: EndpointPools | None = None,
    ) -> None:
        """Raise ArtifactError, with the remedy, for an endpoint of another API."""
        if endpoint.api not in _BODIES:
            raise ArtifactError(not_a_decision_api(manifest.endpoint))
        self._manifest = manifest
        self._endpoint = endpoint
        self._pool = (pools or EndpointPools()).get(endpoint)
        self._calibration = calibration or Calibration()
        self._values = [choice.value for choice in manifest.choices]
        self._answers = {choice.value: choice.answer for choice in manifest.choices}

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer for each request; raises the first StudentError once all have ended."""
        results = await asyncio.gather(*map(self._answer, requests), return_exceptions=True)
        answers: list[Answer] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            answers.append(result)
        return answers

    async def close(self) -> None:
        """Close its connections once the calls in progress have ended; a later answer opens new ones."""
        await self._pool.close()

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost in US dollars by the endpoint's prices; None if it has none."""
        return self._endpoint.cost(usage)

    def with_calibration(self, calibration: Calibration) -> "DecisionStudent":
        """Return a copy of the student with another calibration."""
        student = copy.copy(self)
        student._calibration = calibration
        return student

    @property
    def choice_count(self) -> int:
        """The number of answers that it can give."""
        return len(self._values)

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        judge: Judge,
        *,
        endpoint_name: str,
        endpoint: Endpoint,
        pools: EndpointPools | None = None,
    ) -> "DecisionStudent":
        """Collect the choices of the task; raises NotClosedSetError, with the counts, if they form no closed set."""
        manifest = DecisionManifest(endpoint=endpoint_name, choices=find_choices(train, judge))
        return cls(manifest, endpoint, pools=pools)

    def to_files(self) -> dict[str, bytes]:
        fields = self._manifest.model_dump(mode="json", exclude_none=True)
        manifest = json.dumps(fields, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return {_FILE: manifest} | self._calibration.to_files()

    @classmethod
    def from_files(
        cls, content: Mapping[str, bytes], endpoints: EndpointSettings, pools: EndpointPools | None = None
    ) -> "DecisionStudent":
        """Read the student; raises ArtifactError if its files are invalid or its endpoint is not declared."""
        calibration = Calibration.from_files(content)
        try:
            manifest = DecisionManifest.model_validate(json.loads(content[_FILE].decode("utf-8", "surrogatepass")))
        except (KeyError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the manifest of the decision student is invalid: {error!r}") from error
        return cls(manifest, endpoints.get(manifest.endpoint), calibration=calibration, pools=pools)

    async def _answer(self, request: Request) -> Answer:
        body = self._body(request)
        decision = await self._ask(body)
        usage = decision.usage or Usage(prompt_tokens=-(-len(body) // 4))
        if decision.value is None or decision.probability <= 0:
            return Answer(Message(role="assistant", content=""), 0.0, usage)
        confidence = self._calibration(math.log(decision.probability))
        return Answer(self._answers[decision.value], confidence, usage)

    def _body(self, request: Request) -> bytes:
        instructions = without_choices(request.system, self._values)
        payload: dict[str, Any] = {
            "model": self._endpoint.model,
            **_BODIES[self._endpoint.api](request, instructions, self._values),
        }
        try:
            return orjson.dumps(payload)
        except TypeError:
            # A lone surrogate.
            return json.dumps(payload).encode()

    async def _ask(self, body: bytes) -> Decision:
        model, most = self._endpoint.model, self._endpoint.max_bytes
        async with self._pool.post(self._endpoint, body) as response:
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > most:
                    raise StudentError(f"{model!r} answered more than {most} bytes")
            try:
                return decode_decision(orjson.loads(content), self._values)
            except ValueError as error:
                raise StudentError(f"{model!r} gave no decision: {error}") from error


def not_a_decision_api(name: str) -> str:
    """Return why an endpoint cannot be asked for decisions, with the remedy."""
    return (
        f"the endpoint {name!r} is declared for chat completions; if it answers decisions, set "
        f"UNDERSTUDIES_ENDPOINTS__{name.upper()}__API to decisions or systemone"
    )
