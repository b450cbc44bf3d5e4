"""Asks an OpenAI-compatible endpoint for a chat completion."""

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
"""Looks at an answer as it comes; what it raises ends the call, at the endpoint too."""


class ChatClient:
    """One model at one endpoint."""

    def __init__(self, endpoint: Endpoint, pool: EndpointPool) -> None:
        self.endpoint = endpoint
        self._pool = pool

    async def complete(self, body: dict[str, Any], on_progress: ProgressCallback | None = None) -> Generation:
        """The answer to a body, come to its end.

        Raises StudentError within the endpoint's time-out, whatever comes of it.
        """
        asked = self._encode(body)
        generation = Generation(len(asked))
        async with self._pool.post(self.endpoint, asked) as response:
            await self._read_response(response, generation, on_progress)
        if generation.finish_reason == "length" and not body.keys() & {"max_tokens", "max_completion_tokens"}:
            raise StudentError(f"{self.endpoint.model!r} ran out of tokens before the answer's end")
        return generation

    async def close(self) -> None:
        """Close the connections once the calls under way have ended; the next call opens them again."""
        await self._pool.close()

    def _encode(self, body: dict[str, Any]) -> bytes:
        streamed = self.endpoint.streamed == "always" or (self.endpoint.streamed == "text" and not body.get("tools"))
        asked = {"model": self.endpoint.model, **body}
        if self.endpoint.logprobs:
            # One candidate a token: at none llama.cpp tells no log-probability at all, and unasked it tells of twenty.
            asked |= {"logprobs": True, "top_logprobs": 1}
        if streamed:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            return orjson.dumps(asked)
        except TypeError:
            # Half of a surrogate pair, or a number beyond 64 bits.
            return json.dumps(asked).encode()

    async def _read_response(
        self, response: aiohttp.ClientResponse, generation: Generation, watch: ProgressCallback | None
    ) -> None:
        """Read a stream or a whole answer, whichever came; some endpoints stream nothing."""
        stream = DataLineSplitter() if response.content_type == "text/event-stream" else None
        if stream is None and response.content_type != "application/json":
            raise StudentError(f"{self.endpoint.model!r} answered with {response.content_type!r}, no chat completion")
        whole, length = [], 0
        try:
            async for piece in response.content.iter_any():
                length += len(piece)
                if length > self.endpoint.max_bytes:
                    raise StudentError(f"{self.endpoint.model!r} answered more than {self.endpoint.max_bytes} bytes")
                if stream is None:
                    whole.append(piece)
                    continue
                for data in stream.feed(piece):
                    generation.add_chunk(data)
                    if watch is not None:
                        watch(generation)
            if stream is None:
                generation.set_whole(b"".join(whole))
            generation.message()
        except ValueError as error:
            raise StudentError(f"{self.endpoint.model!r} gave no whole answer: {error}") from error
