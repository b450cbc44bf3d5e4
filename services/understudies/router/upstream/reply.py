"""What comes back from a teacher, and what may become of asking."""

from collections.abc import Callable
from typing import Protocol


class ConnectError(Exception):  # noqa: N818 - what the teacher is
    """No connection was made; nothing was sent."""


class ProtocolError(Exception):  # noqa: N818 - what the connection is
    """The connection ended, or what came over it is not HTTP."""


class ServerDisconnected(ProtocolError):
    """The connection ended before a byte of the answer came, as where a kept one was closed just then."""


class ResponseTooLarge(Exception):  # noqa: N818 - what the answer is
    """The answer is larger than it may be."""


class HttpResponse(Protocol):
    """An answer whose status and headers have come; its body comes in pieces."""

    @property
    def status(self) -> int: ...

    def headers(self) -> list[tuple[str, str]]:
        """The headers with their names in lower case."""
        ...

    @property
    def content_type(self) -> str:
        """The media type, in lower case; empty where there is none."""
        ...

    def read_nowait(self) -> bytes:
        """What has come already of the body and was not read; raises Broken."""
        ...

    async def read_chunk(self) -> bytes:
        """The next piece of the body, empty at its end; raises Broken."""
        ...

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        """The whole body; tells `on_piece` of each piece that is not the last. Raises TooLarge, and Broken."""
        ...

    def close(self) -> None:
        """End it: a connection on which the body has not ended is closed, not read to its end."""
        ...
