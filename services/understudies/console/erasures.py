"""Take erasures, from `understudies erase`."""

from typing import Final

from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from understudies.erasure.erasure import Eraser
from understudies.erasure.request import ErasureRequest, describe_problems
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import read_body
from understudies.router.endpoints.responses import send_response
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess

_MAX_BYTES: Final = 16 * 1024


class ErasureEndpoint:
    """ASGI handler of `/erasure`: erase calls, or tell what that would remove."""

    def __init__(self, eraser: Eraser, access: StatusAccess) -> None:
        self._eraser = eraser
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check_change(scope)
        try:
            request = ErasureRequest.model_validate_json(await read_body(receive, None, _MAX_BYTES))
        except ValidationError as error:
            raise BadRequest(describe_problems(error)) from None
        try:
            report = await self._eraser.run(request)
        except RetryLater as error:
            raise HttpError(503, f"not wholly erased, ask again: {error}", code="not_erased") from error
        await send_response(send, 200, {}, report.model_dump_json().encode())
