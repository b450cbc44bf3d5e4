"""Define a dialect: how one API encodes requests, answers and streams."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from understudies.events import Request, Response, Usage

Api = Literal["chat", "responses", "messages"]
"""How the caller speaks: OpenAI's Chat Completions or Responses, or Anthropic's Messages."""


JsonParser = Callable[[bytes], Any]
"""Parses JSON, raising ValueError: `orjson.loads` where a service can afford it, as it is quicker on small events."""


class InvalidRequest(ValueError):  # noqa: N818 - it says what the body is
    """A body that is no request of this API as far as known; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class DecodedRequest(NamedTuple):
    """A decoded request; a tuple, as a frozen dataclass takes twice as long to make.

    `request` is canonical: whichever API it came in, it has the names and shapes of OpenAI's chat completions.
    `include_usage` says whether the caller wants the usage in a stream, `task` is what `metadata.task` names. A chat
    that the provider is to keep is `stored`: that is no part of its input.
    """

    request: Request
    model: str
    stream: bool = False
    include_usage: bool = True
    task: str | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class DecodedResponse:
    """An answer in canonical form, the model that gave it as it names itself, and the usage that it reports."""

    response: Response
    model: str = ""
    usage: Usage = field(default_factory=Usage)


class StreamAccumulator(Protocol):
    """A stream that passes through and is put together on the way."""

    @property
    def finished(self) -> bool:
        """Whether the stream has come to its proper end."""
        ...

    @property
    def failed(self) -> str | None:
        """The message of an error inside the stream."""
        ...

    @property
    def characters(self) -> int:
        """Characters of the answer so far, its tools' arguments included, for an estimate of its tokens."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, cut anywhere, and give what the caller should get now."""
        ...

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event that is parsed already."""
        ...

    def end(self) -> bytes:
        """The stream is over: take what came of an unfinished event, and give what was held back of it."""
        ...

    def body(self) -> dict[str, Any]:
        """The whole answer as far as known, in the shape that it has where nothing is streamed."""
        ...

    def answer(self) -> DecodedResponse:
        """What was answered so far; raises ValueError where nothing was."""
        ...


class Dialect(Protocol):
    """One API: bodies in, bodies out. No method raises anything but ValueError, whatever it is given."""

    @property
    def api(self) -> Api: ...
    @property
    def path(self) -> str:
        """Where it is served, such as /v1/messages."""
        ...

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """What a body asks for; raises InvalidRequest."""
        ...

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """What the body of a whole answer says; raises ValueError where it is none."""
        ...

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> StreamAccumulator:
        """For one stream; without `include_usage` the caller is not shown a chat's chunk with nothing but usage.

        `parse` reads the data of the events, pydantic's parser where none is given.
        """
        ...

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The body that carries a response; `request_body` is the body that it answers."""
        ...

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """A whole answer as the events that this API would have streamed."""
        ...

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """The body of an error."""
        ...

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """An error inside a stream that has begun."""
        ...

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """What the teacher is sent: `raw` where nothing in it has to change.

        Changed are the model's name, a `metadata.task` that was meant for the router and, with `usage`, a chat's
        stream, which is asked to report it.
        """
        ...
