"""Define a dialect: how one API encodes requests, answers and streams."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from understudies.events import Request, Response, Usage

Api = Literal["chat", "responses", "messages", "decisions", "systemone"]
"""The API that the caller uses.

OpenAI's Chat Completions or Responses, Anthropic's Messages, or a decision API: OpenAI's Decisions or System One.
"""


JsonParser = Callable[[bytes], Any]
"""Parses JSON or raises ValueError: `orjson.loads` in services that have it, as it is faster on small events."""


class InvalidRequest(ValueError):  # noqa: N818 - the name describes the body
    """A body is not a valid request of this API; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class DecodedRequest(NamedTuple):
    """A decoded request; a tuple, as a frozen dataclass takes twice as long to create.

    `request` is canonical: for every API it has the names and shapes of OpenAI's chat completions. `include_usage` is
    true if the caller wants the usage in a stream. `task` is the value of `metadata.task`. `stored` is true for a chat
    that the provider is to keep, which is not part of the input.
    """

    request: Request
    model: str
    stream: bool = False
    include_usage: bool = True
    task: str | None = None
    stored: bool = False


class DecodedResponse(NamedTuple):
    """An answer in canonical form, with the model and the usage that it reports."""

    response: Response
    model: str = ""
    usage: Usage = Usage()


class StreamAccumulator(Protocol):
    """Assembles the answer of a stream while passing the stream through."""

    @property
    def finished(self) -> bool:
        """True once the stream has ended properly."""
        ...

    @property
    def failed(self) -> str | None:
        """The message of an error inside the stream, or None."""
        ...

    @property
    def damage(self) -> str | None:
        """The reason why part of the answer cannot be read, or None."""
        ...

    @property
    def characters(self) -> int:
        """The number of characters of the answer so far, tool arguments included, to estimate its tokens."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece, which may be cut anywhere, and return the bytes to send to the caller now."""
        ...

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add the parsed data of one event."""
        ...

    def end(self) -> bytes:
        """End the stream: consume an unfinished event and return the bytes of it that were held back."""
        ...

    def body(self) -> dict[str, Any]:
        """Build the body of the answer so far, in the shape of an answer that is not streamed."""
        ...

    def answer(self) -> DecodedResponse:
        """Decode the answer so far; raises ValueError if there is none."""
        ...


class Dialect(Protocol):
    """Decodes and encodes the bodies of one API. No method raises anything but ValueError, for any input."""

    @property
    def api(self) -> Api: ...
    @property
    def path(self) -> str:
        """The path at which the API is served, such as /v1/messages."""
        ...

    def decode_request(self, body: Mapping[str, Any]) -> DecodedRequest:
        """Decode the body of a request; raises InvalidRequest."""
        ...

    def decode_response(self, body: Mapping[str, Any]) -> DecodedResponse:
        """Decode the body of a whole answer; raises ValueError if it is not one."""
        ...

    def stream_accumulator(self, *, include_usage: bool = True, parse: JsonParser | None = None) -> StreamAccumulator:
        """Create an accumulator for one stream.

        Without `include_usage` a chat's chunk with nothing but usage is hidden from the caller. `parse` parses the data
        of the events; the default is pydantic's parser.
        """
        ...

    def encode_response(
        self, *, id: str, at: datetime, model: str, answer: Response, usage: Usage, request_body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Encode a response as a body; `request_body` is the body of the request that it answers."""
        ...

    def encode_stream(self, body: Mapping[str, Any], *, include_usage: bool = True) -> Iterator[bytes]:
        """Encode the body of a whole answer as the events that this API would have streamed."""
        ...

    def encode_error(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> dict[str, Any]:
        """Encode an error as a body."""
        ...

    def encode_error_event(self, message: str, code: str | None = None) -> bytes:
        """Encode an error as an event of a stream that has begun."""
        ...

    def encode_upstream_request(self, raw: bytes, body: Mapping[str, Any], *, model: str, usage: bool = False) -> bytes:
        """Encode the body to send to the teacher; it is `raw` if nothing has to change.

        The model's name is replaced, a `metadata.task` meant for the router is removed and, with `usage`, a chat's
        stream is asked to report its usage.
        """
        ...
