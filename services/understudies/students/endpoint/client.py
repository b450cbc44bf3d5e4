"""Ask an OpenAI-compatible endpoint for a chat completion."""

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson

from understudies.students.base import StudentError
from understudies.students.endpoint.connection_pool import EndpointPool
from understudies.students.endpoint.generation import Generation
from understudies.students.endpoint.settings import Endpoint
from understudies.students.endpoint.sse import DataLineSplitter

ProgressCallback = Callable[[Generation], None]
"""Called with the partial answer after every chunk; an exception that it raises also cancels the call upstream."""


class ChatClient:
    """Client of one model at one endpoint."""

    def __init__(self, endpoint: Endpoint, pool: EndpointPool) -> None:
        self.endpoint = endpoint
        self._pool = pool

    async def complete(self, body: dict[str, Any], on_progress: ProgressCallback | None = None) -> Generation:
        """Send a request body and return the complete answer.

        Raises StudentError for any failure, within the endpoint's time-out.
        """
        encoded = self._encode(body)
        generation = Generation(len(encoded))
        async with self._pool.post(self.endpoint, encoded) as response:
            await self._read_response(response, generation, on_progress)
        if generation.finish_reason == "length" and not body.keys() & {"max_tokens", "max_completion_tokens"}:
            raise StudentError(f"{self.endpoint.model!r} ran out of tokens before the end of the answer")
        return generation

    async def close(self) -> None:
        """Close the connections once the calls in progress have ended; the next call opens new ones."""
        await self._pool.close()

    def _encode(self, body: dict[str, Any]) -> bytes:
        streamed = self.endpoint.streamed == "always" or (self.endpoint.streamed == "text" and not body.get("tools"))
        payload = {"model": self.endpoint.model, **body}
        if self.endpoint.logprobs:
            # One candidate per token: with 0, llama.cpp returns no log-probability at all; by default, twenty.
            payload |= {"logprobs": True, "top_logprobs": 1}
        if streamed:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            return orjson.dumps(payload)
        except TypeError:
            # A lone surrogate, or an integer above 64 bits.
            return json.dumps(payload).encode()

    async def _read_response(
        self, response: aiohttp.ClientResponse, generation: Generation, on_progress: ProgressCallback | None
    ) -> None:
        """Read a stream or a complete answer, whichever the endpoint sent; some do not stream."""
        stream = DataLineSplitter() if response.content_type == "text/event-stream" else None
        if stream is None and response.content_type != "application/json":
            raise StudentError(
                f"{self.endpoint.model!r} answered with {response.content_type!r}, not a chat completion"
            )
        whole, length = [], 0
        try:
            async for chunk in response.content.iter_any():
                length += len(chunk)
                if length > self.endpoint.max_bytes:
                    raise StudentError(f"{self.endpoint.model!r} answered more than {self.endpoint.max_bytes} bytes")
                if stream is None:
                    whole.append(chunk)
                    continue
                for data in stream.feed(chunk):
                    generation.add_chunk(data)
                    if on_progress is not None:
                        on_progress(generation)
            if stream is None:
                generation.set_whole(b"".join(whole))
            generation.message()
        except ValueError as error:
            raise StudentError(f"{self.endpoint.model!r} gave no complete answer: {error}") from error
