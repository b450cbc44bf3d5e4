"""Take imported calls, as lines of JSON from `understudies import`."""

from typing import Final

from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import read_body
from understudies.router.endpoints.responses import send_json
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess
from understudies.warm_start.call_sink import CallSink, InvalidImport

_MAX_BYTES: Final = 40 * 1024 * 1024
"""A batch, or one call as large as an event may be."""


class ImportEndpoint:
    """ASGI handler of `/import`: add a batch of calls, answer once they are stored."""

    def __init__(self, sink: CallSink, access: StatusAccess) -> None:
        self._sink = sink
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check_change(scope)
        declared = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"content-length"), None
        )
        raw = await read_body(receive, declared, _MAX_BYTES)
        try:
            counts = await self._sink.add([line for line in raw.split(b"\n") if line])
        except InvalidImport as error:
            raise BadRequest(str(error)) from None
        except RetryLater as error:
            raise HttpError(503, f"the calls could not be added: {error}", code="not_published") from error
        await send_json(send, 200, counts.model_dump())
