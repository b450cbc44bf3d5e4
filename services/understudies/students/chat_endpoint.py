"""Asks an OpenAI-compatible endpoint for chat completions."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.events import Message, Usage
from understudies.students.base import StudentError
from understudies.students.endpoint import Endpoint


class _Token(BaseModel):
    model_config = ConfigDict(extra="ignore")
    logprob: float


class _Logprobs(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: list[_Token] | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message: Message
    logprobs: _Logprobs | None = None


class _Completion(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: list[_Choice]
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What the endpoint answered; `probability` of the whole answer where it gave log-probabilities."""

    message: Message
    usage: Usage
    probability: float | None


async def complete(endpoint: Endpoint, bodies: Sequence[dict[str, Any]]) -> list[Completion]:
    """One completion for each body, in order; raises StudentError for the first that failed."""
    limit = asyncio.Semaphore(endpoint.concurrency)
    key = endpoint.api_key
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=endpoint.timeout_seconds)

    async def one(session: aiohttp.ClientSession, body: dict[str, Any]) -> Completion:
        async with limit:
            return await _post(session, endpoint, body)

    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        found = await asyncio.gather(*(one(session, body) for body in bodies), return_exceptions=True)
    for outcome in found:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in found if isinstance(outcome, Completion)]


async def _post(session: aiohttp.ClientSession, endpoint: Endpoint, body: dict[str, Any]) -> Completion:
    asked = {"model": endpoint.model, **body} | ({"logprobs": True} if endpoint.logprobs else {})
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    try:
        async with session.post(url, json=asked) as response:
            text = await response.text()
    except TimeoutError as error:
        raise StudentError(f"{endpoint.model!r} gave no answer within {endpoint.timeout_seconds:g} s") from error
    except (aiohttp.ClientError, UnicodeDecodeError) as error:
        raise StudentError(f"{endpoint.model!r} cannot be reached: {error!r}") from error
    if response.status != 200:
        raise StudentError(f"{endpoint.model!r} answered HTTP {response.status}: {text[:200]!r}")
    return _read(endpoint.model, text)


def _read(model: str, text: str) -> Completion:
    try:
        completion = _Completion.model_validate_json(text)
    except ValidationError as error:
        raise StudentError(f"{model!r} did not answer with a chat completion: {text[:200]!r}") from error
    if not completion.choices:
        raise StudentError(f"{model!r} answered without any choice")
    choice = completion.choices[0]
    if not choice.message.text and not choice.message.tool_calls:
        raise StudentError(f"{model!r} gave an empty answer")
    return Completion(choice.message, completion.usage or Usage(), _probability(choice.logprobs))


def _probability(logprobs: _Logprobs | None) -> float | None:
    if logprobs is None or not logprobs.content:
        return None
    return math.exp(min(0.0, sum(max(token.logprob, -1e3) for token in logprobs.content)))
